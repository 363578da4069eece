package keyset

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/aftercall/aftercall/pkg/secret"
)

// Command is `aftercall keyset`.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keyset",
		Short: "Make the keyset that seals the secrets of webhooks",
		Long: `The keyset encrypts signing secrets and header values before they are stored or
published, and under it the store remembers what was erased. Admin, every sender and
every projector need the same one (AFTERCALL_KEYSET_FILE or AFTERCALL_KEYSET), and
nobody else. Keep a copy where the backups are not: without it
they hold no secrets, and neither does anyone who finds them.

` + "`aftercall dev` makes its own in the data folder.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCommand(), showCommand())
	return cmd
}

func newCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "new FILE",
		Short: "Make a new keyset in a file, or for another command (-)",
		Example: `  # Into a file that its owner alone can read
  aftercall keyset new /etc/aftercall/keyset.json

  # Into a secret of Kubernetes
  aftercall keyset new - | kubectl create secret generic aftercall-keyset --from-file=keyset.json=/dev/stdin`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "-" {
				return write(cmd.OutOrStdout())
			}
			k, err := secret.CreateFile(args[0])
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s is there already, and stays: secrets may be sealed with it", args[0])
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Made %s with key %d. Give it to admin, senders and projectors: AFTERCALL_KEYSET_FILE=%s\n",
				args[0], k.PrimaryKeyID(), args[0])
			return err
		},
	}
}

func write(out io.Writer) error {
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return errors.New("a keyset is not shown on a terminal: write it into a file, or into a pipe")
	}
	data, err := secret.NewKeyset()
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	return err
}

func showCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show FILE",
		Short:   "Show which keys a keyset holds, by their ids",
		Example: `  aftercall keyset show /etc/aftercall/keyset.json`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("reading the keyset: %w", err)
			}
			k, err := secret.Open(data)
			if err != nil {
				return err
			}
			for _, id := range k.KeyIDs() {
				use := "opens"
				if id == k.PrimaryKeyID() {
					use = "seals and opens"
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%-10d  %s\n", id, use); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
