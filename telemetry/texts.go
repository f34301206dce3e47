package telemetry

import "strings"

// texts makes strings out of a buffer that must not be kept, many to an allocation.
// A string keeps the whole block of 4 KiB alive. The zero value is ready; it must not be copied after
// its first use.
type texts struct{ block strings.Builder }

const textBlock = 4096

// clone returns b as a string; b is at most textBlock long.
func (t *texts) clone(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if t.block.Cap()-t.block.Len() < len(b) {
		t.block.Reset() // drops the block; strings made of it stay valid
		t.block.Grow(textBlock)
	}
	start := t.block.Len()
	t.block.Write(b)
	return t.block.String()[start:]
}
