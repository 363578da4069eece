package main

import (
	"strings"
	"testing"
)

func TestResultsReplaceTheirLinesAndLeaveTheOthers(t *testing.T) {
	page := "# Proofs\n" + begin + "\n" + head + "| a | x | 1 | 2 | 0 | 0 | 0 | 1s |\n| b | x | 1 | 2 | 0 | 0 | 0 | 1s |\n" + end + "\nend\n"
	got, err := write(page, []byte(`{"fault":"b","engine":"x","runs":300,"cdrs":9,"lost":0,"repeated":4,"bound":7,"recovered":"2s"}
{"fault":"b","engine":"y","runs":5,"cdrs":9,"lost":0,"repeated":0,"bound":0,"recovered":"-"}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := "# Proofs\n" + begin + "\n" + head + "| a | x | 1 | 2 | 0 | 0 | 0 | 1s |\n| b | x | 300 | 9 | 0 | 4 | 7 | 2s |\n| b | y | 5 | 9 | 0 | 0 | 0 | - |\n" + end + "\nend\n"
	if got != want {
		t.Errorf("the page became\n%s\nwant\n%s", got, want)
	}
	if _, err := write(strings.ReplaceAll(page, end, ""), nil); err == nil {
		t.Error("a page without its markers was taken")
	}
}
