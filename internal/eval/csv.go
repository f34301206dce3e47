package eval

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ErrFormat is wrapped by every error about a file that is not of its set's form.
var ErrFormat = errors.New("not of the set's form")

// Columns reads a table of comma-separated values without quotes by the names in its first
// line. Not safe for concurrent use.
type Columns struct {
	sc    *bufio.Scanner
	place map[string]int
	row   []string
	line  int
}

// NewColumns reads the heading; the error wraps ErrFormat if a column that is needed is missing.
func NewColumns(r io.Reader, needed ...string) (*Columns, error) {
	c := &Columns{sc: bufio.NewScanner(r), place: map[string]int{}}
	if !c.Next() {
		return nil, fmt.Errorf("%w: empty", ErrFormat)
	}
	for i, name := range c.row {
		c.place[strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))] = i
	}
	for _, n := range needed {
		if _, ok := c.place[n]; !ok {
			return nil, fmt.Errorf("%w: no column %q", ErrFormat, n)
		}
	}
	return c, nil
}

// Next goes to the next line that is not blank; false at the end or after an error.
func (c *Columns) Next() bool {
	for c.sc.Scan() {
		c.line++
		if text := strings.TrimSuffix(c.sc.Text(), "\r"); text != "" {
			c.row = strings.Split(text, ",")
			return true
		}
	}
	return false
}

// Err is what ended the reading, nil at the end.
func (c *Columns) Err() error {
	if err := c.sc.Err(); err != nil {
		return fmt.Errorf("%w: line %d: %w", ErrFormat, c.line+1, err)
	}
	return nil
}

// Line is the current line's number, from 1.
func (c *Columns) Line() int { return c.line }

// Text is a value of the current line, "" if it has none.
func (c *Columns) Text(name string) string {
	i, ok := c.place[name]
	if !ok || i >= len(c.row) {
		return ""
	}
	return strings.TrimSpace(c.row[i])
}

// Number is a finite number of the current line; ok is false if there is none (also "NA").
func (c *Columns) Number(name string) (v float64, ok bool) {
	v, err := strconv.ParseFloat(c.Text(name), 64)
	return v, err == nil && v-v == 0
}
