// Command admin serves the API and the console. See package admin.
package main

import (
	"github.com/aftercall/aftercall/pkg/service"
	"github.com/aftercall/aftercall/services/admin/process"
)

func main() { service.Main("admin", process.Run) }
