package eval

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Table is text in aligned columns: the first column to the left, the others to the right.
type Table struct {
	Title string
	head  []string
	rows  [][]string
	text  map[int]bool // columns aligned to the left
}

// NewTable is an empty table.
func NewTable(title string, head ...string) *Table {
	return &Table{Title: title, head: head, text: map[int]bool{0: true}}
}

// Text aligns a column (from 0) to the left.
func (t *Table) Text(column int) { t.text[column] = true }

// Row adds a row: strings as they are, floats with two places, everything else by %v.
func (t *Table) Row(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		switch v := c.(type) {
		case string:
			row[i] = v
		case float64:
			row[i] = fmt.Sprintf("%.2f", v)
		default:
			row[i] = fmt.Sprint(v)
		}
	}
	t.rows = append(t.rows, row)
}

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

func (p *printer) table(t *Table) {
	if t.Title != "" {
		p.printf("%s\n", t.Title)
	}
	width := make([]int, len(t.head))
	all := append([][]string{t.head}, t.rows...)
	for _, r := range all {
		for i, c := range r[:min(len(r), len(width))] {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, r := range all {
		var b strings.Builder
		for i, c := range r[:min(len(r), len(width))] {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			b.WriteString("  ")
			if t.text[i] {
				b.WriteString(c + pad)
			} else {
				b.WriteString(pad + c)
			}
		}
		p.printf("%s\n", strings.TrimRight(b.String(), " "))
	}
}
