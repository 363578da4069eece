package cdr

import (
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may be nested, the outermost object
// counted. It is the limit of encoding/json, with which most of our own tools
// and many receivers read.
const MaxDepth = 10_000

// kind is what a JSON value is, as a bit so that a set of kinds is a mask.
type kind uint8

const (
	kindString kind = 1 << iota
	kindInteger
	kindNumber // with a fraction or an exponent
	kindBool
	kindNull
	kindArray
	kindObject
)

func (k kind) String() string {
	switch k {
	case kindString:
		return "a string"
	case kindInteger:
		return "an integer"
	case kindNumber:
		return "a number with fraction or exponent"
	case kindBool:
		return "a boolean"
	case kindNull:
		return "null"
	case kindArray:
		return "an array"
	case kindObject:
		return "an object"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// span is one scalar, or the start of a container, as it stands in the text.
// Of a string it is what stands between the quotes.
type span struct {
	raw     []byte
	kind    kind
	escaped bool // raw holds backslashes
}

// text of a string, with its escapes resolved.
func (s span) text() string {
	if !s.escaped {
		return string(s.raw)
	}
	return unescape(s.raw)
}

// syntaxError says where a value stops being JSON.
type syntaxError struct {
	offset int
	what   string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.offset, e.what) }

// errNotObject: JSON, as far as the first token tells, but no object.
var errNotObject = errors.New("not an object")

// scanner walks one JSON text once, without recursion: nesting is a stack of
// bits. It checks the grammar of RFC 8259; UTF-8 is checked before.
type scanner struct {
	data []byte
	pos  int
}

func (s *scanner) fail(what string) error {
	if s.pos >= len(s.data) {
		return &syntaxError{s.pos, "the text ends early"}
	}
	return &syntaxError{s.pos, what}
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// next skips space and returns the byte that follows, 0 at the end of the text.
// A NUL in the text is no token either, so that 0 needs no second result.
func (s *scanner) next() byte {
	s.space()
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// object walks the text, which must be one object, and calls member for each of
// its own members, in order.
func (s *scanner) object(member func(name, value span)) error {
	if s.next() != '{' {
		// Tell a scalar or an array from what is no JSON at all.
		if err := s.value(0); err != nil {
			return err
		}
		if err := s.end(); err != nil {
			return err
		}
		return errNotObject
	}
	s.pos++
	if s.next() == '}' {
		s.pos++
		return s.end()
	}
	for {
		if s.next() != '"' {
			return s.fail("expected a member's name in quotes")
		}
		name, err := s.string()
		if err != nil {
			return err
		}
		if s.next() != ':' {
			return s.fail("expected a colon after a member's name")
		}
		s.pos++
		value, err := s.member()
		if err != nil {
			return err
		}
		member(name, value)
		switch s.next() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			return s.end()
		default:
			return s.fail("expected a comma or the end of the object")
		}
	}
}

func (s *scanner) end() error {
	s.space()
	if s.pos < len(s.data) {
		return &syntaxError{s.pos, "something follows the end of the JSON text"}
	}
	return nil
}

// member reads the value of a member of the outermost object.
func (s *scanner) member() (span, error) {
	switch s.next() {
	case '"':
		return s.string()
	case '{':
		return span{kind: kindObject}, s.value(1)
	case '[':
		return span{kind: kindArray}, s.value(1)
	default:
		return s.scalar()
	}
}

// value skips one value of any kind that stands below depth containers.
func (s *scanner) value(depth int) error {
	var (
		inline  [16]uint64 // no allocation up to 1,024 levels
		objects = inline[:]
		level   = 0 // of containers open in here
	)
	for {
		// A value is expected.
		switch s.next() {
		case '{', '[':
			isObject := s.data[s.pos] == '{'
			if depth+level >= MaxDepth {
				return &syntaxError{s.pos, fmt.Sprintf("nested deeper than %d levels", MaxDepth)}
			}
			if level>>6 >= len(objects) {
				objects = append(objects, make([]uint64, len(objects))...)
			}
			if isObject {
				objects[level>>6] |= 1 << (level & 63)
			} else {
				objects[level>>6] &^= 1 << (level & 63)
			}
			level++
			s.pos++
			switch {
			case isObject && s.next() == '}', !isObject && s.next() == ']':
				// An empty one: closed below.
			case isObject:
				if err := s.name(); err != nil {
					return err
				}
				continue
			default:
				continue
			}
		case '"':
			if _, err := s.string(); err != nil {
				return err
			}
		default:
			if _, err := s.scalar(); err != nil {
				return err
			}
		}
		// A value has ended: close what closes, or go on to the next one.
		for {
			if level == 0 {
				return nil
			}
			isObject := objects[(level-1)>>6]&(1<<((level-1)&63)) != 0
			c := s.next()
			if c == '}' && isObject || c == ']' && !isObject {
				s.pos++
				level--
				continue
			}
			if c != ',' {
				return s.fail("expected a comma or the end of the object or array")
			}
			s.pos++
			if isObject {
				if err := s.name(); err != nil {
					return err
				}
			}
			break
		}
	}
}

// name skips a member's name and its colon.
func (s *scanner) name() error {
	if s.next() != '"' {
		return s.fail("expected a member's name in quotes")
	}
	if _, err := s.string(); err != nil {
		return err
	}
	if s.next() != ':' {
		return s.fail("expected a colon after a member's name")
	}
	s.pos++
	return nil
}

// plain tells the bytes that a string may hold as they are.
var plain = func() (t [256]bool) {
	for i := range t {
		t[i] = i >= 0x20 && i != '"' && i != '\\'
	}
	return t
}()

func (s *scanner) string() (span, error) {
	data, start := s.data, s.pos+1
	escaped := false
	for i := start; i < len(data); {
		c := data[i]
		switch {
		case plain[c]:
			i++
		case c == '"':
			s.pos = i + 1
			return span{raw: data[start:i], kind: kindString, escaped: escaped}, nil
		case c == '\\':
			escaped = true
			n := escape(data[i:])
			if n == 0 {
				s.pos = i
				return span{}, s.fail("no such escape in a string")
			}
			i += n
		default:
			s.pos = i
			return span{}, s.fail("a control character stands unescaped in a string")
		}
	}
	s.pos = len(data)
	return span{}, s.fail("")
}

// escape is the length of the escape that b begins with, 0 when it is none.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) >= 6 && isHex(b[2]) && isHex(b[3]) && isHex(b[4]) && isHex(b[5]) {
			return 6
		}
	}
	return 0
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func (s *scanner) scalar() (span, error) {
	switch s.next() {
	case 't':
		return s.literal("true", kindBool)
	case 'f':
		return s.literal("false", kindBool)
	case 'n':
		return s.literal("null", kindNull)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		start := s.pos
		k, err := s.number()
		return span{raw: s.data[start:s.pos], kind: k}, err
	}
	return span{}, s.fail("expected a value")
}

func (s *scanner) literal(word string, k kind) (span, error) {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return span{}, s.fail("expected a value")
	}
	raw := s.data[s.pos : s.pos+len(word)]
	s.pos += len(word)
	return span{raw: raw, kind: k}, nil
}

