// Command reliability writes the results of `make proof` into docs/reliability.md.
//
//	reliability RESULTS.jsonl docs/reliability.md
//
// Between the page's two markers stands one table, a line for each proof; a run
// of some of the proofs replaces their lines and leaves the others.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

const (
	begin = "<!-- proofs: written by make proof -->"
	end   = "<!-- /proofs -->"
	head  = "| fault | engine | runs | CDRs | lost | repeated | bound | longest recovery |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n"
)

type proven struct {
	Fault     string `json:"fault"`
	Engine    string `json:"engine"`
	Runs      int    `json:"runs"`
	CDRs      int    `json:"cdrs"`
	Lost      int    `json:"lost"`
	Repeated  int    `json:"repeated"`
	Bound     int    `json:"bound"`
	Recovered string `json:"recovered"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: reliability RESULTS.jsonl PAGE.md")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "reliability:", err)
		os.Exit(1)
	}
}

func run(results, page string) error {
	text, err := os.ReadFile(results)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	written, err := write(string(old), text)
	if err != nil {
		return fmt.Errorf("writing %s: %w", page, err)
	}
	return os.WriteFile(page, []byte(written), 0o600)
}

// write puts results into the page's table.
func write(page string, results []byte) (string, error) {
	before, rest, ok := strings.Cut(page, begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("the markers %s and %s are missing", begin, end)
	}
	var lines []string
	for line := range strings.Lines(table) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| fault") && !strings.HasPrefix(line, "| ---") {
			lines = append(lines, line)
		}
	}
	in := bufio.NewScanner(bytes.NewReader(results))
	for in.Scan() {
		var p proven
		if err := json.Unmarshal(in.Bytes(), &p); err != nil {
			return "", fmt.Errorf("reading results: %w", err)
		}
		lines = put(lines, fmt.Sprintf("| %s | %s |", p.Fault, p.Engine),
			fmt.Sprintf(" %d | %d | %d | %d | %d | %s |", p.Runs, p.CDRs, p.Lost, p.Repeated, p.Bound, p.Recovered))
	}
	return before + begin + "\n" + head + strings.Join(lines, "\n") + "\n" + end + after, in.Err()
}

// put replaces the line that begins with key, or adds it.
func put(lines []string, key, rest string) []string {
	for i, l := range lines {
		if strings.HasPrefix(l, key) {
			lines[i] = key + rest
			return lines
		}
	}
	return append(lines, key+rest)
}
