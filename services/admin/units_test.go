package admin_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aftercall/aftercall/pkg/store"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
)

// routedAt projects an event of a call in each of these organization units.
func (b *bundle) routedAt(units ...string) {
	b.t.Helper()
	batch := &store.Batch{}
	now := time.Now().UTC()
	for i, unit := range units {
		key := fmt.Sprint(len(units), "-", i)
		batch.Events = append(batch.Events, &aftercallv1.Event{EventId: "evt_" + key, Tenant: "default", EventType: "App.QueueWebhook", CallId: "c-" + key, OuPath: unit, Payload: []byte(`{}`),
			OccurredAt: timestamppb.New(now), ProducedAt: timestamppb.New(now), RoutedAt: timestamppb.New(now), Cause: aftercallv1.Cause_CAUSE_CALL_ENDED,
			Position: &aftercallv1.Position{Topic: "aftercall.cdr.queue", Partition: int32(len(units)), Offset: int64(i)}})
	}
	if _, err := b.db.Project(b.t.Context(), batch); err != nil {
		b.t.Fatal(err)
	}
}

var unitPattern = regexp.MustCompile(`<option value="([^"]*)"></option>`)

func unitsOf(page answer) (units []string) {
	for _, m := range unitPattern.FindAllStringSubmatch(page.body, -1) {
		units = append(units, m[1])
	}
	return units
}

func TestTheOrganizationUnitCompletesFromUnitsSeenLately(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		br := b.signIn()
		if page := br.get("/webhooks/new").want(t, http.StatusOK); strings.Contains(page.body, "<datalist") || strings.Contains(page.body, `list="units"`) {
			t.Error("without units there is something to complete from")
		}
		b.routedAt("Root/Sales/East", "Root/<b>&amp", "", "Root/Sales/East")
		id, _ := b.subscribe(plainWebhook)
		for _, path := range []string{"/webhooks/new", "/webhooks/" + id + "/edit"} {
			page := br.get(path).want(t, http.StatusOK)
			checkPage(t, path, page)
			if got, want := unitsOf(page), []string{"Root", "Root/&lt;b&gt;&amp;amp", "Root/Sales", "Root/Sales/East"}; !slices.Equal(got, want) {
				t.Errorf("%s completes from %q, want %q", path, got, want)
			}
			if !regexp.MustCompile(`name="ou_scope"[^>]* list="units"`).MatchString(page.body) {
				t.Errorf("%s does not complete the organization unit", path)
			}
		}
		many := make([]string, 250)
		for i := range many {
			many[i] = fmt.Sprintf("Unit/%03d", i)
		}
		b.routedAt(many...)
		if n := len(unitsOf(br.get("/webhooks/new"))); n != 100 {
			t.Errorf("it completes from %d units", n)
		}
	})
}
