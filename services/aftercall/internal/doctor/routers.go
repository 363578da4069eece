package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/topic"
)

const (
	// between two looks at the routers' group.
	between = 200 * time.Millisecond
	// takeovers within the time of watching are more than a restart makes.
	takeovers = 2
)

// watched is who took part as a router in a few looks, by name.
//
// The epoch of a transactional id tells nothing: since KIP-890 each transaction
// moves it. A router that takes a name over becomes a new member of the group.
type watched struct {
	// hosts are those of the last look.
	hosts map[string][]string
	// members are the ids that a name has had so far.
	members map[string]map[string]bool
}

// look adds what the group is now.
func (w *watched) look(ctx context.Context, adm *kadm.Client) error {
	described, err := adm.DescribeGroups(ctx, topic.GroupRouter)
	if err != nil {
		return fmt.Errorf("describing the routers' group: %w", err)
	}
	if w.members == nil {
		w.members = map[string]map[string]bool{}
	}
	w.hosts = map[string][]string{}
	for _, m := range described[topic.GroupRouter].Members {
		w.hosts[m.ClientID] = append(w.hosts[m.ClientID], strings.TrimPrefix(m.ClientHost, "/"))
		if w.members[m.ClientID] == nil {
			w.members[m.ClientID] = map[string]bool{}
		}
		// A member that is joining has no id yet.
		if m.MemberID != "" {
			w.members[m.ClientID][m.MemberID] = true
		}
	}
	return nil
}

// twins are the names that two routers have at once, or that one takes from the
// other again and again, and how that was seen.
func (w *watched) twins() (found []string) {
	for _, client := range slices.Sorted(maps.Keys(w.members)) {
		name := strings.TrimPrefix(client, topic.GroupRouter+"-")
		hosts, taken := w.hosts[client], len(w.members[client])-1
		switch {
		case len(hosts) > 1:
			found = append(found, fmt.Sprintf("%d routers go by the name %s (on %s)", len(hosts), name, strings.Join(hosts, ", ")))
		case taken >= takeovers:
			found = append(found, fmt.Sprintf("the name %s was taken over %d times while it was watched", name, taken))
		}
	}
	return found
}

// routers looks for two that go by one name.
func (m Machine) routers(ctx context.Context, r *Report, client *kgo.Client) {
	adm := kadm.NewClient(client)
	var w watched
	for end := time.Now().Add(m.Between); ; {
		if err := w.look(ctx, adm); err != nil {
			r.add(CheckRouters, Warn, oneLine(err), "whether two routers go by one name is not known", "give this user the right to describe groups")
			return
		}
		if len(w.twins()) > 0 || !time.Now().Before(end) {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(between, m.Between)):
		}
	}
	twins := w.twins()
	for _, twin := range twins {
		r.add(CheckRouters, Fail, twin, "each takes the other's transaction away: routing comes to a halt, and the routers end",
			"give each router an AFTERCALL_INSTANCE of its own that survives restarts, such as the pod's name in a StatefulSet")
	}
	if len(twins) == 0 {
		r.ok(CheckRouters, "%d routers, each with a name of its own", len(w.hosts))
	}
}
