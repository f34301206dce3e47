package osm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// xmlScanner reads OSM XML element by element. It knows as much of XML 1.0 as extracts
// use: UTF-8, elements, attributes, entities, comments, declarations. encoding/xml takes
// ten times as long, which a start of the demo would feel.
type xmlScanner struct {
	r    *bufio.Reader
	long []byte // an element that did not come in one piece
}

const (
	maxElement = 1 << 20 // bytes of one tag with its attributes
	maxRefs    = 1 << 20 // nodes in a way; OSM allows 2,000
	maxMembers = 1 << 10 // of a relation that are looked at; restrictions have three
)

func scanXML(ctx context.Context, r *bufio.Reader, c *collector) error {
	s := &xmlScanner{r: r}
	var (
		refs       []int64
		members    []member
		tags       []tag
		wayID      int64
		inWay      bool
		inRelation bool
		root       bool
	)
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		el, err := s.next()
		if err != nil {
			return err
		}
		if !root {
			if el.name != "osm" || el.closing {
				return fmt.Errorf("%w: its root element is %q, not osm", ErrFormat, el.name)
			}
			root = true
			if el.empty {
				return nil
			}
			continue
		}
		switch el.name {
		case "node":
			if el.closing {
				continue
			}
			if err := el.node(c); err != nil {
				return err
			}
		case "way":
			if el.closing {
				if inWay {
					c.way(wayID, refs, tags)
				}
				inWay = false
				continue
			}
			id, ok := integer(el.attr("id"))
			if !ok {
				return fmt.Errorf("%w: a way without an id", ErrFormat)
			}
			wayID, inWay, inRelation, refs, tags = id, !el.empty, false, refs[:0], tags[:0]
		case "relation":
			if inRelation && el.closing {
				c.relation(members, tags)
			}
			inRelation, inWay = !el.closing && !el.empty, false
			members, tags = members[:0], tags[:0]
		case "member":
			if role := wantedRole(el.attr("role")); inRelation && !el.closing && role != "" && len(members) < maxMembers {
				m, ok := el.member(role)
				if !ok {
					return fmt.Errorf("%w: a bad member", ErrFormat)
				}
				members = append(members, m)
			}
		case "nd":
			if !inWay || el.closing {
				continue
			}
			ref, ok := integer(el.attr("ref"))
			if !ok || len(refs) == maxRefs {
				return fmt.Errorf("%w: way %d: a bad nd, or too many", ErrFormat, wayID)
			}
			refs = append(refs, ref)
		case "tag":
			if el.closing || !inWay && !inRelation {
				continue
			}
			key := el.attr("k")
			if inWay && wanted(key) || inRelation && wantedOfRelation(key) {
				tags = append(tags, tag{string(key), unescape(el.attr("v"))})
			}
		case "osm":
			if el.closing {
				return nil
			}
		}
	}
}

// element is one start or end tag; valid until the next one is read.
type element struct {
	name           string
	closing, empty bool
	attrs          []byte
}

func (e *element) node(c *collector) error {
	id, ok := integer(e.attr("id"))
	if !ok {
		return fmt.Errorf("%w: a node without an id", ErrFormat)
	}
	lat, ok1 := decimalE7(e.attr("lat"))
	lon, ok2 := decimalE7(e.attr("lon"))
	if !ok1 || !ok2 { // deleted nodes have none
		lat, lon = math.MaxInt64, math.MaxInt64
	}
	c.node(id, lat, lon)
	return nil
}

// member is a relation's member; ok is false if it has no id or no known type.
func (e *element) member(role string) (m member, ok bool) {
	id, ok := integer(e.attr("ref"))
	switch string(e.attr("type")) {
	case "node":
		return member{id, nodeKind, role}, ok
	case "way":
		return member{id, wayKind, role}, ok
	case "relation":
		return member{id, relationKind, role}, ok
	default:
		return m, false
	}
}

// next reads up to the end of the next element's tag.
func (s *xmlScanner) next() (element, error) {
	for {
		b, err := s.tag()
		if err != nil {
			return element{}, err
		}
		switch b[1] {
		case '!', '?':
			continue
		case '/':
			return element{name: elementName(bytes.TrimRight(b[2:len(b)-1], " \t\r\n")), closing: true}, nil
		}
		el := element{}
		body := b[1 : len(b)-1]
		if body[len(body)-1] == '/' {
			el.empty, body = true, body[:len(body)-1]
		}
		name := body
		if i := bytes.IndexAny(body, " \t\r\n"); i >= 0 {
			name, el.attrs = body[:i], body[i+1:]
		}
		el.name = elementName(name)
		return el, nil
	}
}

// elementName avoids an allocation for the usual names.
func elementName(b []byte) string {
	switch string(b) {
	case "node":
		return "node"
	case "way":
		return "way"
	case "nd":
		return "nd"
	case "tag":
		return "tag"
	case "relation":
		return "relation"
	case "member":
		return "member"
	}
	return string(b)
}

