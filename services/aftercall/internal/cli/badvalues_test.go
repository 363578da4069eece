package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// badValues are command lines that cannot be meant, each by one flag or argument.
// Parts are told apart by two spaces where a value holds one.
var badValues = []string{
	"attempts --api crm.example.com", "attempts --api ftp://crm.example.com", "attempts --limit -1", "attempts --limit many",
	"attempts --from yesterday", "attempts --to 25:00", "attempts --result ok", "attempts --state done", "attempts --status 50", "attempts --status 5xy",
	"attempts --error boom", "attempts --cause fate",
	"bench --only everything", "bench --deliveries 1", "bench --payload -1", "bench --concurrency 0", "bench --rate 0", "bench --seconds -1",
	"bench --neighbour-rate 0", "bench --neighbour-seconds 0", "bench --replays 0", "bench --replay-rate 0", "bench --replay-seconds 0", "bench --waiting 0",
	"bench --brokers 127.0.0.1:9092", "bench --brokers here:there --database postgres://localhost/postgres", "bench --brokers 127.0.0.1:9092 --database mysql://localhost/x",
	"bench compare one.json",
	"cat cdr.queue --brokers 127.0.0.1:port", "cat cdr.queue --brokers :9092", "cat cdr.queue --brokers 127.0.0.1:70000", "cat cdr.queue --from -2hours", "cat cdr.queue --to then",
	"cat cdr.queue --follow --to now", "cat",
	"config print nobody", "config docs router",
	"dev --calls -2", "dev --keep-free much", "dev --max-data 8GX", "dev --log-level loud", "dev --listen 8420", "dev --kafka-listen 127.0.0.1", "dev --receiver-listen 127.0.0.1:x",
	"doctor --watch -1s", "doctor --watch soon", "doctor --kafka-listen 8421", "doctor --listen 8420",
	"explain c1 --api crm", "explain c1 --since 0s", "explain c1 --since yesterday", "explain c1 --brokers a:b", "explain",
	"import aspnet-zero x.json --execute", "import aspnet-zero x.json --execute --dry-run", "import aspnet-zero x.json --execute --api crm --token-file none",
	"keyset new", "keyset show a b",
	"lag --brokers a:b",
	"listen --listen 8423", "listen --fail never", "listen --fail 99", "listen --fail 503:0", "listen --delay 200", "listen --delay -1s", "listen --secret hunter2",
	"login --api crm",
	"replay plan", "replay plan --from soon", "replay plan --from -1h --to -2h", "replay plan --from -1h --to then", "replay plan --from -1h --mode all",
	"replay plan --from -1h --state waiting", "replay plan --from -1h --state unknown", "replay plan --from -1h --topic deliveries --state waiting",
	"replay plan --from -1h --topic history", "replay plan --from -1h --api crm", "replay plan --from -1h --brokers a:b",
	"replay run", "replay run rpl_1", "replay run rpl_1 --execute --rate 0", "replay run rpl_1 --execute --rate 5000/s", "replay run rpl_1 --execute --rate fast", "replay run rpl_1 --execute --api crm",
	"replay run --from soon", "replay run --from -1h --to then", "replay run --from -1h --mode all", "replay run --from -1h --state waiting", "replay run --from -1h --topic history", "replay run --brokers a:b",
	"replay resume", "replay resume rpl_1 --rate 0/s", "replay resume rpl_1 --rate 5000", "replay resume rpl_1 --api crm", "replay resume rpl_1 --brokers a:b",
	"replay cancel", "replay cancel rpl_1 --api crm", "replay cancel rpl_1 --brokers a:b",
	"replay list --api crm", "replay list --brokers a:b",
	"resend", "resend dlv_1 --api crm",
	"router extra", "sender extra", "projector extra", "admin extra", "router health extra",
	"simulate --calls -1", "simulate --calls some", "simulate --rate -1", "simulate --rate NaN", "simulate --rate 1e9", "simulate --interval -1s", "simulate --interval often",
	"simulate --burst -1", "simulate --seed -1", "simulate --mix drunk", "simulate --mix answered=much", "simulate --brokers a:b",
	"subscriptions list --api crm", "subscriptions get", "subscriptions get CRM --api crm", "subscriptions export --output xml", "subscriptions export --api crm",
	"subscriptions apply -f /dev/null --api crm",
	"tail --api crm", "tail --brokers a:b", "tail --result ok", "tail --state done", "tail --status 5", "tail --status 0xx", "tail --error boom", "tail --cause fate", "tail --output xml",
	"test --api crm", "test --wait 0s", "test --wait -5s", "test --wait long",
	"topics extra", "topics --brokers a:b",
	"trigger", "trigger phone", "trigger queue --set CallerNumber", "trigger queue --set =5", "trigger queue --unset NoSuch", "trigger queue --brokers a:b",
	"validate", "validate --type phone cdr.json", "validate --max-bytes 0 cdr.json", "validate --max-bytes many cdr.json",
	"verify --from soon", "verify --to then", "verify --from -1h --to -2h", "verify --skew -1s", "verify --slice -1h", "verify --slice hourly", "verify --secret hunter2",
	"verify --api crm", "verify --brokers a:b",
}

// freeText are flags whose values nobody can call wrong before the work begins:
// names, ids and files. Whether they are there is for the work to say.
var freeText = []string{
	"call", "cdrs", "data", "database", "delivery", "event", "event-type", "file", "id", "json", "log", "profile", "requests", "secrets-out", "source", "state-file",
	"subscription", "tenant", "token-file", "why",
}

func TestAValueThatCannotBeMeantIsWrongUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("AFTERCALL_API", "http://127.0.0.1:1")
	t.Setenv("AFTERCALL_TOKEN", "aft_x")
	t.Setenv("AFTERCALL_BROKERS", "")
	for _, line := range badValues {
		status, out, errs := run(t, strings.Fields(line)...)
		if status != ExitUsage || !strings.HasPrefix(errs, "aftercall: ") || strings.Contains(errs, "hunter2") {
			t.Errorf("%s ends with %d: %s%s", line, status, out, errs)
		}
	}
}

func TestEveryFlagThatTakesAValueHasOneThatIsRefused(t *testing.T) {
	for _, c := range commands(Root()) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "bool" || slices.Contains(freeText, f.Name) {
				return
			}
			path := strings.TrimPrefix(c.CommandPath(), "aftercall ")
			if !slices.ContainsFunc(badValues, func(line string) bool {
				return strings.HasPrefix(line, path+" ") && strings.Contains(line+" ", " --"+f.Name+" ")
			}) {
				t.Errorf("no wrong value of aftercall %s --%s is tried", path, f.Name)
			}
		})
	}
}

// commands are all that are shown.
func commands(parent *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, c := range parent.Commands() {
		if !c.Hidden {
			all = append(append(all, c), commands(c)...)
		}
	}
	return all
}
