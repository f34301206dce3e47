package autosim

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// series is a line of a panel.
type series struct {
	name, colour string
	of           func(*Minute) float64
}

type panel struct {
	title  string
	lines  []series
	target float64 // a line across; 0: none
}

func (r *Result) panels(target time.Duration) []panel {
	return []panel{
		{title: "batches a second", lines: []series{
			{"sent by cars", "#e08a00", func(m *Minute) float64 { return m.Sent }}, {"made", "#2a78d6", func(m *Minute) float64 { return m.Made }},
		}},
		{title: "backlog, envelopes", lines: []series{{"in the queue", "#2a78d6", func(m *Minute) float64 { return float64(m.Backlog) }}}},
		{title: "age of the oldest, seconds", target: target.Seconds(), lines: []series{{"age", "#2a78d6", func(m *Minute) float64 { return m.Age }}}},
		{title: "tasks", lines: []series{
			{"workers", "#2a78d6", func(m *Minute) float64 { return m.Workers }}, {"receivers", "#1c9a6c", func(m *Minute) float64 { return m.Receivers }},
		}},
		{title: "USD since the start", lines: []series{{"receivers and workers", "#2a78d6", func(m *Minute) float64 { return m.USD }}}},
	}
}

// WriteSVG plots the course, one panel above the other.
func (r *Result) WriteSVG(w io.Writer, title string, target time.Duration) error {
	const width, height, left, top, gap = 960, 120, 70, 40, 38
	panels := r.panels(target)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12">`+"\n",
		left+width+20, top+len(panels)*(height+gap)+10)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="%d" y="22" font-size="15">%s</text>`+"\n", left, escape(title))
	var end float64
	if n := len(r.Minutes); n > 0 {
		end = r.Minutes[n-1].At.Hours()
	}
	x := func(hours float64) float64 { return left + width*hours/max(end, 1e-9) }
	for i, p := range panels {
		y0 := float64(top + i*(height+gap) + height + 14)
		high := p.target * 1.2
		for j := range r.Minutes {
			for _, l := range p.lines {
				high = max(high, l.of(&r.Minutes[j]))
			}
		}
		y := func(v float64) float64 { return y0 - height*v/max(high, 1e-9) }
		fmt.Fprintf(&b, `<text x="%d" y="%.0f">%s</text>`, left, y0-height-5, escape(p.title))
		for k, l := range p.lines {
			fmt.Fprintf(&b, `<text x="%d" y="%.0f" fill="%s">%s</text>`, left+250+150*k, y0-height-5, l.colour, escape(l.name))
		}
		fmt.Fprintf(&b, `<path d="M%d %.1fv%d h%d" fill="none" stroke="#999"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, y0-height, height, width, left-6, y0-height+9, Short(high))
		for h := 0.0; h <= end; h += max(1, math.Ceil(end/12)) {
			fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle" fill="#666">%g h</text>`, x(h), y0+15, h)
		}
		if p.target > 0 {
			fmt.Fprintf(&b, `<path d="M%d %.1fh%d" stroke="#c33" stroke-dasharray="4 3"/>`, left, y(p.target), width)
		}
		for _, l := range p.lines {
			fmt.Fprintf(&b, `<path fill="none" stroke="%s" stroke-width="1.3" d="`, l.colour)
			for j := range r.Minutes {
				m := &r.Minutes[j]
				fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(j, 1)], x(m.At.Hours()), y(l.of(m)))
			}
			b.WriteString("\"/>\n")
		}
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}

// Short writes a number in few characters.
func Short(v float64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e4, "k"}} {
		if math.Abs(v) >= u.of {
			if u.name == "k" {
				u.of = 1e3
			}
			return fmt.Sprintf("%.3g%s", v/u.of, u.name)
		}
	}
	if math.Abs(v) >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// Sparkline draws values in width characters, the greatest of each part, from 0 to the greatest of all.
func Sparkline(values []float64, width int) string {
	if len(values) == 0 || width < 1 {
		return ""
	}
	width = min(width, len(values))
	high := max(slices.Max(values), 1e-12)
	var b strings.Builder
	for i := range width {
		v := slices.Max(values[i*len(values)/width : (i+1)*len(values)/width])
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[min(7, int(8*max(0, v)/high))])
	}
	return b.String()
}

// Sparklines are the panels for a terminal.
func (r *Result) Sparklines(w io.Writer, target time.Duration, width int) error {
	for _, p := range r.panels(target) {
		for _, l := range p.lines {
			values := make([]float64, len(r.Minutes))
			for i := range r.Minutes {
				values[i] = l.of(&r.Minutes[i])
			}
			high := 0.0
			if len(values) > 0 {
				high = slices.Max(values)
			}
			if _, err := fmt.Fprintf(w, "  %-42s %s  %s\n", p.title+": "+l.name, Sparkline(values, width), Short(high)); err != nil {
				return err
			}
		}
	}
	return nil
}