func (s *scanner) number() (kind, error) {
	k := kindInteger
	if s.data[s.pos] == '-' {
		s.pos++
	}
	switch {
	case s.pos < len(s.data) && s.data[s.pos] == '0':
		s.pos++
	case s.digits() == 0:
		return k, s.fail("expected a digit")
	}
	if s.pos < len(s.data) && s.data[s.pos] == '.' {
		k = kindNumber
		s.pos++
		if s.digits() == 0 {
			return k, s.fail("expected a digit")
		}
	}
	if s.pos < len(s.data) && (s.data[s.pos] == 'e' || s.data[s.pos] == 'E') {
		k = kindNumber
		s.pos++
		if s.pos < len(s.data) && (s.data[s.pos] == '+' || s.data[s.pos] == '-') {
			s.pos++
		}
		if s.digits() == 0 {
			return k, s.fail("expected a digit")
		}
	}
	return k, nil
}

func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.pos - start
}

// unescape resolves the escapes of a string that the scanner has accepted. Half
// a surrogate pair becomes U+FFFD, as in encoding/json.
func unescape(raw []byte) string {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(raw[i+2:])
			i += 6
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if i+6 <= len(raw) && raw[i] == '\\' && raw[i+1] == 'u' {
					pair = utf16.DecodeRune(r, hex4(raw[i+2:]))
				}
				if pair != utf8.RuneError {
					i += 6
				}
				r = pair
			}
			out = utf8.AppendRune(out, r)
			continue
		default: // quote, backslash, slash
			out = append(out, c)
		}
		i += 2
	}
	return string(out)
}

func hex4(b []byte) rune {
	var r rune
	for _, c := range b[:4] {
		switch {
		case c <= '9':
			r = r<<4 | rune(c-'0')
		case c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			r = r<<4 | rune(c-'a'+10)
		}
	}
	return r
}
