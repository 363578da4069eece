package overapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// ResendCommand is `aftercall resend`.
func ResendCommand() *cobra.Command {
	var (
		connect        client.Flags
		asNew, stopOld bool
	)
	cmd := &cobra.Command{
		Use:   "resend ID…",
		Short: "Send deliveries once more, over the API",
		Long: `Sends each delivery once more, by its id (dlv_…) or that of one of its attempts. A
retry that still waits stays, unless --stop-waiting is given. All ids are tried; the
exit status is 1 when one failed. The token needs the scope replay.`,
		Example: `  aftercall resend dlv_k3v7
  aftercall attempts --result failed --from -1h | jq -r .delivery_id | sort -u | xargs aftercall resend`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect.Client()
			if err != nil {
				return err
			}
			var failed []error
			for _, id := range args {
				kind := "attempts"
				if strings.HasPrefix(id, "dlv_") {
					kind = "deliveries"
				}
				var raw json.RawMessage
				err := c.Do(cmd.Context(), "POST", "/"+kind+"/"+url.PathEscape(id)+"/resend",
					map[string]bool{"as_new_event": asNew, "stop_waiting": stopOld}, &raw, "Idempotency-Key", uuid.NewString())
				if err != nil {
					failed = append(failed, fmt.Errorf("resending %s: %w", id, err))
					continue
				}
				var r struct {
					DeliveryID string `json:"delivery_id"`
				}
				if err := json.Unmarshal(raw, &r); err != nil {
					return fmt.Errorf("reading the answer: %w", err)
				}
				if err := tell(cmd.OutOrStdout(), raw, func(out io.Writer) error {
					_, err := fmt.Fprintf(out, "%s is sent again as %s\n", id, r.DeliveryID)
					return err
				}); err != nil {
					return err
				}
			}
			return errors.Join(failed...)
		},
	}
	connect.Add(cmd)
	cmd.Flags().BoolVar(&asNew, "as-new-event", false, "with a webhook-id of its own, for receivers that ignore a known one")
	cmd.Flags().BoolVar(&stopOld, "stop-waiting", false, "stop the retry that the delivery still waits for")
	return cmd
}
