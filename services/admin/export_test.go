package admin_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/aftercall/aftercall/pkg/store/storetest"
)

func TestAttemptsAreExportedAsTheListHasThem(t *testing.T) {
	onBothStores(t, func(t *testing.T, b *bundle) {
		id, _ := b.subscribe(`{"name":"=HYPERLINK(\"http://evil.example\")","endpoint":"https://receiver.example/hook","active":true,"events":["App.QueueWebhook"]}`)
		other, _ := b.subscribe(`{"name":"other","endpoint":"https://receiver.example/other","active":true,"events":["App.QueueWebhook"]}`)
		_, _, mine := b.happened(id, "c-1", `{"CallId":"c-1","CallerName":"Megan Bowen","CallerNumber":"+14255550100"}`)
		b.happened(other, "@c-2", `{"CallId":"@c-2"}`)

		// By API: the format by query or Accept, the filters of the list.
		file := b.api("GET", "/attempts/export?format=csv&subscription="+id, "").want(t, http.StatusOK)
		rows, err := csv.NewReader(strings.NewReader(file.body)).ReadAll()
		if err != nil || len(rows) != 2 || rows[0][0] != "started_at" || rows[1][1] != `'=HYPERLINK("http://evil.example")` || !strings.Contains(file.body, mine) {
			t.Errorf("the file is %s (%v)", file.body, err)
		}
		if got := file.header.Get("Content-Disposition"); !strings.HasPrefix(got, `attachment; filename="attempts-`) || !strings.HasSuffix(got, `Z.csv"`) {
			t.Errorf("the file is called %s", got)
		}
		if all := b.api("GET", "/attempts/export", "", "Accept", "text/csv").want(t, http.StatusOK); strings.Count(all.body, "\r\n") != 3 || !strings.Contains(all.body, ",'@c-2") && !strings.Contains(all.body, `,"'@c-2"`) {
			t.Errorf("by Accept the file is %s", all.body)
		}
		lines := strings.Split(strings.TrimSpace(b.api("GET", "/attempts/export?result=failed", "").want(t, http.StatusOK).body), "\n")
		var listed struct{ Items []json.RawMessage }
		b.api("GET", "/attempts?result=failed", "").want(t, http.StatusOK).into(t, &listed)
		if len(lines) != 2 || len(listed.Items) != 2 || lines[0] != string(listed.Items[0]) || lines[1] != string(listed.Items[1]) {
			t.Errorf("the lines are %v, the list has %s", lines, listed.Items)
		}
		b.api("GET", "/attempts/export?format=xlsx", "").wantProblem(t, http.StatusUnprocessableEntity, "invalid", "format")
		b.api("GET", "/attempts/export?cursor=forged", "").wantProblem(t, http.StatusBadRequest, "cursor_invalid", "cursor")

		// In the console: the links under the list keep its filters.
		br := b.signIn()
		list := br.get("/webhooks/"+id+"/attempts?result=failed&call=c-1").want(t, http.StatusOK)
		for _, format := range []string{"csv", "ndjson"} {
			link := "/attempts/export?call=c-1&format=" + format + "&result=failed&subscription=" + id
			if !strings.Contains(list.body, `href="`+strings.ReplaceAll(link, "&", "&amp;")+`"`) {
				t.Errorf("the list has no link to %s", link)
			}
			if got := br.get(link).want(t, http.StatusOK); !strings.Contains(got.body, mine) || strings.Contains(got.body, "@c-2") || strings.Contains(got.body, "Megan") {
				t.Errorf("the file is %s", got.body)
			}
		}
		br.get("/attempts/export?format=csv&status=none").want(t, http.StatusBadRequest)
		if n := strings.Count(br.get("/audit?action=attempts.exported").want(t, http.StatusOK).body, ">attempts.exported<"); n != 5 {
			t.Errorf("%d exports are in the audit log", n)
		}
	})
}

func TestAnExportSaysInItsTrailerThatItIsWhole(t *testing.T) {
	b := setup(t, storetest.SQLite(t))
	req, err := http.NewRequest(http.MethodGet, b.server.URL+"/api/v1/attempts/export", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("an empty list has %d bytes (%v)", n, err)
	}
	if got := resp.Trailer.Get("Aftercall-Export"); got != "complete; rows=0" {
		t.Errorf("the trailer is %q", got)
	}
}
