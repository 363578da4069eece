package client

import (
	"encoding/json"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Terminal says whether out is a terminal, where people read.
func Terminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Line prints v as a JSON line.
func Line(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// Plain is s without what a terminal would obey: names and reasons come from
// elsewhere.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, s)
}

// TerminalIn says whether in is a terminal, where somebody can be asked.
func TerminalIn(in io.Reader) bool {
	f, ok := in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
