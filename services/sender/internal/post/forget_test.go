package post

import (
	"testing"

	"github.com/aftercall/aftercall/pkg/subscription"
)

// midway is an opener during whose work something happens.
type midway func()

func (f midway) Unseal(_, _ string, sealed []byte) ([]byte, error) { f(); return sealed, nil }

// opened counts the subscriptions of which a poster holds secrets.
func opened(p *Poster) int {
	n := 0
	p.ready.Range(func(_, v any) bool {
		if v.(*prepared) != nil {
			n++
		}
		return true
	})
	return n
}

func TestOpenedSecretsOfADeletedSubscriptionAreDropped(t *testing.T) {
	sub := &subscription.Subscription{ID: "s", Version: 1, SealedSecret: []byte(secretText)}
	next := *sub
	next.Version = 2
	for name, forget := range map[string]func(p *Poster, during *func()){
		"afterwards":               func(p *Poster, _ *func()) { p.Forget("s") },
		"while the next is opened": func(p *Poster, during *func()) { *during = func() { p.Forget("s") } },
	} {
		during := func() {}
		p := New(nil, midway(func() { during() }), "test")
		if err := p.Prepare(sub); err != nil || opened(p) != 1 {
			t.Fatalf("%s: %d held, %v", name, opened(p), err)
		}
		forget(p, &during)
		// A request of what it was before may still be on its way.
		for range 2 {
			if err := p.Prepare(&next); err != nil {
				t.Fatal(err)
			}
		}
		if opened(p) != 0 {
			t.Errorf("%s: its secrets are still held", name)
		}
	}
	p := New(nil, midway(func() {}), "test")
	for _, s := range []*subscription.Subscription{sub, &next, sub} {
		if err := p.Prepare(s); err != nil || opened(p) != 1 {
			t.Errorf("%d held, %v", opened(p), err)
		}
	}
}
