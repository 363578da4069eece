// Package phone tells whose number stands in a text.
//
// What it guarantees: two ways of writing one number, or one SIP address, have one
// normal form ("+1 (555) 0100", "tel:+1-555-0100", "sip:+15550100@pbx.example" and
// "0015550100" are 15550100); what is neither has none. Nothing here knows dialling
// plans: a number without its country code is another number.
package phone

import (
	"net/url"
	"strings"
)

// Lengths of a number, in digits. E.164 ends at 15; extensions are short.
const (
	least = 3
	most  = 15
	// leastInText is the shortest number that is looked for in running text, where
	// anything may be a few digits.
	leastInText = 7
)

// Normal is the normal form of what a person or a record calls a number: its
// digits, or user@host in lower case of a SIP address whose user is no number.
func Normal(text string) (string, bool) {
	text = strings.TrimSpace(text)
	if i, j := strings.LastIndexByte(text, '<'), strings.LastIndexByte(text, '>'); i >= 0 && j > i {
		text = text[i+1 : j]
	}
	if strings.Contains(text, "%") {
		if plain, err := url.PathUnescape(text); err == nil {
			text = plain
		}
	}
	for _, scheme := range []string{"tel:", "sip:", "sips:", "callto:"} {
		if len(text) > len(scheme) && strings.EqualFold(text[:len(scheme)], scheme) {
			text = text[len(scheme):]
			break
		}
	}
	if i := strings.IndexAny(text, ";?"); i >= 0 {
		text = text[:i]
	}
	user, host, address := strings.Cut(strings.TrimSpace(text), "@")
	if n, ok := digitsOf(user); ok {
		return n, true
	}
	if !address || user == "" || host == "" || strings.ContainsAny(text, " \t\r\n\"'") || strings.Contains(host, "@") {
		return "", false
	}
	if i := strings.IndexByte(host, ':'); i > 0 {
		host = host[:i] // the port
	}
	return strings.ToLower(user + "@" + host), true
}

// digitsOf reads a number written with the usual separators.
func digitsOf(text string) (string, bool) {
	var out strings.Builder
	plus := false
	for i, r := range strings.Replace(text, "(0)", "", 1) {
		switch d, ok := digit(r); {
		case ok:
			out.WriteByte(d)
		case r == '+' && out.Len() == 0 && !plus:
			plus = true
		case separates(r) || i == 0 && r == '(':
		default:
			return "", false
		}
	}
	return international(out.String())
}

// international drops the prefix 00, and refuses what is too short or too long.
func international(digits string) (string, bool) {
	if rest, ok := strings.CutPrefix(digits, "00"); ok && len(rest) >= leastInText {
		digits = rest
	}
	return digits, len(digits) >= least && len(digits) <= most
}

// digit is r as an ASCII digit: numbers are copied from anywhere.
func digit(r rune) (byte, bool) {
	for _, zero := range []rune{'0', 0x660, 0x6f0, 0x966, 0xff10} {
		if r >= zero && r <= zero+9 {
			return byte('0' + r - zero), true
		}
	}
	return 0, false
}

// separates says that a rune may stand between the digits of one number. The last
// ones are marks of direction, which come along when a number is copied.
func separates(r rune) bool {
	switch r {
	case ' ', '\t', '-', '.', '/', '(', ')', 0xa0, 0x202f, 0x2010, 0x2011, 0x2012, 0x2013, 0x2212,
		0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069:
		return true
	}
	return false
}

// InText lists what could be a number in running text: every run of digits, and
// every way to read neighbouring runs as one number. Numbers of under seven digits
// are not looked for.
func InText(text string) []string {
	var out []string
	var groups []string
	var group []byte
	gap := 0
	flush := func() {
		if len(group) > 0 {
			groups = append(groups, string(group))
			group = group[:0]
		}
	}
	end := func() {
		flush()
		out = join(out, groups)
		groups = groups[:0]
	}
	for _, r := range text {
		if d, ok := digit(r); ok {
			group, gap = append(group, d), 0
			continue
		}
		flush()
		if gap++; gap > 3 || r != '+' && !separates(r) {
			end()
		}
	}
	end()
	return out
}

// join adds the numbers that neighbouring groups of digits make.
func join(out, groups []string) []string {
	for i := range groups {
		number := ""
		for _, g := range groups[i:] {
			if number += g; len(number) > most+2 {
				break
			}
			if len(number) < leastInText {
				continue
			}
			if n, ok := international(number); ok {
				out = append(out, n)
			}
		}
	}
	return out
}
