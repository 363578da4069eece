package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// strict tells wrong arguments from work that failed, in all commands below one,
// and has groups of commands refuse one that is not theirs: cobra would print help
// and call it done.
func strict(parent *cobra.Command) {
	for _, c := range parent.Commands() {
		if check := c.Args; check != nil {
			c.Args = func(cmd *cobra.Command, args []string) error {
				if err := check(cmd, args); err != nil {
					return usage(cmd, named(cmd, args, err))
				}
				return nil
			}
		}
		if c.HasSubCommands() && !c.Runnable() {
			c.RunE = func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return cmd.Help()
				}
				return usage(cmd, fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath()))
			}
		}
		strict(c)
	}
}

// named says what the command takes, by the names in its help, where cobra only
// counts ("accepts 1 arg(s), received 0").
func named(cmd *cobra.Command, args []string, err error) error {
	_, takes, has := strings.Cut(cmd.Use, " ")
	if !has || !strings.Contains(err.Error(), " arg(s), ") {
		return err
	}
	if len(args) == 0 {
		return fmt.Errorf("%s takes %s", cmd.CommandPath(), takes)
	}
	return fmt.Errorf("%s takes %s, not %q", cmd.CommandPath(), takes, args)
}

func usage(cmd *cobra.Command, err error) error {
	return client.Usagef("%w; see %s --help", err, cmd.CommandPath())
}

// ofUsage are how cobra's own errors of usage begin, which have no type.
var ofUsage = []string{"unknown command ", "if any flags in the group ", "at least one of the flags in the group ", "required flag(s) "}

func isUsage(err error) bool {
	for _, beginning := range ofUsage {
		if strings.HasPrefix(err.Error(), beginning) {
			return true
		}
	}
	return false
}
