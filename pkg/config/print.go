package config

import (
	"fmt"
	"io"
	"net/url"
)

// Print writes the settings in cfg as NAME=value lines, in the order of its
// fields; of secret ones only whether they are set, of URLs all but the password.
func Print(w io.Writer, cfg any) error {
	for _, f := range fieldsOf(cfg) {
		v, _ := variable(f.name)
		if _, err := fmt.Fprintf(w, "%s=%s\n", f.name, masked(v.Mask, text(f.value))); err != nil {
			return fmt.Errorf("printing settings: %w", err)
		}
	}
	return nil
}

func masked(m Mask, value string) string {
	switch {
	case value == "" || m == Shown:
		return value
	case m == Password:
		u, err := url.Parse(value)
		if err != nil || u.Scheme == "" || u.Host == "" {
			return "(set)" // "host=… password=…" is possible too: show nothing of it.
		}
		// PostgreSQL takes a password from the query as well.
		if u.RawQuery != "" {
			u.RawQuery = "…"
		}
		return u.Redacted()
	default:
		return "(set)"
	}
}
