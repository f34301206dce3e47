package telemetry

import "math/bits"

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
	if n, ok = s.plainNumber(); ok {
		return n, true
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

// plainNumber is the short cut for numbers of at most 18 digits and no exponent. If the
// one at pos is another, or faulty, it returns false and consumes nothing.
func (s *jsonScanner) plainNumber() (n number, ok bool) {
	data, pos := s.data, s.pos
	negative := data[pos] == '-'
	if negative {
		pos++
	}
	start := pos
	mantissa := uint64(0) // overflows only if there are too many digits
	for pos < len(data) && data[pos]-'0' <= 9 {
		mantissa = mantissa*10 + uint64(data[pos]-'0')
		pos++
	}
	if pos == start || pos > start+1 && data[start] == '0' {
		return n, false
	}
	exp := 0
	if pos < len(data) && data[pos] == '.' {
		pos++
		point := pos
		for pos < len(data) && data[pos]-'0' <= 9 {
			mantissa = mantissa*10 + uint64(data[pos]-'0')
			pos++
		}
		if exp = point - pos; exp == 0 {
			return n, false
		}
	}
	if pos-start > 18 || pos < len(data) && data[pos]|0x20 == 'e' {
		return n, false
	}
	s.pos = pos
	return number{negative: negative, mantissa: mantissa, exp: exp}, true
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
