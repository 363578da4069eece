package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

// api is admin's, with a token of all scopes.
type api struct {
	t           *testing.T
	base, token string
}

func apiOf(t *testing.T, admin *process) *api {
	t.Helper()
	address, _ := admin.says("admin.listening")["address"].(string)
	return &api{t, "http://" + address + "/api/v1", apiToken}
}

// do asks, decodes the answer where there is somewhere to put it, and returns the
// status.
func (a *api) do(method, path string, body, into any) int {
	a.t.Helper()
	var content io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			a.t.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.base+path, content)
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+a.token)
	r.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		r.Header.Set("If-Match", "*")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			a.t.Fatalf("%s %s answered %d: %s", method, path, answer.StatusCode, text)
		}
	}
	return answer.StatusCode
}

// page is one page of a list.
type page[T any] struct {
	Items []T `json:"items"`
}

// problem is an error of the API.
type problem struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Errors []struct {
		Pointer string `json:"pointer"`
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"errors"`
}

// subscription adds one by the API and returns its id.
func (a *api) subscription(body map[string]any) string {
	a.t.Helper()
	var saved struct {
		ID string `json:"id"`
	}
	switch status := a.do(http.MethodPost, "/subscriptions", body, &saved); status {
	case http.StatusCreated:
	case http.StatusAccepted:
		a.change(saved.ID, map[string]any{"description": "published a little later"})
	default:
		a.t.Fatalf("adding a subscription: %d", status)
	}
	return saved.ID
}

// change changes a subscription, and returns when Kafka has it: on a busy machine an
// edit may be answered as saved and not published yet.
func (a *api) change(id string, fields map[string]any) {
	a.t.Helper()
	wait(a.t, "the change of a subscription to be published", func() bool {
		status := a.do(http.MethodPatch, "/subscriptions/"+id, fields, nil)
		if status != http.StatusOK && status != http.StatusAccepted {
			a.t.Fatalf("changing a subscription was answered %d", status)
		}
		return status == http.StatusOK
	})
}
