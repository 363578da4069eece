package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// api is Aftercall's API, as far as replays need it.
type api struct {
	base, token string
	client      *http.Client
}

func newAPI(base, tokenFile string) (*api, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("--api is the address of the console, such as https://aftercall.example")
	}
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return nil, fmt.Errorf("reading the API token (--token-file): %w; with --topic, Kafka alone is needed", err)
	}
	return &api{base: strings.TrimSuffix(strings.TrimSuffix(base, "/"), "/api/v1") + "/api/v1", token: strings.TrimSpace(string(token)), client: &http.Client{
		Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// row is a replay as the API tells it.
type row struct {
	ID         string           `json:"id"`
	Mode       string           `json:"mode"`
	State      string           `json:"state"`
	From       time.Time        `json:"from"`
	To         time.Time        `json:"to"`
	Rate       int              `json:"rate"`
	Total      int64            `json:"total"`
	Sent       int64            `json:"sent"`
	Skipped    int64            `json:"skipped"`
	SkippedFor map[string]int64 `json:"skipped_for"`
	Fault      string           `json:"fault,omitempty"`
	CreatedBy  string           `json:"created_by"`
	Why        string           `json:"why,omitempty"`
	Plan       []struct {
		SubscriptionID string           `json:"subscription_id"`
		Send           int64            `json:"send"`
		Skip           map[string]int64 `json:"skip"`
	} `json:"plan"`
}

func (a *api) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the API (--api): %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if resp.StatusCode/100 == 2 {
		if err := json.Unmarshal(b, out); err != nil {
			return errors.New("the answer is not that of Aftercall's API: is --api right?")
		}
		return nil
	}
	var p struct {
		Code, Detail string
		Errors       []struct{ Pointer, Message string }
	}
	if json.Unmarshal(b, &p) != nil || p.Code == "" {
		return fmt.Errorf("the answer was %d: is --api right?", resp.StatusCode)
	}
	if len(p.Errors) > 0 {
		return fmt.Errorf("%s: %s", strings.TrimPrefix(p.Errors[0].Pointer, "/"), p.Errors[0].Message)
	}
	return fmt.Errorf("%s (%d %s)", p.Detail, resp.StatusCode, p.Code)
}
