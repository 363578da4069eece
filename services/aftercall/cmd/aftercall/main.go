// Command aftercall is the one-process edition and the command line.
package main

import (
	"context"
	"os"

	"github.com/aftercall/aftercall/pkg/lifecycle"
	"github.com/aftercall/aftercall/services/aftercall/internal/cli"
)

func main() {
	ctx, stop := lifecycle.Signals(context.Background())
	code := cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
