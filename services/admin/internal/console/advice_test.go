package console

import (
	"strings"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
)

func TestAdviceNamesWhatToChange(t *testing.T) {
	header := func(name, value string) []store.Header { return []store.Header{{Name: name, Value: value}} }
	for name, c := range map[string]struct {
		class, text string
		status      int32
		headers     []store.Header
		want        []string
	}{
		"an expired certificate":        {class: "tls", text: "The certificate is not valid now: it is valid from 2025-02-01 to 2026-02-01.", want: []string{"expired on 2026-02-01", "Renew it"}},
		"a certificate of the future":   {class: "tls", text: "The certificate is not valid now: it is valid from 2026-04-01 to 2027-04-01.", want: []string{"valid from 2026-04-01 on", "clock"}},
		"a certificate of another host": {class: "tls", text: "The certificate is not for hooks.example.com.", want: []string{"another host", "hooks.example.com:8443"}},
		"an unknown authority":          {class: "tls", text: "The certificate is signed by an authority that is not trusted here.", want: []string{"whole chain"}},
		"no TLS":                        {class: "tls", text: "The endpoint does not speak TLS on this port.", want: []string{"port"}},
		"another TLS fault":             {class: "tls", text: "The TLS handshake failed: EOF.", want: []string{"chain complete?"}},
		"a name that does not exist":    {class: "dns", text: "The name hooks.exmaple.com does not exist.", want: []string{"hooks.exmaple.com does not exist", "Correct the host in the Webhook Endpoint"}},
		"a name server that is away":    {class: "dns", text: "Looking up hooks.example.com took too long.", want: []string{"name server"}},
		"a refused connection":          {class: "connect", text: "Connecting failed: connection refused.", want: []string{"Nothing listens at hooks.example.com:8443", "port in the Webhook Endpoint"}},
		"a network that is away":        {class: "connect", text: "Connecting failed: no route to host.", want: []string{"firewall"}},
		"a late answer":                 {class: "timeout", text: "No answer within 15s.", want: []string{"Answer at once", "raise the Time-out", "25 s at most"}},
		"a connection that never came":  {class: "timeout", text: "Connecting took longer than 5s.", want: []string{"firewall", "does not help"}},
		"a redirect":                    {status: 301, headers: header("location", "https://new.example.com/in?a=1"), want: []string{"redirects to https://new.example.com/in?a=1", "Webhook Endpoint"}},
		"a relative redirect":           {status: 308, headers: header("Location", "/hook/"), want: []string{"redirects to https://hooks.example.com:8443/hook/"}},
		"a redirect into a script":      {status: 302, headers: header("location", "javascript:alert(1)"), want: []string{"the address that it points to"}},
		"a redirect to nowhere":         {status: 302, want: []string{"the address that it points to"}},
		"401":                           {status: 401, want: []string{"Additional Webhook Header", "signing secret"}},
		"403":                           {status: 403, want: []string{"Additional Webhook Header", "address rules"}},
		"404":                           {status: 404, want: []string{"Webhook Endpoint complete?"}},
		"410":                           {status: 410, want: []string{"gone for good", "new Webhook Endpoint"}},
		"413":                           {status: 413, want: []string{"(2.0 KiB)", "Raise its limit"}},
		"429 with Retry-After":          {status: 429, headers: header("retry-after", "30"), want: []string{"wait for 30 s (Retry-After)", "Requests at a time"}},
		"429 with a date":               {status: 429, headers: header("retry-after", "Sat, 14 Mar 2026 09:10:00 GMT"), want: []string{"wait for 10 min (Retry-After)"}},
		"429 without":                   {status: 429, want: []string{"fewer requests. Lower Requests at a time"}},
		"503 with Retry-After":          {status: 503, headers: header("retry-after", "5"), want: []string{"failed. It asks to wait for 5 s (Retry-After), which retries keep to. Its log"}},
		"500 with Retry-After":          {status: 500, headers: header("retry-after", "5"), want: []string{"failed. Its log"}},
		"500":                           {status: 500, want: []string{"The receiver failed. Its log"}},
		"a reset":                       {class: "reset", want: []string{"log"}},
		"no HTTP":                       {class: "protocol", want: []string{"right port"}},
		"a denied address":              {class: "policy", want: []string{"may go to"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := &store.AttemptDetail{Attempt: store.Attempt{ErrorClass: c.class, HTTPStatus: c.status, StartedAt: time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)},
				Error: c.text, RequestURL: "https://hooks.example.com:8443/hook", ResponseHeaders: c.headers, RequestBytes: 2048}
			if c.status != 0 {
				a.ErrorClass = "status"
			}
			got := advice(a)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("the advice is %q, without %q", got, want)
				}
			}
		})
	}
}
