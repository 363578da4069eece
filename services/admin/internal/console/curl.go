package console

import (
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/webhook"
	"github.com/aftercall/aftercall/services/admin/internal/webhooks"
)

// curlBody is the largest body that stands in a command; a larger one is a file's.
const curlBody = 64 << 10

// curl is a command that makes an attempt's request again, as far as it may be
// shown: secret values and personal data are masked in it, and so there is no
// signature, which would not fit.
func curl(a *store.AttemptDetail, payload payloadView) string {
	if a.Result == store.ResultNotSent || a.RequestURL == "" {
		return ""
	}
	r := webhooks.Request{URL: a.RequestURL, Body: []byte(payload.Text)}
	if payload.Text == "" || len(payload.Text) > curlBody {
		r.Body = []byte("@body.json")
	}
	for _, h := range a.RequestHeaders {
		switch h.Name {
		case webhook.HeaderSignature, webhook.HeaderAbpSignature, "content-length":
		default:
			r.Headers = append(r.Headers, webhook.Header{Name: h.Name, Value: h.Value})
		}
	}
	return r.Curl()
}
