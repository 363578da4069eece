package cli

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func run(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	status = Run(t.Context(), args, strings.NewReader(""), &o, &e)
	return status, o.String(), e.String()
}

func TestTheStatusTellsWrongUsageFromFailure(t *testing.T) {
	t.Setenv("AFTERCALL_API", "http://127.0.0.1:1")
	t.Setenv("AFTERCALL_TOKEN", "aft_x")
	t.Setenv("AFTERCALL_BROKERS", "")
	for line, want := range map[string]int{
		"--help":                          ExitOK,
		"subscriptions":                   ExitOK,
		"--version":                       ExitOK,
		"no-such":                         ExitUsage,
		"subscriptions no-such":           ExitUsage,
		"config no-such":                  ExitUsage,
		"explain":                         ExitUsage,
		"explain a b":                     ExitUsage,
		"subscriptions apply":             ExitUsage,
		"subscriptions list extra":        ExitUsage,
		"tail --no-such":                  ExitUsage,
		"simulate --rate 1 --interval 1s": ExitUsage,
		"config print nobody":             ExitUsage,
		"subscriptions list":              ExitFailed,
		"subscriptions apply -f none":     ExitFailed,
	} {
		status, _, errs := run(t, strings.Fields(line)...)
		if status != want {
			t.Errorf("%s ends with %d: %s", line, status, errs)
		}
		if want == ExitUsage && !strings.HasPrefix(errs, "aftercall: ") {
			t.Errorf("%s says %s", line, errs)
		}
	}
}

func TestWhatACommandTakesIsSaidByName(t *testing.T) {
	for line, want := range map[string]string{
		"explain":     "aftercall explain takes CALL_ID",
		"explain a b": `aftercall explain takes CALL_ID, not ["a" "b"]`,
		"cat":         "aftercall cat takes TOPIC",
	} {
		if status, _, errs := run(t, strings.Fields(line)...); status != ExitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s ends with %d and says %s", line, status, errs)
		}
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if !sub.Hidden && sub.Runnable() && !sub.HasSubCommands() && sub.Example == "" {
				t.Errorf("%s has no example", sub.CommandPath())
			}
			look(sub)
		}
	}
	look(Root())
}

func TestAShellCompletesNamesOfSubscriptionsAndGivesUpSoon(t *testing.T) {
	hang := make(chan struct{})
	slow := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slow {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
			return
		}
		_, _ = w.Write([]byte(`{"items":[{"id":"sub_1","name":"CRM"},{"id":"sub_2","name":"BI"}],"next_cursor":""}`))
	}))
	defer srv.Close()
	defer close(hang)
	t.Setenv("AFTERCALL_API", srv.URL)
	t.Setenv("AFTERCALL_TOKEN", "aft_x")
	for line, want := range map[string]string{
		"subscriptions get":        "CRM\nBI\n:4\n",
		"subscriptions export CRM": "BI\n:4\n",
		"tail --subscription":      "CRM\nBI\n:4\n",
		"attempts --subscription":  "sub_1\tCRM\nsub_2\tBI\n:4\n",
		"test --subscription":      "sub_1\tCRM\nsub_2\tBI\n:4\n",
		"attempts --result":        "delivered\nfailed\nnot_sent\n:4\n",
		"config print":             "router\nsender\nprojector\nadmin\n:4\n",
	} {
		if _, out, _ := run(t, append(append([]string{"__complete"}, strings.Fields(line)...), "")...); out != want {
			t.Errorf("%s completes to %q", line, out)
		}
	}
	slow = true
	ended := make(chan string, 1)
	go func() {
		_, out, _ := run(t, "__complete", "subscriptions", "get", "")
		ended <- out
	}()
	select {
	case out := <-ended:
		if out != ":4\n" {
			t.Errorf("without an answer it completes to %q", out)
		}
	case <-time.After(30 * time.Second):
		t.Error("a shell waits for an API that does not answer")
	}
}
