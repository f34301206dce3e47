package telemetry

import (
	"strconv"
	"unicode/utf8"
)

// maxJSONDepth bounds how deeply a body may nest arrays and objects, its own included.
const maxJSONDepth = 64

// jsonScanner reads JSON (RFC 8259) token by token. Its methods return false after a
// fault, which is in err.
type jsonScanner struct {
	data    []byte
	pos     int
	depth   int
	err     *Invalid
	unquote []byte // scratch for strings with escapes
	at      place
}

// place is where the scanner is, kept so that a fault can name its JSON pointer without
// cost for bodies that have none.
type place struct {
	array  string // "/samples", "/events", "/trip", "/vehicle" or ""
	index  int    // in array; -1 outside of an element
	nested string // "/signals" or ""
	member []byte // the name read last; nil between members
}

// pointer renders the place (RFC 6901); names of unknown members are cut at 64 bytes.
func (p *place) pointer() string {
	b := append([]byte(nil), p.array...)
	if p.index >= 0 {
		b = strconv.AppendInt(append(b, '/'), int64(p.index), 10)
	}
	b = append(b, p.nested...)
	if p.member == nil {
		return string(b)
	}
	b = append(b, '/')
	member := p.member
	if len(member) > 64 {
		member = member[:64]
	}
	for _, r := range string(member) {
		switch r {
		case '~':
			b = append(b, "~0"...)
		case '/':
			b = append(b, "~1"...)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}

// fail records a fault at the current place.
func (s *jsonScanner) fail(code, expected, found string) bool {
	if s.err == nil {
		s.err = malformed(code, s.at.pointer(), expected, found)
	}
	return false
}

// syntax records that the next byte does not belong there.
func (s *jsonScanner) syntax(expected string) bool {
	if s.pos >= len(s.data) {
		return s.fail(CodeSyntax, expected, "the end of the body")
	}
	return s.fail(CodeSyntax, expected, strconv.QuoteRune(rune(s.data[s.pos]))+" at byte "+strconv.Itoa(s.pos))
}

// peek skips white space and returns the next byte without consuming it; 0 at the end.
func (s *jsonScanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\n', '\r', '\t':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// open consumes c, one of { and [, as the start of a value of a known member.
func (s *jsonScanner) open(c byte) bool {
	if s.peek() != c {
		if c == '{' {
			return s.wrongType("an object")
		}
		return s.wrongType("an array")
	}
	return s.enter()
}

// enter consumes the bracket at pos and counts the depth; leaving is the caller's part.
func (s *jsonScanner) enter() bool {
	s.pos++
	s.depth++
	if s.depth > maxJSONDepth {
		return s.fail(CodeTooDeep, "at most "+strconv.Itoa(maxJSONDepth)+" levels of nesting", "more")
	}
	return true
}

// more steps to the next element or member of what closes with end. first is true before
// the first one. It returns false at the end, whose bracket it consumes, and on a fault.
func (s *jsonScanner) more(end byte, first *bool) bool {
	c := s.peek()
	switch {
	case c == end:
		s.pos++
		s.depth--
		return false
	case *first:
		*first = false
		return true
	case c == ',':
		s.pos++
		if s.peek() == end {
			return s.syntax("another value after the comma")
		}
		return true
	case end == '}':
		return s.syntax("a comma or }")
	default:
		return s.syntax("a comma or ]")
	}
}

// key reads a member's name and the colon after it. The result is valid until the next
// string with an escape is read.
func (s *jsonScanner) key() ([]byte, bool) {
	s.at.member = nil
	if s.peek() != '"' {
		return nil, s.syntax("a member's name in quotes")
	}
	name, ok := s.str()
	if !ok {
		return nil, false
	}
	if s.peek() != ':' {
		return nil, s.syntax("a colon")
	}
	s.pos++
	s.at.member = name
	return name, true
}

// null consumes a null, which stands for an absent value.
func (s *jsonScanner) null() bool { return s.peek() == 'n' && s.word("null") }

// word consumes one of true, false and null at pos.
func (s *jsonScanner) word(w string) bool {
	if len(s.data)-s.pos < len(w) || string(s.data[s.pos:s.pos+len(w)]) != w {
		return s.syntax("a JSON value")
	}
	s.pos += len(w)
	return true
}

// boolean reads true or false.
func (s *jsonScanner) boolean() (v, ok bool) {
	switch s.peek() {
	case 't':
		return true, s.word("true")
	case 'f':
		return false, s.word("false")
	}
	return false, s.wrongType("true or false")
}

// text reads a string, like str.
func (s *jsonScanner) text() ([]byte, bool) {
	if s.peek() != '"' {
		return nil, s.wrongType("a string")
	}
	return s.str()
}

// wrongType records that the next value, which need not be whole, is of another type.
func (s *jsonScanner) wrongType(expected string) bool {
	var found string
	switch c := s.peek(); {
	case c == '{':
		found = "an object"
	case c == '[':
		found = "an array"
	case c == '"':
		found = "a string"
	case c == 't' || c == 'f':
		found = "true or false"
	case c == 'n':
		found = "null"
	case c == '-' || c >= '0' && c <= '9':
		found = "a number"
	default:
		return s.syntax(expected)
	}
	return s.fail(CodeType, expected, found)
}

// skip reads any value and forgets it.
func (s *jsonScanner) skip() bool {
	switch c := s.peek(); c {
	case '"':
		_, ok := s.str()
		return ok
	case '{', '[':
		return s.skipNested(c)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		if c != '-' && (c < '0' || c > '9') {
			return s.syntax("a JSON value")
		}
		_, ok := s.number()
		return ok
	}
}

// skipNested skips an object or array; its depth bounds the recursion.
func (s *jsonScanner) skipNested(c byte) bool {
	if !s.enter() {
		return false
	}
	first := true
	if c == '[' {
		for s.more(']', &first) {
			if !s.skip() {
				return false
			}
		}
		return s.err == nil
	}
	for s.more('}', &first) {
		if s.peek() != '"' {
			return s.syntax("a member's name in quotes")
		}
		if _, ok := s.str(); !ok {
			return false
		}
		if s.peek() != ':' {
			return s.syntax("a colon")
		}
		s.pos++
		if !s.skip() {
			return false
		}
	}
	return s.err == nil
}
