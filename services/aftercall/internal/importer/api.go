package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// api is Aftercall's API, as far as importing needs it.
type api struct {
	base   *url.URL
	token  string
	client *http.Client
}

func newAPI(base, token string) (*api, error) {
	u, err := url.Parse(strings.TrimSuffix(base, "/"))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("--api is the address of the console, such as https://aftercall.example")
	}
	u.Path = strings.TrimSuffix(u.Path, "/api/v1")
	return &api{base: u, token: token, client: &http.Client{
		Timeout: 30 * time.Second,
		// The token goes where it was told to go, and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// existing is a webhook that is there.
type existing struct {
	Name string `json:"name"`
}

func (a *api) list(ctx context.Context) ([]existing, error) {
	var answer struct {
		Items []existing `json:"items"`
	}
	if err := a.do(ctx, http.MethodGet, "/api/v1/subscriptions", nil, &answer); err != nil {
		return nil, fmt.Errorf("listing the webhooks: %w", err)
	}
	return answer.Items, nil
}

func (a *api) create(ctx context.Context, w wanted) error {
	return a.do(ctx, http.MethodPost, "/api/v1/subscriptions", w, nil)
}

// refusal is an answer of RFC 9457.
type refusal struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Errors []struct {
		Pointer string `json:"pointer"`
		Message string `json:"message"`
	} `json:"errors"`
}

func (a *api) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base.JoinPath(path).String(), body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return explain(resp.StatusCode, data)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return errors.New("the answer is not that of Aftercall's API: is --api right?")
	}
	return nil
}

func explain(status int, data []byte) error {
	var r refusal
	if json.Unmarshal(data, &r) != nil || r.Code == "" {
		return fmt.Errorf("the answer was %d: is --api right?", status)
	}
	if len(r.Errors) == 0 {
		return fmt.Errorf("%s (%d %s)", strings.TrimSuffix(first(r.Detail, r.Title), "."), status, r.Code)
	}
	var parts []string
	for _, e := range r.Errors {
		parts = append(parts, strings.TrimPrefix(e.Pointer, "/")+": "+strings.TrimSuffix(e.Message, "."))
	}
	return errors.New(strings.Join(parts, "; "))
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
