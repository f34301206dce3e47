package main

import (
	"maps"
	"slices"
)

// sorted is a map's keys in order: what is made from a map must come out the same each time.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