// tag is the next tag from its '<' to its '>', at least one byte between them.
func (s *xmlScanner) tag() ([]byte, error) {
	_, err := s.r.ReadSlice('<')
	for errors.Is(err, bufio.ErrBufferFull) { // long text: nothing that we read
		_, err = s.r.ReadSlice('<')
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: no closing osm element", ErrTruncated)
		}
		return nil, err
	}
	s.long = append(s.long[:0], '<')
	for {
		piece, err := s.r.ReadSlice('>')
		s.long = append(s.long, piece...)
		switch {
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%w: within an element", ErrTruncated)
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(s.long) > maxElement:
			return nil, fmt.Errorf("%w: an element of more than %d bytes", ErrFormat, maxElement)
		case err == nil && complete(s.long):
			if len(s.long) < 3 || string(s.long) == "</>" {
				return nil, fmt.Errorf("%w: an element without a name", ErrFormat)
			}
			return s.long, nil
		}
	}
}

// complete reports whether the '>' at the end of b ends the tag: it does not within a
// comment or a quoted value.
func complete(b []byte) bool {
	if bytes.HasPrefix(b, []byte("<!--")) {
		return len(b) >= 7 && bytes.HasSuffix(b, []byte("-->"))
	}
	if bytes.HasPrefix(b, []byte("<![CDATA[")) {
		return bytes.HasSuffix(b, []byte("]]>"))
	}
	var quote byte
	for {
		if quote != 0 {
			i := bytes.IndexByte(b, quote)
			if i < 0 {
				return false
			}
			b, quote = b[i+1:], 0
			continue
		}
		i := bytes.IndexByte(b, '"')
		if j := bytes.IndexByte(b, '\''); j >= 0 && (i < 0 || j < i) {
			i = j
		}
		if i < 0 {
			return true
		}
		quote, b = b[i], b[i+1:]
	}
}

// attr is an attribute's raw value; nil if there is none.
func (e *element) attr(name string) []byte {
	b := e.attrs
	for {
		eq := bytes.IndexByte(b, '=')
		if eq < 0 {
			return nil
		}
		key := bytes.Trim(b[:eq], " \t\r\n")
		b = bytes.TrimLeft(b[eq+1:], " \t\r\n")
		if len(b) == 0 || b[0] != '"' && b[0] != '\'' {
			return nil
		}
		end := bytes.IndexByte(b[1:], b[0])
		if end < 0 {
			return nil
		}
		if string(key) == name {
			return b[1 : 1+end]
		}
		b = b[end+2:]
	}
}

func integer(b []byte) (int64, bool) {
	neg := len(b) > 1 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var v int64
	for _, ch := range b {
		if ch < '0' || ch > '9' {
			return 0, false
		}
		v = 10*v + int64(ch-'0')
	}
	if neg {
		v = -v
	}
	return v, true
}

// decimalE7 is a number of degrees as a count of 1e-7 degrees, rounded.
func decimalE7(b []byte) (int64, bool) {
	digits, places, dot, neg := int64(0), 0, false, false
	for i, ch := range b {
		switch {
		case ch == '-' && i == 0:
			neg = true
		case ch == '.' && !dot:
			dot = true
		case ch >= '0' && ch <= '9' && places < 7 && digits < 1e15:
			digits = 10*digits + int64(ch-'0')
			if dot {
				places++
			}
		default: // more places, an exponent, or no number
			v, err := strconv.ParseFloat(string(b), 64)
			if err != nil || !(math.Abs(v) <= 1e3) {
				return 0, false
			}
			return int64(math.Round(v * 1e7)), true
		}
	}
	if len(b) == 0 || digits == 0 && !bytes.ContainsAny(b, "0") {
		return 0, false
	}
	for ; places < 7; places++ {
		digits *= 10
		if digits > 1e15 {
			return 0, false
		}
	}
	if neg {
		digits = -digits
	}
	return digits, true
}

// unescape resolves the five named entities and numeric ones; others stay as they are.
func unescape(b []byte) string {
	if bytes.IndexByte(b, '&') < 0 {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	var out strings.Builder
	for {
		i := bytes.IndexByte(b, '&')
		if i < 0 {
			break
		}
		out.Write(b[:i])
		b = b[i:]
		end := bytes.IndexByte(b, ';')
		if end < 0 {
			break
		}
		if r, ok := entity(string(b[1:end])); ok {
			out.WriteRune(r)
			b = b[end+1:]
			continue
		}
		out.WriteByte('&')
		b = b[1:]
	}
	out.Write(b)
	return strings.ToValidUTF8(out.String(), "\uFFFD")
}

func entity(name string) (rune, bool) {
	switch name {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	num, ok := strings.CutPrefix(name, "#")
	if !ok {
		return 0, false
	}
	base := 10
	if hex, isHex := strings.CutPrefix(num, "x"); isHex {
		num, base = hex, 16
	}
	v, err := strconv.ParseUint(num, base, 32)
	if err != nil || v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
		return 0, false
	}
	return rune(v), true
}
