package webhooks

import (
	"strings"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/webhook"
)

// Snippet is a piece of code that verifies one request.
type Snippet struct{ ID, Language, Library, Code string }

// Snippets verify a request that reached a receiver: three with the published
// libraries of Standard Webhooks, which refuse one that is older than five
// minutes, and one for a shell, which checks this very request at any time. The
// secret stands in none of them.
func Snippets(a *store.AttemptDetail) []Snippet {
	return []Snippet{
		{"snippet-go", "Go", "github.com/standard-webhooks/standard-webhooks/libraries/go", goSnippet},
		{"snippet-python", "Python", "pip install standardwebhooks", pythonSnippet},
		{"snippet-javascript", "JavaScript", "npm install standardwebhooks", javaScriptSnippet},
		{"snippet-shell", "curl and openssl", "this request: its body, byte for byte, in body.json", shellSnippet(a)},
	}
}

const goSnippet = `import standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

func verified(r *http.Request) ([]byte, error) {
	wh, err := standardwebhooks.NewWebhook(os.Getenv("WEBHOOK_SECRET"))
	if err != nil {
		return nil, err
	}
	// The bytes as they came, before anything parses them.
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		return nil, err
	}
	return body, wh.Verify(body, r.Header)
}
`

const pythonSnippet = `import os
from standardwebhooks import Webhook

webhook = Webhook(os.environ["WEBHOOK_SECRET"])

def verified(body: bytes, headers):
    """body: the bytes as they came. Raises WebhookVerificationError."""
    return webhook.verify(body, dict(headers))
`

const javaScriptSnippet = `import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.WEBHOOK_SECRET);

// body: the bytes as they came, a Buffer. Throws WebhookVerificationError.
export function verified(body, headers) {
  return webhook.verify(body, headers);
}
`

// shellSnippet compares the signature as sent, then makes the request again with
// a timestamp of now.
func shellSnippet(a *store.AttemptDetail) string {
	return strings.NewReplacer(
		"{ID}", quoted(SentHeader(a, webhook.HeaderID)),
		"{TIMESTAMP}", quoted(SentHeader(a, webhook.HeaderTimestamp)),
		"{SIGNATURE}", quoted(SentHeader(a, webhook.HeaderSignature)),
		"{URL}", quoted(a.RequestURL),
		"{TYPE}", quoted("content-type: "+SentHeader(a, "content-type")),
	).Replace(`# WEBHOOK_SECRET=whsec_… and body.json come from you.
id={ID}
key=$(printf %s "${WEBHOOK_SECRET#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
sign() {
  { printf '%s.%s.' "$id" "$1"; cat body.json; } |
    openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64 | sed 's/^/v1,/'
}

# Does the signature as sent verify?
sent={SIGNATURE}
case " $sent " in
  *" $(sign {TIMESTAMP}) "*) echo "verifies" ;;
  *) echo "does not verify" ;;
esac

# The same request, signed anew: receivers refuse one of five minutes ago.
send() {
  now=$(date +%s)
  curl -i {URL} -H {TYPE} -H "webhook-id: $id" -H "webhook-timestamp: $now" \
    -H "webhook-signature: $(sign "$now")" --data-binary @body.json
}
# send
`)
}
