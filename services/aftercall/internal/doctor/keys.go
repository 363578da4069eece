package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/aftercall/aftercall/pkg/record"
	"github.com/aftercall/aftercall/pkg/secret"
	"github.com/aftercall/aftercall/pkg/topic"
	aftercallv1 "github.com/aftercall/aftercall/proto/aftercall/v1"
	"github.com/aftercall/aftercall/services/aftercall/internal/broker"
)

// keyset opens the keyset that is set.
func (m Machine) keyset(r *Report, s settings) *secret.Keyset {
	if s.Keyset == "" {
		if !r.Has(CheckKeys, Fail) {
			r.add(CheckKeys, Warn, "AFTERCALL_KEYSET_FILE (or AFTERCALL_KEYSET) is not set", "senders and admin do not start without it; router and projector need none",
				"set it where they run, to the same keyset for all; aftercall keyset new FILE makes the first one")
		}
		return nil
	}
	k, err := secret.Open([]byte(s.Keyset))
	if err != nil {
		r.add(CheckKeys, Fail, "AFTERCALL_KEYSET: "+oneLine(err), "no signing secret can be opened: senders and admin do not start", "give the whole file that aftercall keyset new made, as AFTERCALL_KEYSET_FILE")
		return nil
	}
	return k
}

// keys compares the keyset with what the subscriptions are sealed with.
func (m Machine) keys(ctx context.Context, r *Report, s settings, client *kgo.Client, k *secret.Keyset) {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	latest := map[string]*aftercallv1.Subscription{}
	from, to, err := newest(ctx, s.Kafka, kadm.NewClient(client), topic.Subscriptions, math.MaxInt32)
	if err == nil {
		err = broker.ReadRange(ctx, s.Kafka, topic.Subscriptions, from, to, func(rec *kgo.Record) error {
			if v, err := record.OpenAs[*aftercallv1.Subscription](rec); err == nil {
				latest[v.GetId()] = v
			}
			return nil
		})
	}
	if err != nil {
		r.add(CheckKeys, Warn, "the subscriptions cannot be read: "+oneLine(err), "whether the keyset opens their secrets is not known", "give this user the right to read aftercall.subscriptions")
		return
	}
	var wrong, damaged []string
	foreign, older, sealed := map[uint32]bool{}, 0, 0
	for _, id := range slices.Sorted(maps.Keys(latest)) {
		sub := latest[id]
		if sub.GetDeleted() {
			continue
		}
		bad := map[string]bool{}
		for field, text := range fields(sub) {
			if len(text) == 0 {
				continue
			}
			sealed++
			with, _ := secret.SealedWith(text)
			_, err := k.Unseal(id, field, text)
			switch {
			case errors.Is(err, secret.ErrWrongKey):
				bad["key"], foreign[with] = true, true
			case err != nil:
				bad["damaged"] = true
			case with != k.PrimaryKeyID():
				older++
			}
		}
		if bad["key"] {
			wrong = append(wrong, id)
		}
		if bad["damaged"] {
			damaged = append(damaged, id)
		}
	}
	if len(wrong) > 0 {
		r.add(CheckKeys, Fail, fmt.Sprintf("%d webhooks are sealed with key %s; this keyset holds %s (first: %s)", len(wrong), list(slices.Sorted(maps.Keys(foreign))), list(k.KeyIDs()), wrong[0]),
			"senders cannot sign for them and take no work", "set AFTERCALL_KEYSET_FILE to the keyset that admin sealed them with (aftercall keyset show FILE lists a file's keys), on every sender and admin")
	}
	if len(damaged) > 0 {
		r.add(CheckKeys, Fail, fmt.Sprintf("secrets of %d webhooks do not open although the key is there (first: %s)", len(damaged), damaged[0]),
			"senders cannot sign for them", "rotate the secret of each on its page, or by the API: POST /api/v1/subscriptions/ID/rotate-secret with If-Match")
	}
	if older > 0 {
		r.add(CheckKeys, Warn, fmt.Sprintf("%d of %d secrets are sealed with a key that is no longer the primary one", older, sealed),
			"dropping the old key now would lose them", "wait until admin has sealed them anew, which it does by itself, before aftercall keyset drop")
	}
	if len(wrong)+len(damaged)+older == 0 {
		r.ok(CheckKeys, "the keyset opens all of %d secrets", sealed)
	}
}

// fields are what is sealed of a subscription.
func fields(s *aftercallv1.Subscription) map[string][]byte {
	all := map[string][]byte{
		secret.FieldSecret: s.GetSealedSecret(), secret.FieldPreviousSecret: s.GetSealedPreviousSecret(), secret.FieldAbpSecret: s.GetSealedAbpSecret(),
	}
	for _, h := range s.GetHeaders() {
		if h.GetSecret() {
			all[secret.HeaderField(h.GetName())] = h.GetSealed()
		}
	}
	return all
}

func list(ids []uint32) string {
	text := make([]string, 0, len(ids))
	for _, id := range ids {
		text = append(text, fmt.Sprint(id))
	}
	return strings.Join(text, ", ")
}
