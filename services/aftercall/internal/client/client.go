package client

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

	"github.com/spf13/cobra"
)

const (
	defaultAPI       = "http://127.0.0.1:8420"
	defaultTokenFile = "./data/admin.token"
	maxAnswer        = 64 << 20
)

// Flags are --api and --token-file.
type Flags struct {
	API, TokenFile string
}

// Add adds the flags to a command.
func (f *Flags) Add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.API, "api", "", "`URL` of API and console (AFTERCALL_API, else "+defaultAPI+")")
	cmd.Flags().StringVar(&f.TokenFile, "token-file", "", "`file` with an API token (the token itself in AFTERCALL_TOKEN, else "+defaultTokenFile+")")
}

// Client answers a client for what the flags and the environment say.
func (f *Flags) Client() (*Client, error) {
	base := f.API
	if base == "" {
		base = os.Getenv("AFTERCALL_API")
	}
	if base == "" {
		base = defaultAPI
	}
	if !address(base) {
		return New(base, "")
	}
	token := os.Getenv("AFTERCALL_TOKEN")
	file := f.TokenFile
	if file == "" && token == "" {
		file = defaultTokenFile
	}
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the API token: %w; name its file with --token-file, or set AFTERCALL_TOKEN", err)
		}
		token = string(b)
	}
	return New(base, token)
}

// Client asks the API.
type Client struct {
	base, token string
	http        *http.Client
}

// New answers a client of the API at base, an address with or without /api/v1.
func New(base, token string) (*Client, error) {
	if !address(base) {
		return nil, Usagef("--api (or AFTERCALL_API) is the address of the console, such as https://aftercall.example, not %q", base)
	}
	if token = strings.TrimSpace(token); token == "" {
		return nil, errors.New("the API token is empty: look into --token-file or AFTERCALL_TOKEN")
	}
	return &Client{
		base: strings.TrimSuffix(strings.TrimSuffix(base, "/"), "/api/v1"), token: token,
		http: &http.Client{
			Timeout:       time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Base is the console's address.
func (c *Client) Base() string { return c.base }

// RefusedError is a refusal (RFC 9457).
type RefusedError struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Fields []struct {
		Pointer string `json:"pointer"`
		Message string `json:"message"`
	} `json:"errors"`
}

func (p *RefusedError) Error() string {
	text := p.Detail
	if len(p.Fields) > 0 {
		var all []string
		for _, f := range p.Fields {
			all = append(all, strings.TrimPrefix(f.Pointer, "/")+": "+f.Message)
		}
		text = strings.Join(all, "; ")
	}
	text = fmt.Sprintf("%s (%d %s)", text, p.Status, p.Code)
	switch p.Status {
	case http.StatusUnauthorized:
		text += ": give a token that is valid here (--token-file, AFTERCALL_TOKEN)"
	case http.StatusForbidden:
		text += ": the token lacks the scope for this"
	}
	return text
}

// Do sends in as JSON, when there is one, and reads the answer into out. Path
// begins after /api/v1. Headers are pairs.
func (c *Client) Do(ctx context.Context, method, path string, in, out any, headers ...string) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encoding the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/api/v1"+path, body)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("asking the API: %w; is Aftercall running there (--api)?", err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the API's answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return refusal(resp.StatusCode, b)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return errors.New("the answer is not that of Aftercall's API: is --api right?")
	}
	return nil
}

// page is one page of a list.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next_cursor"`
}

// Each calls do for up to limit items of a list, 0 for all, page by page.
func Each[T any](ctx context.Context, c *Client, path string, q url.Values, limit int, do func(T) error) error {
	q = url.Values(http.Header(q).Clone())
	if q == nil {
		q = url.Values{}
	}
	for n := 0; ; {
		var p page[T]
		if err := c.Do(ctx, http.MethodGet, path+"?"+q.Encode(), nil, &p); err != nil {
			return err
		}
		for _, item := range p.Items {
			if err := do(item); err != nil {
				return err
			}
			if n++; limit > 0 && n >= limit {
				return nil
			}
		}
		if p.Next == "" {
			return nil
		}
		q.Set("cursor", p.Next)
	}
}
