package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"testing"
)

func TestTheGeneratedTypesAreCurrent(t *testing.T) {
	const schemas = "../../../../proto/cdr/v1"
	if _, err := os.Stat(schemas); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the schemas are not here: this module stands outside its repository")
	}
	want, err := generate(schemas)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../types_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("types_gen.go is not what the schemas say: run `go generate ./...` in pkg/cdrclient")
	}
}
