package replay

import (
	"fmt"
	"time"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// connected answers a client of the API that flags and environment name.
func (f *flags) connected() (*client.Client, error) {
	c, err := f.api.Client()
	if err != nil {
		return nil, fmt.Errorf("%w; with --topic, Kafka alone is needed", err)
	}
	return c, nil
}

// row is a replay as the API tells it.
type row struct {
	ID         string           `json:"id"`
	Mode       string           `json:"mode"`
	State      string           `json:"state"`
	From       time.Time        `json:"from"`
	To         time.Time        `json:"to"`
	Rate       int              `json:"rate"`
	Total      int64            `json:"total"`
	Sent       int64            `json:"sent"`
	Skipped    int64            `json:"skipped"`
	SkippedFor map[string]int64 `json:"skipped_for"`
	Fault      string           `json:"fault,omitempty"`
	CreatedBy  string           `json:"created_by"`
	Why        string           `json:"why,omitempty"`
	Plan       []struct {
		SubscriptionID string           `json:"subscription_id"`
		Send           int64            `json:"send"`
		Skip           map[string]int64 `json:"skip"`
	} `json:"plan"`
}
