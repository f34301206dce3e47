package telemetry

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// str reads the string whose opening quote is at pos. The result aliases data, or
// unquote if there were escapes: then it is valid until the next such string is read.
func (s *jsonScanner) str() ([]byte, bool) {
	s.pos++
	data, start := s.data, s.pos
	high := byte(0)
	for pos := start; pos < len(data); pos++ {
		switch c := data[pos]; {
		case c == '"':
			s.pos = pos
			b := data[start:pos]
			if high >= utf8.RuneSelf && !utf8.Valid(b) {
				return nil, s.fail(CodeSyntax, "UTF-8", "other bytes before byte "+strconv.Itoa(pos))
			}
			s.pos++
			return b, true
		case c == '\\':
			s.pos = pos
			return s.escaped(start)
		case c < 0x20:
			s.pos = pos
			return nil, s.syntax("no control character in a string")
		default:
			high |= c
		}
	}
	s.pos = len(data)
	return nil, s.syntax("the end of a string")
}

// escaped goes on reading a string that began at start, from its first backslash.
func (s *jsonScanner) escaped(start int) ([]byte, bool) {
	out := s.unquote[:0]
	out = append(out, s.data[start:s.pos]...)
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
