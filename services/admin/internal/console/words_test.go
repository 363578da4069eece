package console

import (
	"testing"
	"time"
)

func TestATimeThatHasPassedIsNotWhenADeliveryGoesOut(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := &Console{Options: Options{Now: func() time.Time { return now }}}
	until := c.funcs()["until"].(func(time.Time) string)
	for ahead, want := range map[time.Duration]string{
		10 * time.Minute: "in 10 min", 0: "now", -30 * time.Second: "now", -20 * time.Minute: "when the endpoint takes it",
	} {
		if got := until(now.Add(ahead)); got != want {
			t.Errorf("%v ahead: %q, want %q", ahead, got, want)
		}
	}
}
