package console

import (
	"context"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

// signatureView is what a page says about a request's signature.
type signatureView struct {
	// Signed is what was signed: id.timestamp.body, the body by its size.
	Signed, Header, Value string
	AbpHeader, AbpValue   string
	State                 state
	Words, AbpWords       string
	Snippets              []webhooks.Snippet
}

func (c *Console) signature(ctx context.Context, a *store.AttemptDetail) (*signatureView, error) {
	value := webhooks.SentHeader(a, webhook.HeaderSignature)
	if value == "" {
		return nil, nil
	}
	check, err := c.Webhooks.CheckSignature(ctx, a)
	if err != nil {
		return nil, err
	}
	v := &signatureView{
		Signed: webhooks.SentHeader(a, webhook.HeaderID) + "." + webhooks.SentHeader(a, webhook.HeaderTimestamp) + ".(" + bytesText(int64(a.RequestBytes)) + " of body)",
		Header: webhook.HeaderSignature, Value: value, Snippets: webhooks.Snippets(a),
	}
	v.State, v.Words = signatureState(check)
	if v.AbpValue = webhooks.SentHeader(a, webhook.HeaderAbpSignature); v.AbpValue != "" {
		v.AbpHeader = webhook.HeaderAbpSignature
		switch {
		case check.Why != "":
			v.AbpWords = "It cannot be checked any more."
		case check.Abp:
			v.AbpWords = "It verifies under the present ASP.NET Zero secret. The body alone is signed."
		default:
			v.AbpWords = "It does not verify under the present ASP.NET Zero secret."
		}
	}
	return v, nil
}

// signatureState says whether a receiver that knows the secrets of now accepts
// a signature.
func signatureState(check *webhooks.SignatureCheck) (state, string) {
	until := check.PreviousUntil.UTC().Format("2006-01-02 15:04:05 UTC")
	switch {
	case check.Why != "":
		return state{"cannot be checked", "", "square"}, check.Why
	case check.Present && check.Previous:
		return state{"verifies", "ok", "tick"}, "Under the present secret, and under the previous one, which signs too until " + until + "."
	case check.Present:
		return state{"verifies", "ok", "tick"}, "Under the webhook's present secret."
	case check.Previous:
		return state{"verifies under the previous secret", "wait", "clock"}, "The secret was rotated after this attempt. The previous one signs too until " + until + "; a receiver that knows the new one alone refuses this request."
	case !check.PreviousUntil.IsZero():
		return state{"does not verify any more", "bad", "cross"}, "Neither under the webhook's present secret nor under the previous one: it was signed with an older one."
	}
	return state{"does not verify any more", "bad", "cross"}, "Not under the webhook's present secret: it was signed with an older one. No rotation is under way."
}
