package console

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/subscription"
	"github.com/aftercall/aftercall/pkg/webhook"
)

// What a sender writes about a certificate and a name: see its post package.
var (
	certificateDates = regexp.MustCompile(`^The certificate is not valid now: it is valid from (\d{4}-\d{2}-\d{2}) to (\d{4}-\d{2}-\d{2})\.$`)
	missingName      = regexp.MustCompile(`^The name (\S+) does not exist\.$`)
)

// advice says what to change about a failed attempt, and where.
func advice(a *store.AttemptDetail) string {
	host := "the endpoint"
	if u, err := url.Parse(a.RequestURL); err == nil && u.Host != "" {
		host = u.Host
	}
	switch a.ErrorClass {
	case "dns":
		if m := missingName.FindStringSubmatch(a.Error); m != nil {
			return "The name " + m[1] + " does not exist in DNS. Correct the host in the Webhook Endpoint, or have the name created."
		}
		return "The name was not found. Is the endpoint spelled right, and does its name server answer?"
	case "connect":
		if strings.Contains(a.Error, "refused") {
			return "Nothing listens at " + host + ". Start the receiver, or correct host and port in the Webhook Endpoint."
		}
		return "Nothing accepted the connection. Is the receiver running, and does its firewall let us in?"
	case "tls":
		return certificateAdvice(a, host)
	case "timeout":
		return timeoutAdvice(a)
	case "reset":
		return "The receiver ended the connection before it answered. Its log should say why."
	case "protocol":
		return "What came back is not HTTP. Is this the right port?"
	case "policy":
		return "The address is not one that webhooks may go to, so no connection was made."
	}
	return statusAdvice(a)
}

func certificateAdvice(a *store.AttemptDetail, host string) string {
	if m := certificateDates.FindStringSubmatch(a.Error); m != nil {
		if from, err := time.Parse(time.DateOnly, m[1]); err == nil && a.StartedAt.Before(from) {
			return "The receiver's certificate is valid from " + m[1] + " on only. Install one that is valid now; if the date is wrong, set the clock of the machine that Aftercall runs on."
		}
		return "The receiver's certificate expired on " + m[2] + ". Renew it at the receiver: nothing needs to change here."
	}
	switch {
	case strings.HasPrefix(a.Error, "The certificate is not for "):
		return "The receiver's certificate names another host. Use a name that it is for in the Webhook Endpoint, or install one for " + host + " at the receiver."
	case strings.Contains(a.Error, "authority that is not trusted"):
		return "The certificate's issuer is not known here. Install the whole chain, intermediate certificates included, at the receiver, or one of a public authority."
	case strings.Contains(a.Error, "does not speak TLS"):
		return "The port answers without TLS. Correct the port in the Webhook Endpoint, or turn TLS on at the receiver."
	}
	return "The certificate was not accepted. Has it expired, does it name this host, is its chain complete?"
}

func timeoutAdvice(a *store.AttemptDetail) string {
	if strings.HasPrefix(a.Error, "Connecting took") || strings.HasPrefix(a.Error, "The TLS handshake took") {
		return "No connection came about. A firewall that drops packets without a word is likely: let Aftercall's addresses in at the receiver. A longer Time-out does not help."
	}
	return "It took too long to answer. Answer at once with 2xx, and do the work afterwards; or raise the Time-out in the webhook's settings (" + span(subscription.MaxTimeout) + " at most)."
}

func statusAdvice(a *store.AttemptDetail) string {
	wait := ""
	status := a.HTTPStatus
	// The two statuses with which a sender heeds it.
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		if w, ok := webhook.ParseRetryAfter(responseHeader(a, "Retry-After"), a.StartedAt); ok {
			wait = " It asks to wait for " + span(w) + " (Retry-After), which retries keep to."
		}
	}
	switch {
	case status >= 300 && status < 400:
		if to := redirect(a); to != "" {
			return "It redirects to " + to + ", and redirects are never followed. If that is the receiver, use it as the Webhook Endpoint."
		}
		return "It answered with a redirect, which is never followed. Use the address that it points to as the Webhook Endpoint."
	case status == http.StatusUnauthorized:
		return "The receiver does not know who asks. Does an Additional Webhook Header carry the right key, and does the receiver know the webhook's present signing secret?"
	case status == http.StatusForbidden:
		return "The receiver knows who asks and refuses. Does the key in the Additional Webhook Headers have the right to post, and do the receiver's address rules let Aftercall in?"
	case status == http.StatusNotFound:
		return "There is nothing at this path. Is the Webhook Endpoint complete?"
	case status == http.StatusGone:
		return "The receiver says that it is gone for good, so the webhook is switched off. Set a new Webhook Endpoint, then switch it on again."
	case status == http.StatusRequestEntityTooLarge:
		return "The receiver refuses bodies of this size (" + bytesText(int64(a.RequestBytes)) + "). Raise its limit: in nginx client_max_body_size."
	case status == http.StatusTooManyRequests:
		return "The receiver asks for fewer requests." + wait + " Lower Requests at a time, or Deliveries a second, in the webhook's settings."
	case status >= 500:
		return "The receiver failed." + wait + " Its log should say why."
	}
	return ""
}

func responseHeader(a *store.AttemptDetail, name string) string {
	for _, h := range a.ResponseHeaders {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// redirect is the address that an answer points to, whole; "" when it is none
// that a webhook could have.
func redirect(a *store.AttemptDetail) string {
	location := responseHeader(a, "Location")
	from, err := url.Parse(a.RequestURL)
	if err != nil || location == "" {
		return ""
	}
	to, err := from.Parse(location)
	if err != nil || to.Scheme != "https" && to.Scheme != "http" || to.Host == "" {
		return ""
	}
	return to.String()
}
