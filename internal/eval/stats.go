package eval

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Median is the middle value, NaN of none.
func Median(v []float64) float64 { return Percentile(v, 0.5) }

// Percentile is the value below which a share p (0 to 1) lies, interpolated between
// neighbours; NaN of none.
func Percentile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	at := p * float64(len(s)-1)
	i := int(at)
	if i+1 >= len(s) {
		return s[len(s)-1]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}

// Mean is the arithmetic mean, NaN of none.
func Mean(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	var sum float64
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// Share is part of whole in percent; NaN if the whole is nothing.
func Share[T int | int64 | uint64 | float64](part, whole T) float64 {
	if whole == 0 {
		return math.NaN()
	}
	return 100 * float64(part) / float64(whole)
}

// Counts is a list of counts by name, "12 late, 3 broken"; "none" if there are none.
func Counts(counts map[string]int) string {
	var parts []string
	for _, name := range sortedKeys(counts) {
		if counts[name] != 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[name], name))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func sortedKeys(counts map[string]int) []string { return slices.Sorted(maps.Keys(counts)) }
