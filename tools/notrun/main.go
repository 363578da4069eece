// Command notrun reads what `go test -json` wrote and lists the tests that were
// skipped, by reason: a test that cannot run says in its reason how to run it. It
// prints nothing when every test ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// event is a line of test2json; see `go doc test2json`.
type event struct {
	Action, Package, Test, Output string
}

// place is where a test was skipped, which go test puts before the reason.
var place = regexp.MustCompile(`^\s+\S+\.go:\d+: `)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: notrun FILE")
		os.Exit(2)
	}
	f, err := os.Open(os.Args[1])
	if err == nil {
		err = report(os.Stdout, f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "notrun:", err)
		os.Exit(1)
	}
}

func report(w io.Writer, r io.Reader) error {
	type key struct{ pkg, test string }
	reasons := map[key]string{}
	tests := map[string][]string{}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("reading the test log: %w", err)
		}
		var e event
		if json.Unmarshal(line, &e) != nil || e.Test == "" {
			continue
		}
		k := key{e.Package, e.Test}
		switch {
		case e.Action == "output" && place.MatchString(e.Output):
			reasons[k] = strings.TrimSpace(place.ReplaceAllString(e.Output, ""))
		case e.Action == "skip":
			reason := reasons[k]
			if reason == "" {
				reason = "no reason given"
			}
			tests[reason] = append(tests[reason], strings.TrimPrefix(e.Package, "github.com/aftercall/aftercall/")+"."+e.Test)
		}
	}
	if len(tests) == 0 {
		return nil
	}
	var sorted []string
	total := 0
	for reason, names := range tests {
		sorted = append(sorted, reason)
		total += len(names)
	}
	slices.Sort(sorted)
	fmt.Fprintf(w, "%d tests did not run:\n", total)
	for _, reason := range sorted {
		names := tests[reason]
		slices.Sort(names)
		fmt.Fprintf(w, "  %3d  %s\n", len(names), reason)
		for i, name := range names {
			if i == 3 && len(names) > 4 {
				fmt.Fprintf(w, "         … and %d more\n", len(names)-i)
				break
			}
			fmt.Fprintf(w, "         %s\n", name)
		}
	}
	return nil
}
