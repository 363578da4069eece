// Command router turns CDRs on Kafka into events and deliveries. See package router.
package main

import (
	"github.com/aftercall/aftercall/pkg/service"
	"github.com/aftercall/aftercall/services/router/process"
)

func main() { service.Main("router", process.Run) }
