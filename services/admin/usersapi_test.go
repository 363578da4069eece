package admin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/store/storetest"
)

func TestUsersOverTheAPI(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	var u struct {
		ID, Login, Role string
		Disabled        bool
		HasPassword     bool   `json:"has_password"`
		SetupPath       string `json:"setup_path"`
	}
	made := b.api("POST", "/users", `{"login":"Ada","role":"viewer"}`).want(t, http.StatusCreated)
	made.into(t, &u)
	if u.Login != "ada" || u.HasPassword || made.header.Get("ETag") != `"1"` {
		t.Errorf("made %s", made.body)
	}
	text := setupText(t, u.SetupPath)
	if list := b.api("GET", "/users", "").want(t, http.StatusOK); strings.Contains(list.body, text) || strings.Contains(list.body, "argon2") || !strings.Contains(list.body, u.ID) {
		t.Errorf("the list is %s", list.body)
	}
	b.api("POST", "/users", `{"login":"ada","role":"viewer"}`).wantProblem(t, http.StatusConflict, "conflict", "/login")
	b.api("POST", "/users", `{"login":"a b","role":"viewer"}`).wantProblem(t, http.StatusUnprocessableEntity, "invalid", "/login")
	b.api("POST", "/users", `{"login":"bob","role":"root"}`).wantProblem(t, http.StatusUnprocessableEntity, "invalid", "/role")
	b.api("POST", "/users", `{"login":"bob","role":"admin","password":"given by somebody else"}`).wantProblem(t, http.StatusUnprocessableEntity, "unknown_field", "/password")

	var again struct {
		SetupPath string `json:"setup_path"`
	}
	b.api("POST", "/users/"+u.ID+"/setup-link", "").want(t, http.StatusCreated).into(t, &again)
	ada := b.stranger()
	ada.setUp(text, "").want(t, http.StatusUnauthorized)
	ada.setUp(setupText(t, again.SetupPath), "").want(t, http.StatusOK)

	b.api("PATCH", "/users/"+u.ID, `{"role":"operator"}`).wantProblem(t, http.StatusPreconditionRequired, "if_match_required", "")
	b.api("PATCH", "/users/"+u.ID, `{"role":"operator"}`, "If-Match", `"7"`).wantProblem(t, http.StatusPreconditionFailed, "version_stale", "")
	b.api("PATCH", "/users/"+u.ID, `{"role":"root"}`, "If-Match", "*").wantProblem(t, http.StatusUnprocessableEntity, "invalid", "/role")
	if a := b.api("PATCH", "/users/"+u.ID, `{"role":"operator"}`, "If-Match", `"1"`).want(t, http.StatusOK); a.header.Get("ETag") != `"2"` {
		t.Errorf("the ETag is %s", a.header.Get("ETag"))
	}
	ada.get("/webhooks").want(t, http.StatusOK)
	b.api("DELETE", "/users/"+u.ID+"/sessions", "").want(t, http.StatusNoContent)
	ada.get("/webhooks").want(t, http.StatusUnauthorized)
	b.api("GET", "/users/"+u.ID, "").want(t, http.StatusOK).into(t, &u)
	if !u.HasPassword || u.Role != "operator" {
		t.Errorf("it is %+v", u)
	}
	b.api("DELETE", "/users/"+u.ID, "").wantProblem(t, http.StatusPreconditionRequired, "if_match_required", "")
	b.api("DELETE", "/users/"+u.ID, "", "If-Match", `"2"`).want(t, http.StatusNoContent)
	for _, op := range [][2]string{{"GET", ""}, {"PATCH", ""}, {"DELETE", ""}, {"POST", "/setup-link"}, {"DELETE", "/sessions"}} {
		b.api(op[0], "/users/"+u.ID+op[1], "{}", "If-Match", "*").want(t, http.StatusNotFound)
	}
}
