package secret

import (
	"slices"

	"github.com/aftercall/aftercall/pkg/subscription"
)

// Reseal seals a subscription's secrets again, those that are not sealed with
// the keyset's primary key. changed is false, and the result s itself, when there
// are none. Otherwise the result is a copy and s stays as it was; its version
// does too, which is the caller's to raise: senders take a new cipher text only
// with a new version.
//
// When something cannot be opened the error is that of Unseal, and nothing is
// changed: a secret is never dropped on the way.
func Reseal(s *subscription.Subscription, k *Keyset) (out *subscription.Subscription, changed bool, err error) {
	copied := *s
	copied.Headers = slices.Clone(s.Headers)
	type field struct {
		name   string
		sealed *[]byte
	}
	fields := []field{
		{FieldSecret, &copied.SealedSecret},
		{FieldPreviousSecret, &copied.SealedPreviousSecret},
		{FieldAbpSecret, &copied.SealedAbpSecret},
	}
	for i := range copied.Headers {
		fields = append(fields, field{HeaderField(copied.Headers[i].Name), &copied.Headers[i].Sealed})
	}
	for _, f := range fields {
		if len(*f.sealed) == 0 {
			continue
		}
		if id, ok := SealedWith(*f.sealed); ok && id == k.primary {
			continue
		}
		plain, err := k.Unseal(s.ID, f.name, *f.sealed)
		if err != nil {
			return s, false, err
		}
		if *f.sealed, err = k.Seal(s.ID, f.name, plain); err != nil {
			return s, false, err
		}
		changed = true
	}
	if !changed {
		return s, false, nil
	}
	return &copied, true, nil
}
