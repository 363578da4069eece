package subscriptions

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// follow is the text that a reference names. A text holds no end of line at its
// end; an empty one is refused.
func (f *file) follow(path, variable string) (string, error) {
	text := os.Getenv(variable)
	from := "the variable " + variable
	if path != "" {
		if !filepath.IsAbs(path) {
			path = filepath.Join(f.folder, path)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			var failed *os.PathError
			if errors.As(err, &failed) {
				err = failed.Err
			}
			return "", fmt.Errorf("reading %s: %w", path, err)
		}
		text, from = string(b), path
	}
	if text = strings.TrimRight(text, "\r\n"); text == "" {
		return "", fmt.Errorf("%s is empty", from)
	}
	return text, nil
}

// fill puts the values of references where the API wants them: all that a new
// subscription needs, of one that is there only what is not stored yet, unless
// again is set. What stays is [unchanged].
func (f *file) fill(one located, current *existing, again bool) (hook, faults) {
	h := one.hook
	var wrong faults
	follow := func(pointer, path, variable string, to *string) {
		if path == "" && variable == "" {
			return
		}
		text, err := f.follow(path, variable)
		if err != nil {
			wrong = append(wrong, f.at(one, pointer, err.Error()))
			return
		}
		*to = text
	}
	if current == nil {
		follow("/signing_secret", h.SigningSecretFile, h.SigningSecretEnv, &h.SigningSecret)
	}
	if h.Format == "abp" && (current == nil || current.Format != "abp" || again) {
		follow("/abp_secret", h.AbpSecretFile, h.AbpSecretEnv, &h.AbpSecret)
	}
	h.Headers = append([]header(nil), h.Headers...)
	for i := range h.Headers {
		next := &h.Headers[i]
		pointer := fmt.Sprintf("/headers/%d/value", i)
		stored, sealed := current.has(next.Name)
		switch {
		case next.secret() && stored && (!next.referenced() || sealed && !again):
			next.Value = unchanged
		case next.referenced():
			follow(pointer, next.ValueFile, next.ValueEnv, &next.Value)
		case next.secret():
			wrong = append(wrong, f.at(one, pointer, "there is no stored value of "+next.Name+" to keep: say where it is, with value_file or value_env"))
		}
	}
	return h, wrong
}

// has says whether a header is there, and whether its value is secret.
func (e *existing) has(name string) (there, secret bool) {
	if e == nil {
		return false, false
	}
	for _, h := range e.Headers {
		if strings.EqualFold(h.Name, name) {
			return true, h.secret()
		}
	}
	return false, false
}
