package road

import (
	"math"
	"slices"
	"testing"
)

func TestNumbersKeepWhatTheyHold(t *testing.T) {
	for _, tc := range []struct {
		list  []Span
		bytes int
	}{
		{nil, 0},
		{[]Span{0, 7, math.MaxUint16}, 6},
		{[]Span{0, 7, math.MaxUint16 + 1}, 12},
		{[]Span{math.MaxUint32, 1}, 8},
	} {
		n := numbersOf(tc.list)
		if n.bytes() != tc.bytes || n.len() != len(tc.list) {
			t.Errorf("%v: %d numbers in %d bytes, want %d in %d", tc.list, n.len(), n.bytes(), len(tc.list), tc.bytes)
		}
		for i, v := range tc.list {
			if n.at(i) != uint32(v) {
				t.Errorf("%v: number %d is %d", tc.list, i, n.at(i))
			}
		}
		for first := range tc.list {
			got := n.appendSpans([]Span{42}, uint32(first), uint32(len(tc.list)))
			if !slices.Equal(got[1:], tc.list[first:]) || got[0] != 42 {
				t.Errorf("%v from %d: %v", tc.list, first, got)
			}
		}
	}
}
