package storetest

import (
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/aftercall/aftercall/pkg/store"
)

func rowsOf(t testing.TB, db *store.DB, table string) []string {
	t.Helper()
	rows, err := db.SQL().Query("select * from " + table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		cells := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var line []string
		for i, c := range cells {
			if table == "projector_offsets" && columns[i] == "updated_at" {
				continue
			}
			line = append(line, columns[i]+"="+cell(c))
		}
		out = append(out, strings.Join(line, " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	sort.Strings(out)
	return out
}

func cell(c any) string {
	switch c := c.(type) {
	case nil:
		return "-"
	case []byte:
		return fmt.Sprintf("%x", c)
	case time.Time:
		return c.UTC().Format(store.TimeLayout)
	}
	return fmt.Sprint(c)
}

// difference is the first line in which two dumps differ.
func difference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(x), len(y)) {
		var l, r string
		if i < len(x) {
			l = x[i]
		}
		if i < len(y) {
			r = y[i]
		}
		if l != r {
			return fmt.Sprintf("line %d:\n- %s\n+ %s", i+1, l, r)
		}
	}
	return ""
}
