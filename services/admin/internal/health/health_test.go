package health

import "testing"

func TestAGroupIsBehindForRecordsAndNotForEndsOfTransactions(t *testing.T) {
	for _, tc := range []struct {
		group Group
		want  bool
	}{
		{Group{Known: true}, false},
		{Group{Known: true, Lag: 6, Markers: 24}, false},
		{Group{Known: true, Lag: 25, Markers: 24}, true},
		{Group{Lag: 25}, false},
	} {
		if got := tc.group.Behind(); got != tc.want {
			t.Errorf("%+v is behind: %v", tc.group, got)
		}
	}
}
