package webhooks

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aftercall/aftercall/pkg/safedial"
	"github.com/aftercall/aftercall/pkg/store"
	"github.com/aftercall/aftercall/pkg/topic"
	"github.com/aftercall/aftercall/pkg/webhook"
)

// Checked is what was found out about an endpoint without posting to it.
type Checked struct {
	Endpoint string  `json:"endpoint"`
	OK       bool    `json:"ok" doc:"Whether every step went well."`
	Steps    []Check `json:"steps"`
}

// Check is one step.
type Check struct {
	Name   string `json:"name" enum:"url,address,answer" doc:"url: the rules for endpoints. address: the name resolves, to addresses that are allowed. answer: something answers a HEAD request, whatever its status."`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	// Status of the answer, 0 without one.
	Status int `json:"status,omitempty"`
	TookMS int `json:"took_ms,omitempty"`
}

// CheckEndpoint looks an endpoint up, checks its addresses against the policy
// and asks it with HEAD, never POST; any status counts as answering.
func (s *Service) CheckEndpoint(ctx context.Context, endpoint string) *Checked {
	c := &Checked{Endpoint: endpoint, Steps: []Check{}}
	step := func(k Check) bool { c.Steps = append(c.Steps, k); return k.OK }
	u, err := webhook.CheckURL(strings.TrimSpace(endpoint), s.Rules)
	if err != nil {
		step(Check{Name: "url", Detail: sentence(err.Error())})
		return c
	}
	c.Endpoint = u.String()
	step(Check{Name: "url", OK: true, Detail: "The URL is well-formed and allowed."})
	begin := time.Now()
	if err := s.Hosts.CheckHost(ctx, u.Hostname(), portOf(u)); err != nil {
		detail := "The name server did not answer in time."
		var lookup *net.DNSError
		if errors.Is(err, safedial.ErrDenied) {
			detail = sentence(err.Error())
		} else if errors.As(err, &lookup) && !isTimeout(lookup) {
			detail = "There is no host of the name " + u.Hostname() + ". Is it spelled right?"
		}
		step(Check{Name: "address", Detail: detail})
		return c
	}
	step(Check{Name: "address", OK: true, Detail: u.Hostname() + " leads to addresses that webhooks may go to.", TookMS: ms(begin)})

	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), nil)
	if err != nil {
		step(Check{Name: "answer", Detail: "The request could not be made."})
		return c
	}
	req.Header.Set("User-Agent", "Aftercall (endpoint check)")
	begin = time.Now()
	// One round trip: a redirect is an answer, and is not followed.
	resp, err := s.Probe.RoundTrip(req)
	if err != nil {
		step(Check{Name: "answer", Detail: plainFault(err), TookMS: ms(begin)})
		return c
	}
	_ = resp.Body.Close()
	c.OK = step(Check{Name: "answer", OK: true, Status: resp.StatusCode, TookMS: ms(begin),
		Detail: "It answers HEAD with " + strconv.Itoa(resp.StatusCode) + ". What it says to a POST, a test shows."})
	return c
}

// Check is CheckEndpoint for a subscription's endpoint.
func (s *Service) Check(ctx context.Context, id string) (*Checked, error) {
	sub, err := s.live(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.CheckEndpoint(ctx, sub.Endpoint), nil
}

func plainFault(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, safedial.ErrDenied):
		return sentence(err.Error())
	case errors.As(err, &timeout) && timeout.Timeout():
		return "It did not answer within 10 seconds."
	}
	return "It does not answer: " + sentence(err.Error())
}

func ms(since time.Time) int { return int(time.Since(since) / time.Millisecond) }

// AddTest adds App.TestWebhook to a webhook's events: what is offered when
// nobody would get a test.
func (s *Service) AddTest(ctx context.Context, id string, by store.Actor) error {
	sub, err := s.live(ctx, id)
	if err != nil || wants(sub, topic.TypeTest) {
		return err
	}
	in := Editable(sub)
	in.Events = append(in.Events, topic.TypeTest)
	_, err = s.change(ctx, sub, sub.Version, in, by)
	return err
}
