package export

import (
	"unicode/utf8"

	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/services/admin/internal/wire"
)

// AttemptDetail is all that was kept of one attempt.
type AttemptDetail struct {
	Attempt
	SubscriptionVersion int64          `json:"subscription_version"`
	RequestID           string         `json:"request_id,omitempty"`
	WebhookID           string         `json:"webhook_id"`
	RequestURL          string         `json:"request_url"`
	RequestBytes        int32          `json:"request_bytes"`
	RequestHeaders      []store.Header `json:"request_headers" doc:"As sent, in order; secret values are masked."`
	ResponseHeaders     []store.Header `json:"response_headers"`
	ResponseBody        string         `json:"response_body" doc:"The first 16 KiB as text; bytes that are not UTF-8 are replaced."`
	ResponseTruncated   bool           `json:"response_truncated"`
	Error               string         `json:"error,omitempty"`
	Timings             store.Timings  `json:"timings"`
	RemoteAddress       string         `json:"remote_address,omitempty"`
	Deferrals           int32          `json:"deferrals"`
	OccurredAt          wire.Time      `json:"occurred_at,omitzero"`
	FirstQueuedAt       wire.Time      `json:"first_queued_at,omitzero"`
	Sender              string         `json:"sender"`
	Position            store.Position `json:"position" doc:"Where the delivery was read."`
	Record              store.Position `json:"record" doc:"Where this attempt's record stands in the history topic."`
}

// Detail is an attempt as API and console write it.
func Detail(a *store.AttemptDetail) AttemptDetail {
	out := AttemptDetail{
		Attempt: Row(a.Attempt), SubscriptionVersion: a.SubscriptionVersion, RequestID: a.RequestID, WebhookID: a.WebhookID,
		RequestURL: a.RequestURL, RequestBytes: a.RequestBytes, RequestHeaders: a.RequestHeaders, ResponseHeaders: a.ResponseHeaders,
		ResponseBody: text(a.ResponseBody), ResponseTruncated: a.ResponseTruncated, Error: a.Error, Timings: a.Timings, RemoteAddress: a.RemoteAddress,
		Deferrals: a.Deferrals, OccurredAt: wire.At(a.OccurredAt), FirstQueuedAt: wire.At(a.FirstQueuedAt), Sender: a.Sender, Position: a.Position, Record: a.Record,
	}
	if out.RequestHeaders == nil {
		out.RequestHeaders = []store.Header{}
	}
	if out.ResponseHeaders == nil {
		out.ResponseHeaders = []store.Header{}
	}
	return out
}

func text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return string([]rune(string(b)))
}
