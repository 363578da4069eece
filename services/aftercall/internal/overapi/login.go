package overapi

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// LoginCommand is `aftercall login`.
func LoginCommand() *cobra.Command {
	var connect client.Flags
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Make a one-time link that signs in to the console",
		Long: `Makes a link that signs in to the console once, within its time, and prints it. The
token needs the scope admin. Whoever has the link can use it: do not pass it on.`,
		Example: `  aftercall login
  aftercall login --api https://aftercall.example --token-file ~/.aftercall/token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connect.Client()
			if err != nil {
				return err
			}
			var link struct {
				Path      string    `json:"path"`
				ExpiresAt time.Time `json:"expires_at"`
			}
			if err := c.Do(cmd.Context(), "POST", "/login-links", nil, &link); err != nil {
				return fmt.Errorf("making a login link: %w", err)
			}
			return tell(cmd.OutOrStdout(), map[string]any{"url": c.Base() + link.Path, "expires_at": link.ExpiresAt}, func(out io.Writer) error {
				_, err := fmt.Fprintf(out, "%s\nOpens the console once, until %s.\n", c.Base()+link.Path, link.ExpiresAt.Local().Format(time.DateTime))
				return err
			})
		},
	}
	connect.Add(cmd)
	return cmd
}

// tell prints text on a terminal, and v as a JSON line in a pipe.
func tell(out io.Writer, v any, text func(io.Writer) error) error {
	if client.Terminal(out) {
		return text(out)
	}
	return client.Line(out, v)
}
