package core

// Commits are the partitions whose commit would say something new.
func (c *Core) Commits() map[int32]Commit {
	var out map[int32]Commit
	for p, a := range c.assignments {
		now := Commit{Offset: a.tracker.Commit()}
		now.Metadata = a.tracker.Finished().Encode(now.Offset)
		if now == a.committed {
			continue
		}
		if out == nil {
			out = map[int32]Commit{}
		}
		out[p] = now
	}
	return out
}

// Committed notes what the broker has acknowledged.
func (c *Core) Committed(commits map[int32]Commit) {
	for p, now := range commits {
		if a := c.assignments[p]; a != nil && now.Offset >= a.committed.Offset {
			a.committed = now
		}
	}
}

// Recommit has Commits tell all partitions again, news or not: what the broker
// acknowledged may have been overwritten by an older commit that landed late.
func (c *Core) Recommit() {
	for _, a := range c.assignments {
		a.committed = Commit{Offset: -1}
	}
}

// Full says that no more may be taken in.
func (c *Core) Full() bool { return c.bytes >= c.cfg.Budget }

// Intake lists the partitions to pause and to resume since the last call.
func (c *Core) Intake() (pause, resume []int32) {
	for p, a := range c.assignments {
		fresh := a.fresh
		a.fresh = false
		switch full := c.partitionFull(a); {
		case full && !a.paused:
			a.paused = true
			pause = append(pause, p)
		case fresh:
			resume = append(resume, p)
		case !full && a.paused && !c.partitionPressed(a):
			a.paused = false
			resume = append(resume, p)
		}
	}
	return pause, resume
}

func (c *Core) partitionFull(a *assignment) bool {
	return a.tracker.Window() >= c.cfg.Window || a.tracker.Runs() >= c.cfg.MaxRuns*85/100
}

// Stats is what the core holds now.
type Stats struct {
	InFlight  int
	Held      int
	Bytes     int
	Endpoints int
	Counters
}

// Stats counts what is held.
func (c *Core) Stats() Stats {
	s := Stats{InFlight: c.inFlight, Bytes: c.bytes, Endpoints: len(c.endpoints), Counters: c.counters}
	for _, a := range c.assignments {
		s.Held += a.tracker.Unfinished()
	}
	return s
}
