package importer

import (
	"context"
	"fmt"
	"net/http"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// existing is a webhook that is there.
type existing struct {
	Name string `json:"name"`
}

func list(ctx context.Context, c *client.Client) ([]existing, error) {
	var answer struct {
		Items []existing `json:"items"`
	}
	if err := c.Do(ctx, http.MethodGet, "/subscriptions", nil, &answer); err != nil {
		return nil, fmt.Errorf("listing the webhooks: %w", err)
	}
	return answer.Items, nil
}

func create(ctx context.Context, c *client.Client, w wanted) error {
	return c.Do(ctx, http.MethodPost, "/subscriptions", w, nil)
}
