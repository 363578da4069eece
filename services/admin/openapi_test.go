package admin_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/store/storetest"
	"github.com/aftercall/aftercall/services/admin"
)

//go:generate go test -run TestTheCommittedDocumentIsTheServedOne -update .
var update = flag.Bool("update", false, "write openapi.json instead of comparing it")

func TestTheCommittedDocumentIsTheServedOne(t *testing.T) {
	made, err := admin.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, committed) {
		t.Error("openapi.json is not what is served: run go generate ./services/admin, and look at the difference")
	}
	b := setup(t, storetest.SQLite(t))
	resp, err := http.Get(b.server.URL + "/api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var served bytes.Buffer
	if _, err := served.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(served.Bytes(), committed) {
		t.Error("the served document is not the committed one")
	}
}

// operation is one route of the document.
type operation struct {
	method, path, scope, id string
}

func operations(t testing.TB) []operation {
	t.Helper()
	b, err := admin.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Security    []map[string][]string
		}
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("the document is of version %s", doc.OpenAPI)
	}
	var all []operation
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if len(op.Security) != 1 || len(op.Security[0]["bearer"]) != 1 {
				t.Fatalf("%s %s names no scope", method, path)
			}
			all = append(all, operation{strings.ToUpper(method), strings.TrimPrefix(path, "/api/v1"), op.Security[0]["bearer"][0], op.OperationID})
		}
	}
	return all
}

// Every route of the document is asked, so that none can be forgotten.
func TestEveryRouteRefusesWithoutATokenAndWithTheWrongScope(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	token := func(name string, scopes ...string) string {
		t.Helper()
		body, _ := json.Marshal(map[string]any{"name": name, "scopes": scopes})
		var made struct{ Token string }
		b.api("POST", "/tokens", string(body)).want(t, http.StatusCreated).into(t, &made)
		return made.Token
	}
	// For each scope a token that has every other one but it.
	without := map[string]string{
		"read":   "act_this-token-does-not-exist",
		"write":  token("without write", "read", "resend", "replay"),
		"resend": token("without resend", "read", "write", "replay"),
		"replay": token("without replay", "read", "write", "resend"),
		"admin":  token("without admin", "read", "write", "resend", "replay"),
	}
	all := operations(t)
	if len(all) < 25 {
		t.Fatalf("the document has only %d routes", len(all))
	}
	for _, op := range all {
		path := strings.ReplaceAll(op.path, "{id}", "x")
		b.api(op.method, path, "{}", "Authorization", "").wantProblem(t, http.StatusUnauthorized, "unauthorized", "")
		b.api(op.method, path, "{}", "Authorization", "Basic YTpi").wantProblem(t, http.StatusUnauthorized, "unauthorized", "")
		a := b.api(op.method, path, "{}", "Authorization", "Bearer "+without[op.scope])
		if op.scope == "read" {
			a.wantProblem(t, http.StatusUnauthorized, "unauthorized", "")
			continue
		}
		a.wantProblem(t, http.StatusForbidden, "forbidden", "")
	}
}

func TestARevokedTokenOpensNothing(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	var made struct{ ID, Token string }
	b.api("POST", "/tokens", `{"name":"ci","scopes":["read"]}`).want(t, http.StatusCreated).into(t, &made)
	b.api("GET", "/subscriptions", "", "Authorization", "Bearer "+made.Token).want(t, http.StatusOK)
	if strings.Contains(b.api("GET", "/tokens", "").want(t, http.StatusOK).body, made.Token) {
		t.Error("the list of tokens shows the token's text")
	}
	b.api("POST", "/tokens", `{"name":"ci","scopes":["read"]}`).wantProblem(t, http.StatusConflict, "conflict", "/name")
	b.api("POST", "/tokens", `{"name":"other","scopes":["everything"]}`).wantProblem(t, http.StatusUnprocessableEntity, "invalid", "/scopes/0")
	b.api("DELETE", "/tokens/"+made.ID, "").want(t, http.StatusNoContent)
	b.api("GET", "/subscriptions", "", "Authorization", "Bearer "+made.Token).wantProblem(t, http.StatusUnauthorized, "unauthorized", "")
}
