// Package eval scores what the system learns against data that others made: the shared
// parts of all sets. Each set has a package of its own below this one, with a Run that
// reads a folder and returns a Report.
package eval

import (
	"fmt"
	"io"
)

// Options is what every set is run with.
type Options struct {
	Dir      string    // the set's folder: archives as delivered, or unpacked
	Out      string    // where to write results in the set's own form; "": nowhere
	Pictures string    // where to draw the worst cases; "": nowhere
	Progress io.Writer // what is being done, for a person; nil: nowhere
	Workers  int       // how many cases at once, ≥ 1
}

// Logf writes a line of progress.
func (o *Options) Logf(format string, args ...any) {
	if o.Progress != nil {
		fmt.Fprintf(o.Progress, format+"\n", args...)
	}
}

// Aim is a figure with what it should be.
type Aim struct {
	Name   string
	Want   float64
	Got    float64
	Unit   string // printed after the numbers: "%", "km/h"
	Places int    // digits after the point
	Least  bool   // the figure should be at least Want; else at most
	Note   string
}

// Met reports whether the aim is reached; a figure that is not a number is not.
func (a *Aim) Met() bool {
	if a.Least {
		return a.Got >= a.Want
	}
	return a.Got <= a.Want
}

// Report is what a set's run found.
type Report struct {
	Title  string
	Notes  []string // how it was measured
	Tables []*Table
	Aims   []Aim
	Files  []string // pictures and results that were written
}

// Met reports whether all aims are reached.
func (r *Report) Met() bool {
	for i := range r.Aims {
		if !r.Aims[i].Met() {
			return false
		}
	}
	return true
}

// Write prints the report.
func (r *Report) Write(w io.Writer) error {
	p := &printer{w: w}
	p.printf("== %s ==\n", r.Title)
	for _, n := range r.Notes {
		p.printf("%s\n", n)
	}
	for _, t := range r.Tables {
		p.printf("\n")
		p.table(t)
	}
	if len(r.Aims) > 0 {
		p.printf("\n")
		p.table(AimTable(r.Aims))
	}
	if len(r.Files) > 0 {
		p.printf("\nwritten:\n")
		for _, f := range r.Files {
			p.printf("  %s\n", f)
		}
	}
	if p.err != nil {
		return fmt.Errorf("write report: %w", p.err)
	}
	return nil
}

// AimTable is a table of aims: what was aimed at, what came out, and whether it is met.
func AimTable(aims []Aim) *Table {
	t := NewTable("", "AIM", "WANTED", "RESULT", "MET", "")
	for i := range aims {
		a := &aims[i]
		sign := "≤"
		if a.Least {
			sign = "≥"
		}
		met := "met"
		if !a.Met() {
			met = "MISSED"
		}
		t.Row(a.Name, fmt.Sprintf("%s %.*f %s", sign, a.Places, a.Want, a.Unit), fmt.Sprintf("%.*f %s", a.Places, a.Got, a.Unit), met, a.Note)
	}
	t.Text(4)
	return t
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
