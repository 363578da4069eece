// Command configdoc writes docs/configuration.md: the settings of every service,
// from the structs that the services' commands load.
package main

import (
	"fmt"
	"os"

	"github.com/aftercall/aftercall/pkg/config"
	"github.com/aftercall/aftercall/pkg/service"
	"github.com/aftercall/aftercall/pkg/service/database"
	"github.com/aftercall/aftercall/pkg/service/outbound"
	"github.com/aftercall/aftercall/services/admin"
	"github.com/aftercall/aftercall/services/projector"
	"github.com/aftercall/aftercall/services/router"
	"github.com/aftercall/aftercall/services/sender"
)

//go:generate go run . ../../../../docs/configuration.md

// services are the same as in each service's cmd.
var services = []config.Service{
	{Name: "router", Config: struct {
		service.Settings
		Router router.Config
	}{}},
	{Name: "sender", Config: struct {
		service.Settings
		Sender   sender.Config
		Outbound outbound.Config
	}{}},
	{Name: "projector", Config: struct {
		service.Settings
		Projector projector.Config
		Database  database.Config
	}{}},
	{Name: "admin", Config: struct {
		service.Settings
		Admin    admin.Config
		Database database.Config
		Outbound outbound.Config
	}{}},
}

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
	if err := config.Docs(f, services...); err != nil {
		return err
	}
	return f.Close()
}
