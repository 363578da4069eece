// Command contracts writes what is said about the topics outside of Go from
// package topic, so that it cannot say anything else:
//
//	go run ./internal/contracts ../..
//
// proto/asyncapi.yaml describes every topic, its records and who reads and
// writes them; deployments/kafka/acls.sh grants each service what it does, and
// docs/operations.md has the same as a table.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: contracts ROOT")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "contracts:", err)
		os.Exit(1)
	}
}

// documents are the files below the root, each made from the one that is there.
var documents = []struct {
	path string
	make func(root string, before []byte) ([]byte, error)
}{
	{"proto/asyncapi.yaml", func(root string, _ []byte) ([]byte, error) { return asyncAPI(root) }},
	{"deployments/kafka/acls.sh", func(string, []byte) ([]byte, error) { return acls(), nil }},
	{"docs/operations.md", func(_ string, before []byte) ([]byte, error) { return operations(before) }},
}

func write(root string) error {
	for _, d := range documents {
		path := filepath.Join(root, d.path)
		before, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("reading what is there: %w", err)
		}
		text, err := d.make(root, before)
		if err != nil {
			return fmt.Errorf("making %s: %w", d.path, err)
		}
		mode := os.FileMode(0o644)
		if filepath.Ext(path) == ".sh" {
			mode = 0o755
		}
		if err := os.WriteFile(path, text, mode); err != nil {
			return fmt.Errorf("writing %s: %w", d.path, err)
		}
	}
	return nil
}
