// Command projector writes what happened into the store. See package projector.
package main

import (
	"github.com/aftercall/aftercall/pkg/service"
	"github.com/aftercall/aftercall/services/projector/process"
)

func main() { service.Main("projector", process.Run) }
