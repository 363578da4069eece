// Command configdoc writes docs/configuration.md: the settings of every service,
// from the structs that the services' processes load.
package main

import (
	"fmt"
	"os"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/services/aftercall/internal/services"
)

//go:generate go run . ../../../../docs/configuration.md

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: configdoc FILE")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "configdoc:", err)
		os.Exit(1)
	}
}

func write(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := config.Docs(f, services.Settings()...); err != nil {
		return err
	}
	return f.Close()
}
