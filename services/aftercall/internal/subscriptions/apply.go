package subscriptions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/aftercall/aftercall/services/aftercall/internal/client"
)

// report is a line about one subscription in a pipe.
type report struct {
	Action  string   `json:"action"`
	Name    string   `json:"name"`
	ID      string   `json:"id,omitempty"`
	Version int64    `json:"version,omitempty"`
	Changes []string `json:"changes,omitempty"`
	// Done is false in a dry run and of what failed.
	Done  bool   `json:"done"`
	Error string `json:"error,omitempty"`
	// Unpublished says that it is saved, but not yet known to router and senders.
	Unpublished bool `json:"unpublished,omitempty"`
}

func (s step) report() report {
	r := report{Action: s.action, Name: s.name, Changes: s.changes}
	if s.current != nil {
		r.ID, r.Version = s.current.ID, s.current.Version
	}
	return r
}

// answer is what the API says to a change.
type answer struct {
	ID            string `json:"id"`
	Version       int64  `json:"version"`
	SigningSecret string `json:"signing_secret"`
	AbpSecret     string `json:"abp_secret"`
	Published     *bool  `json:"published"`
}

// do carries out one step.
func (s step) do(ctx context.Context, c *client.Client) (answer, error) {
	var a answer
	if s.action == actionCreate {
		return a, c.Do(ctx, http.MethodPost, "/subscriptions", s.send, &a)
	}
	path, match := "/subscriptions/"+url.PathEscape(s.current.ID), fmt.Sprintf(`"%d"`, s.current.Version)
	if s.action == actionDelete {
		return answer{ID: s.current.ID}, c.Do(ctx, http.MethodDelete, path, nil, nil, "If-Match", match)
	}
	return a, c.Do(ctx, http.MethodPut, path, s.send, &a, "If-Match", match)
}

// changer carries out a plan.
type changer struct {
	client   *client.Client
	file     *file
	out      io.Writer
	terminal bool
	secrets  *os.File // nil shows them on the terminal
}

// apply tries every step, but none after the API has gone away or refuses all.
func (c *changer) apply(ctx context.Context, steps []step) error {
	var wrong []error
	done := 0
	for _, s := range steps {
		r := s.report()
		a, err := s.do(ctx, c.client)
		if err == nil {
			done++
			r.Done, r.Unpublished = true, a.Published != nil && !*a.Published
			if a.ID != "" {
				r.ID = a.ID
			}
			if r.Version = a.Version; s.action == actionDelete {
				r.Version = s.current.Version
			}
			err = c.keep(s, a)
			if err != nil {
				return client.Partly(fmt.Errorf("%s was made, but its secret could not be kept: %w; rotate it. %s", s.name, err, left(done, len(steps))))
			}
		} else {
			err = c.explain(s, err)
			wrong = append(wrong, err)
			r.Error = err.Error()
		}
		if told := c.tell(r); told != nil {
			return told
		}
		if err != nil && !one(err) {
			break
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	var text strings.Builder
	for _, err := range wrong {
		fmt.Fprintln(&text, err)
	}
	// Not wrapped: an interrupted run has not ended well.
	err := errors.New(text.String() + left(done, len(steps)))
	if done > 0 {
		return client.Partly(err)
	}
	return err
}

func left(done, all int) string {
	return fmt.Sprintf("%d of %d changes were made; what was made is kept: correct the rest, and apply again", done, all)
}

// one says whether an error is about one subscription, so that the others are
// tried.
func one(err error) bool {
	var refused *client.RefusedError
	return errors.As(err, &refused) && refused.Status != http.StatusUnauthorized && refused.Status != http.StatusForbidden
}

// refusal is an error with its place in the file.
type refusal struct {
	text string
	why  error
}

func (r refusal) Error() string { return r.text }
func (r refusal) Unwrap() error { return r.why }

// explain ties the API's refusal to lines of the file.
func (c *changer) explain(s step, err error) error {
	var refused *client.RefusedError
	if !errors.As(err, &refused) {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	switch {
	case refused.Status == http.StatusPreconditionFailed:
		return refusal{s.name + ": somebody changed it since the plan was made: look at it, and apply again", err}
	case refused.Status == http.StatusNotFound:
		return refusal{s.name + ": somebody deleted it since the plan was made: apply again", err}
	case len(refused.Fields) == 0 || s.node == nil:
		return refusal{s.name + ": " + err.Error(), err}
	}
	var wrong faults
	for _, f := range refused.Fields {
		wrong = append(wrong, c.file.at(s.located, f.Pointer, f.Message))
	}
	return refusal{wrong.err().Error(), err}
}

// keep writes down a secret that is shown once.
func (c *changer) keep(s step, a answer) error {
	if a.SigningSecret == "" && a.AbpSecret == "" {
		return nil
	}
	if c.secrets != nil {
		return errors.Join(client.Line(c.secrets, map[string]string{"name": s.name, "id": a.ID, "signing_secret": a.SigningSecret, "abp_secret": a.AbpSecret}), c.secrets.Sync())
	}
	for what, text := range map[string]string{"signing secret": a.SigningSecret, "secret of the format abp": a.AbpSecret} {
		if text == "" {
			continue
		}
		if _, err := fmt.Fprintf(c.out, "%s: %s, shown this once: %s\n", client.Plain(s.name), what, text); err != nil {
			return err
		}
	}
	return nil
}

// did are the actions, done.
var did = map[string]string{actionCreate: "created", actionUpdate: "updated", actionDelete: "deleted"}

func (c *changer) tell(r report) error {
	if !c.terminal {
		return client.Line(c.out, r)
	}
	text := did[r.Action]
	switch {
	case r.Error != "":
		return nil // said at the end
	case r.Unpublished:
		text += " (it counts as soon as Kafka answers)"
	}
	_, err := fmt.Fprintf(c.out, "%s: %s\n", client.Plain(r.Name), text)
	return err
}

// show prints the plan for people.
func show(out io.Writer, steps []step) error {
	marks := map[string]string{actionCreate: "+", actionUpdate: "~", actionDelete: "-", actionUnchanged: "="}
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&b, "%s %-9s %s", marks[s.action], s.action, client.Plain(s.name))
		if s.action == actionCreate {
			fmt.Fprintf(&b, " → %s", client.Plain(s.send.Endpoint))
		}
		b.WriteByte('\n')
		for _, change := range s.changes {
			fmt.Fprintf(&b, "    %s\n", change)
		}
	}
	fmt.Fprintf(&b, "%d to create, %d to update, %d to delete, %d unchanged\n",
		count(steps, actionCreate), count(steps, actionUpdate), count(steps, actionDelete), count(steps, actionUnchanged))
	_, err := io.WriteString(out, b.String())
	return err
}

// secretsFile opens where new secrets are kept. It must not be there yet: nothing
// in it is overwritten, and its rights are ours.
func secretsFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--secrets-out: %w", err)
	}
	return f, nil
}
