// Package streets finds streets by name: an index of the map's names and numbers of roads.
package streets

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// words are what of a text counts in a search, in order: runs of letters and digits, in lower case and without
// accents (compatibility decomposition of Unicode, marks left out).
func words(text string) []string {
	folded := strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		case r == '\'' || r == '’' || r == '·': // inside of words, and often left out
			return -1
		default:
			return ' '
		}
	}, norm.NFKD.String(text))
	return strings.Fields(folded)
}
