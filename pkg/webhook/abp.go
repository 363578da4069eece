package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
)

// HeaderAbpSignature carries the signature that receivers of ASP.NET Boilerplate
// and ASP.NET Zero webhooks check.
const HeaderAbpSignature = "abp-webhook-signature"

// abpScheme names the only scheme that ASP.NET Boilerplate has.
const abpScheme = "sha256="

// SignAbp signs a body the way ASP.NET Boilerplate does (Abp.Webhooks.WebhookManager,
// SignWebhookRequest): "sha256=" and HMAC-SHA256 over the body, keyed with the
// UTF-8 bytes of the whole secret, whs_ included, written as .NET's
// BitConverter.ToString does: pairs of upper-case hexadecimal digits, separated by
// dashes.
func SignAbp(secret string, body []byte) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write(body)
	return abpScheme + dashed(h.Sum(nil))
}

// VerifyAbp tells whether a signature is that of a body under a secret.
func VerifyAbp(secret, signature string, body []byte) error {
	if signature == "" {
		return ErrUnsigned
	}
	if !hmac.Equal([]byte(signature), []byte(SignAbp(secret, body))) {
		return ErrWrongSignature
	}
	return nil
}

func dashed(sum []byte) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, 3*len(sum))
	for i, b := range sum {
		if i > 0 {
			out = append(out, '-')
		}
		out = append(out, digits[b>>4], digits[b&0xF])
	}
	return string(out)
}
