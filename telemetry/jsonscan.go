package telemetry

import (
	"math/bits"
	"strconv"
	"unicode/utf16"
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
	found := ""
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

// str reads the string whose opening quote is at pos. The result aliases data, or
// unquote if there were escapes: then it is valid until the next such string is read.
func (s *jsonScanner) str() ([]byte, bool) {
	s.pos++
	start := s.pos
	ascii := true
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			b := s.data[start:s.pos]
			if !ascii && !utf8.Valid(b) {
				return nil, s.fail(CodeSyntax, "UTF-8", "other bytes before byte "+strconv.Itoa(s.pos))
			}
			s.pos++
			return b, true
		case c == '\\':
			return s.escaped(start)
		case c < 0x20:
			return nil, s.syntax("no control character in a string")
		case c >= utf8.RuneSelf:
			ascii = false
		}
		s.pos++
	}
	return nil, s.syntax("the end of a string")
}

// escaped goes on reading a string that began at start, from its first backslash.
func (s *jsonScanner) escaped(start int) ([]byte, bool) {
	out := append(s.unquote[:0], s.data[start:s.pos]...)
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		switch {
		case c == '"':
			s.unquote = out
			if !utf8.Valid(out) {
				return nil, s.fail(CodeSyntax, "UTF-8", "other bytes before byte "+strconv.Itoa(s.pos))
			}
			s.pos++
			return out, true
		case c < 0x20:
			return nil, s.syntax("no control character in a string")
		case c != '\\':
			out = append(out, c)
			s.pos++
			continue
		}
		s.pos++
		if s.pos >= len(s.data) {
			break
		}
		switch c = s.data[s.pos]; c {
		case '"', '\\', '/':
			out = append(out, c)
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
			r, ok := s.unicode()
			if !ok {
				return nil, false
			}
			out = utf8.AppendRune(out, r)
			continue
		default:
			return nil, s.syntax("an escape of RFC 8259")
		}
		s.pos++
	}
	return nil, s.syntax("the end of a string")
}

// unicode reads uXXXX at pos, and the second half of a surrogate pair after it. A
// surrogate without its other half is refused: it stands for no character.
func (s *jsonScanner) unicode() (rune, bool) {
	r, ok := s.hex4()
	if !ok {
		return 0, false
	}
	if !utf16.IsSurrogate(r) {
		return r, true
	}
	if s.pos+1 < len(s.data) && s.data[s.pos] == '\\' && s.data[s.pos+1] == 'u' {
		s.pos++
		low, ok := s.hex4()
		if !ok {
			return 0, false
		}
		if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
			return r, true
		}
	}
	return 0, s.fail(CodeSyntax, "both halves of a surrogate pair", "one before byte "+strconv.Itoa(s.pos))
}

// hex4 reads the u at pos and the four hexadecimal digits after it.
func (s *jsonScanner) hex4() (r rune, ok bool) {
	s.pos++
	for range 4 {
		c := byte(0)
		if s.pos < len(s.data) {
			c = s.data[s.pos]
		}
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, s.syntax("four hexadecimal digits")
		}
		r = r<<4 | rune(c)
		s.pos++
	}
	return r, true
}

// number is a decimal number: ±mantissa × 10^exp, with the mantissa cut at 19 digits.
type number struct {
	negative bool
	cut      bool // digits other than 0 were cut
	mantissa uint64
	exp      int
}

// number reads a JSON number.
func (s *jsonScanner) number() (n number, ok bool) {
	if c := s.peek(); c != '-' && (c < '0' || c > '9') {
		return n, s.wrongType("a number")
	}
	data, pos := s.data, s.pos
	if data[pos] == '-' {
		n.negative = true
		pos++
	}
	digits, first := 0, pos // significant digits; where the integer part starts
	for ; pos < len(data) && data[pos]-'0' <= 9; pos++ {
		n.digit(data[pos]-'0', &digits, 1)
	}
	if pos == first || data[first] == '0' && pos > first+1 {
		s.pos = min(pos, first+1)
		return n, s.syntax("a number of RFC 8259")
	}
	if pos < len(data) && data[pos] == '.' {
		pos++
		first = pos
		for ; pos < len(data) && data[pos]-'0' <= 9; pos++ {
			n.digit(data[pos]-'0', &digits, 0)
		}
		if pos == first {
			s.pos = pos
			return n, s.syntax("a digit after the decimal point")
		}
	}
	if pos < len(data) && data[pos]|0x20 == 'e' {
		pos++
		negative := false
		if pos < len(data) && (data[pos] == '+' || data[pos] == '-') {
			negative = data[pos] == '-'
			pos++
		}
		first = pos
		e := 0
		for ; pos < len(data) && data[pos]-'0' <= 9; pos++ {
			if e < 1e12 { // far beyond what the digits of any body can make up for
				e = e*10 + int(data[pos]-'0')
			}
		}
		if pos == first {
			s.pos = pos
			return n, s.syntax("a digit in the exponent")
		}
		if negative {
			e = -e
		}
		n.exp += e
	}
	s.pos = pos
	return n, true
}

// digit appends a digit; cutExp is what it adds to the exponent when it is cut, one
// more than when it is not.
func (n *number) digit(d byte, digits *int, cutExp int) {
	if *digits == 19 {
		n.cut = n.cut || d != 0
		n.exp += cutExp
		return
	}
	if d != 0 || *digits > 0 {
		*digits++
	}
	n.mantissa = n.mantissa*10 + uint64(d)
	n.exp += cutExp - 1
}

// huge stands for every value that is too large in magnitude to be of use.
const huge = 1 << 62

// fixed is the number times 10^places, rounded half away from zero; exact is false if
// that lost a fraction. Values beyond ±huge are ±huge.
func (n number) fixed(places int) (v int64, exact bool) {
	u, exact := n.mantissa, !n.cut
	switch exp := n.exp + places; {
	case u == 0 || exp == 0:
	case exp > 0:
		if exp >= len(pow10) {
			u = huge
			break
		}
		hi, lo := bits.Mul64(u, pow10[exp])
		if u = lo; hi != 0 {
			u = huge
		}
	case -exp >= len(pow10):
		u, exact = 0, false
	default:
		p := pow10[-exp]
		rest := u % p
		u /= p
		exact = exact && rest == 0
		if rest >= p/2 {
			u++
		}
	}
	v = int64(min(u, huge))
	if n.negative {
		v = -v
	}
	return v, exact
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
