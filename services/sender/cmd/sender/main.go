// Command sender posts deliveries to their endpoints. See package sender.
package main

import (
	"github.com/aftercall/aftercall/pkg/service"
	"github.com/aftercall/aftercall/services/sender/process"
)

func main() { service.Main("sender", process.Run) }
