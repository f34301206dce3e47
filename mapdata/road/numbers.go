package road

import (
	"math"
	"slices"
)

// numbers is an immutable list of numbers that takes two bytes for each as long as all of
// them fit, as they do in a partition, and else four. The zero value is empty.
type numbers struct {
	narrow []uint16
	wide   []uint32 // empty if narrow is not
}

func numbersOf[N ~uint32](list []N) numbers {
	if len(list) == 0 {
		return numbers{}
	}
	if slices.Max(list) <= math.MaxUint16 {
		n := numbers{narrow: make([]uint16, len(list))}
		for i, v := range list {
			n.narrow[i] = uint16(v)
		}
		return n
	}
	n := numbers{wide: make([]uint32, len(list))}
	for i, v := range list {
		n.wide[i] = uint32(v)
	}
	return n
}

func (n *numbers) at(i int) uint32 {
	if len(n.wide) > 0 {
		return n.wide[i]
	}
	return uint32(n.narrow[i])
}

func (n *numbers) len() int { return len(n.narrow) + len(n.wide) }

func (n *numbers) bytes() int { return 2*len(n.narrow) + 4*len(n.wide) }

// appendSpans appends the numbers from first to before end, which are spans.
func (n *numbers) appendSpans(buf []Span, first, end uint32) []Span {
	if len(n.wide) > 0 {
		for _, v := range n.wide[first:end] {
			buf = append(buf, Span(v))
		}
		return buf
	}
	for _, v := range n.narrow[first:end] {
		buf = append(buf, Span(v))
	}
	return buf
}
