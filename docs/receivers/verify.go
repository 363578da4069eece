// A receiver of webhooks in Go. Run it with
//
//	WEBHOOK_SECRET=whsec_… LISTEN=127.0.0.1:3000 go run verify.go
package main

import (
	"io"
	"log"
	"net/http"
	"os"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func main() {
	wh, err := standardwebhooks.NewWebhook(os.Getenv("WEBHOOK_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /webhook", func(w http.ResponseWriter, r *http.Request) {
		// The signature is over the bytes as they came: read them before
		// anything parses them.
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
		if err != nil {
			http.Error(w, "reading the body", http.StatusBadRequest)
			return
		}
		if err := wh.Verify(body, r.Header); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		// Keep it, then answer, then work on it.
		if err := keep(r.Header.Get("webhook-id"), r.Header.Get("aftercall-event-type"), body); err != nil {
			http.Error(w, "not now", http.StatusServiceUnavailable) // it comes again
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	log.Fatal(http.ListenAndServe(os.Getenv("LISTEN"), nil))
}

// keep stores a webhook under its id: one that comes twice changes nothing. In
// SQL: insert into webhooks (id, type, body) values (…) on conflict (id) do nothing.
func keep(id, eventType string, body []byte) error {
	log.Printf("%s %s, %d bytes", eventType, id, len(body))
	return nil
}
