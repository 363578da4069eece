package workspace

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestTheArchitecturePageNamesTestsThatExist keeps the page's promises tied to
// what holds them.
func TestTheArchitecturePageNamesTestsThatExist(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| .* \\| ((?:`Test\\w+`(?:, )?)+) in `([^`]+)` \\|$").FindAllSubmatch(page, -1)
	if len(rows) < 10 {
		t.Fatalf("only %d guarantees found: has the table changed its form?", len(rows))
	}
	for _, row := range rows {
		namesTestsThatExist(t, string(row[2]), row[1])
	}
}

// namesTestsThatExist looks for every test that a cell names in the folder beside it.
func namesTestsThatExist(t *testing.T, folder string, cell []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var source []byte
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, text...)
	}
	for _, name := range regexp.MustCompile(`(?:Test|Fuzz)\w+`).FindAll(cell, -1) {
		if !bytes.Contains(source, append([]byte("func "), append(name, '(')...)) {
			t.Errorf("%s has no %s", folder, name)
		}
	}
}
