package doctor

import "fmt"

// keepFree is the free space below which the embedded broker refuses CDRs.
const keepFree = 2 << 30

// disk looks at the data folder of the one-process edition.
func (m Machine) disk(r *Report) {
	free, size, err := m.Disk(m.Data)
	if err != nil {
		r.add(CheckDisk, Warn, fmt.Sprintf("the free space of %s is not known: %s", m.Data, oneLine(err)), "without room new CDRs are refused", "look with df "+m.Data)
		return
	}
	need := min(int64(keepFree), size/20)
	what := fmt.Sprintf("%s has %.1f GiB free of %.1f", m.Data, gib(free), gib(size))
	do := fmt.Sprintf("make room on the disk of %s, or move the folder: stop, copy, start with --data", m.Data)
	switch {
	case free < need:
		r.add(CheckDisk, Fail, what, fmt.Sprintf("below %.1f GiB new CDRs are refused, and producers are told so", gib(need)), do)
	case free < 2*need:
		r.add(CheckDisk, Warn, what, fmt.Sprintf("from %.1f GiB downwards new CDRs are refused", gib(need)), do)
	default:
		r.ok(CheckDisk, "%s", what)
	}
}

func gib(bytes int64) float64 { return float64(bytes) / (1 << 30) }
