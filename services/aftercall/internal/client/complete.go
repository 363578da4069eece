package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completionTime is how long a shell waits for names.
const completionTime = 800 * time.Millisecond

// CompleteNames completes the names of subscriptions. Without an answer in time
// there are none: a shell has no place for errors.
func (f *Flags) CompleteNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return f.complete(cmd, func(_, name string) string { return name }, args)
}

// CompleteIDs completes ids of subscriptions, with their names beside them.
func (f *Flags) CompleteIDs(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return f.complete(cmd, func(id, name string) string { return cobra.CompletionWithDesc(id, Plain(name)) }, nil)
}

func (f *Flags) complete(cmd *cobra.Command, word func(id, name string) string, but []string) ([]string, cobra.ShellCompDirective) {
	c, err := f.Client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	given := map[string]bool{}
	for _, a := range but {
		given[a] = true
	}
	var words []string
	_ = Each(ctx, c, "/subscriptions", nil, 0, func(s struct{ ID, Name string }) error {
		if !given[s.Name] {
			words = append(words, word(s.ID, s.Name))
		}
		return nil
	})
	return words, cobra.ShellCompDirectiveNoFileComp
}

// SubscriptionID is the id of the subscription with a name or an id.
func (c *Client) SubscriptionID(ctx context.Context, name string) (string, error) {
	var found []string
	err := Each(ctx, c, "/subscriptions", nil, 0, func(s struct{ ID, Name string }) error {
		if s.ID == name || s.Name == name {
			found = append(found, s.ID)
		}
		return nil
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("asking for the subscriptions: %w", err)
	case len(found) == 0:
		// One that was deleted has attempts too.
		return name, nil
	case len(found) > 1:
		return "", fmt.Errorf("%d subscriptions are named %q: give the id of one (%s)", len(found), name, strings.Join(found, ", "))
	}
	return found[0], nil
}
