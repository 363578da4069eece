package workspace

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestTheReliabilityPageNamesTestsThatExist keeps the map of faults true: a test
// that is renamed or removed takes its line along.
func TestTheReliabilityPageNamesTestsThatExist(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "reliability.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := bytes.Cut(page, []byte("\n## Which test has which fault\n"))
	if !found {
		t.Fatal("the page has no map of faults")
	}
	row := regexp.MustCompile("^\\| .* \\| ((?:`(?:Test|Fuzz)\\w+`(?:, )?)+) in `([^`]+)` \\|$")
	head := regexp.MustCompile(`^\| (?:.* \| held by|---.*---) \|$`)
	rows := 0
	for line := range bytes.Lines(section) {
		line = bytes.TrimSpace(line)
		if !bytes.HasPrefix(line, []byte("|")) || head.Match(line) {
			continue
		}
		cells := row.FindSubmatch(line)
		if cells == nil {
			t.Errorf("this line names no test and folder: %s", line)
			continue
		}
		rows++
		namesTestsThatExist(t, string(cells[2]), cells[1])
	}
	if rows < 50 {
		t.Errorf("only %d lines found: have the tables changed their form?", rows)
	}
}
