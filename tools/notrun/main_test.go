package main

import (
	"strings"
	"testing"
)

const log = `{"Action":"run","Package":"github.com/aftercall/aftercall/pkg/kafka","Test":"TestA"}
{"Action":"output","Package":"github.com/aftercall/aftercall/pkg/kafka","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"github.com/aftercall/aftercall/pkg/kafka","Test":"TestA","Output":"    kafka_test.go:12: needs Kafka: make test-real\n"}
{"Action":"output","Package":"github.com/aftercall/aftercall/pkg/kafka","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"github.com/aftercall/aftercall/pkg/kafka","Test":"TestA"}
not JSON
{"Action":"output","Package":"github.com/aftercall/aftercall/pkg/store","Test":"TestB/real","Output":"        store_test.go:3: needs Kafka: make test-real\n"}
{"Action":"skip","Package":"github.com/aftercall/aftercall/pkg/store","Test":"TestB/real"}
{"Action":"skip","Package":"github.com/aftercall/aftercall/pkg/nothing"}
{"Action":"pass","Package":"github.com/aftercall/aftercall/pkg/store","Test":"TestC"}
`

func TestSkippedTestsAreListedByReason(t *testing.T) {
	var b strings.Builder
	if err := report(&b, strings.NewReader(log)); err != nil {
		t.Fatal(err)
	}
	want := `2 tests did not run:
    2  needs Kafka: make test-real
         pkg/kafka.TestA
         pkg/store.TestB/real
`
	if b.String() != want {
		t.Fatalf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestNothingIsSaidWhenEveryTestRan(t *testing.T) {
	var b strings.Builder
	if err := report(&b, strings.NewReader(`{"Action":"pass","Package":"p","Test":"TestA"}`+"\n")); err != nil || b.Len() > 0 {
		t.Fatalf("%q, %v", b.String(), err)
	}
}
