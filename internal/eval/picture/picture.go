// Package picture draws roads, drives and what was made of them as SVG, so that a person
// sees where a matcher went wrong.
package picture

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"math"

	"github.com/carasso/carasso/mapdata/geo"
)

// Style is how a line or mark looks; later ones lie over earlier ones.
type Style int

// The styles.
const (
	Road    Style = iota // the network
	Truth                // the true way
	Matched              // the matched way
	Fix                  // a position as it was sent
	Wrong                // a sample that was matched wrongly
	Break                // where a chain of matches breaks off
	styles
)

var looks = [styles]struct{ name, css string }{
	Road:    {"road network", "fill:none;stroke:#b8b8b8;stroke-width:1"},
	Truth:   {"true route", "fill:none;stroke:#1a9641;stroke-width:7;stroke-opacity:.55;stroke-linejoin:round"},
	Matched: {"matched", "fill:none;stroke:#d7191c;stroke-width:2;stroke-linejoin:round"},
	Fix:     {"GPS", "fill:#2c5aa0"},
	Wrong:   {"wrong sample", "fill:none;stroke:#d7191c;stroke-width:1.5"},
	Break:   {"break", "fill:none;stroke:#7b1fa2;stroke-width:2.5"},
}

// radius of a dot of a style, in pixels.
var radius = [styles]float64{Fix: 1.8, Wrong: 4.5, Break: 7}

// The layout, in pixels.
const (
	side   = 720 // of a panel
	gap    = 16
	header = 64
	footer = 28
)

// Panel is a map of one box. Not safe for concurrent use.
type Panel struct {
	Title  string
	box    geo.Box
	scale  float64 // pixels a metre
	west   float64 // of the panel's left side, 1e-7 degrees
	north  float64 // of its top
	metres float64 // of 1e-7 degrees of longitude
	layers [styles]bytes.Buffer
}

// NewPanel is a square map around a box, widened to the square and by a margin. A box
// without extent is widened to 100 m.
func NewPanel(title string, box geo.Box) *Panel {
	mid := int32((int64(box.South) + int64(box.North)) / 2)
	p := &Panel{Title: title, metres: max(geo.Scale(mid), 1e-3*geo.MetresPerE7)}
	w := float64(int64(box.East)-int64(box.West)) * p.metres
	h := float64(int64(box.North)-int64(box.South)) * geo.MetresPerE7
	size := max(w, h, 100) * 1.1
	p.scale = side / size
	p.west = (float64(box.West)+float64(box.East))/2 - size/2/p.metres
	p.north = (float64(box.South)+float64(box.North))/2 + size/2/geo.MetresPerE7
	clamp := func(v float64) int32 { return int32(min(max(v, math.MinInt32), math.MaxInt32)) }
	p.box = geo.Box{
		West: clamp(p.west), East: clamp(p.west + size/p.metres),
		North: clamp(p.north), South: clamp(p.north - size/geo.MetresPerE7),
	}
	return p
}

// Line draws a course, unless it lies outside.
func (p *Panel) Line(s Style, course ...geo.Point) {
	if len(course) < 2 || !geo.BoxOf(course).Intersects(p.box) {
		return
	}
	b := &p.layers[s]
	for i, q := range course {
		x, y := p.place(q)
		c := byte('L')
		if i == 0 {
			c = 'M'
		}
		fmt.Fprintf(b, "%c%.1f %.1f", c, x, y)
	}
	b.WriteByte('\n')
}

// Dot marks a place, unless it lies outside.
func (p *Panel) Dot(s Style, at geo.Point) {
	if !p.box.Contains(at) {
		return
	}
	x, y := p.place(at)
	r := radius[s]
	// A circle as a path: two arcs.
	fmt.Fprintf(&p.layers[s], "M%.1f %.1fa%g %g 0 1 0 %g 0a%g %g 0 1 0 %g 0\n", x-r, y, r, r, 2*r, r, r, -2*r)
}

func (p *Panel) place(q geo.Point) (x, y float64) {
	return (float64(q.LonE7) - p.west) * p.metres * p.scale, (p.north - float64(q.LatE7)) * geo.MetresPerE7 * p.scale
}

// Write writes a picture of panels side by side under a title and lines of text.
func Write(w io.Writer, title, text string, panels ...*Panel) error {
	var b bytes.Buffer
	width := len(panels)*(side+gap) + gap
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="14">`+"\n", width, header+side+gap+footer)
	fmt.Fprintf(&b, "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<text x=\"%d\" y=\"24\" font-size=\"17\" font-weight=\"bold\">%s</text>\n<text x=\"%d\" y=\"46\">%s</text>\n",
		gap, html.EscapeString(title), gap, html.EscapeString(text))
	for i, p := range panels {
		x := gap + i*(side+gap)
		fmt.Fprintf(&b, "<clipPath id=\"c%d\"><rect width=\"%d\" height=\"%d\"/></clipPath>\n<g transform=\"translate(%d %d)\"><g clip-path=\"url(#c%d)\">\n", i, side, side, x, header, i)
		fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" fill=\"#fbfbf8\"/>\n", side, side)
		for s := range p.layers {
			if p.layers[s].Len() > 0 {
				fmt.Fprintf(&b, "<path style=\"%s\" d=\"%s\"/>\n", looks[s].css, bytes.TrimSpace(p.layers[s].Bytes()))
			}
		}
		b.WriteString("</g>\n")
		p.scaleBar(&b)
		fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#555\"/>\n<text x=\"8\" y=\"20\" stroke=\"#fff\" stroke-width=\"4\" paint-order=\"stroke\">%s</text>\n</g>\n", side, side, html.EscapeString(p.Title))
	}
	x := gap
	for s := range styles {
		if s < Fix {
			fmt.Fprintf(&b, "<path style=\"%s\" d=\"M%d %dh22\"/>", looks[s].css, x, header+side+gap+8)
		} else {
			fmt.Fprintf(&b, "<circle style=\"%s\" cx=\"%d\" cy=\"%d\" r=\"%g\"/>", looks[s].css, x+11, header+side+gap+8, radius[s])
		}
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\">%s</text>\n", x+28, header+side+gap+13, looks[s].name)
		x += 130
	}
	b.WriteString("</svg>\n")
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write picture: %w", err)
	}
	return nil
}

// scaleBar is a round length that takes at most a third of the width.
func (p *Panel) scaleBar(b *bytes.Buffer) {
	most := side / 3 / p.scale
	length := math.Pow(10, math.Floor(math.Log10(most)))
	for _, f := range [...]float64{5, 2} {
		if f*length <= most {
			length *= f
			break
		}
	}
	label := fmt.Sprintf("%g m", length)
	if length >= 1000 {
		label = fmt.Sprintf("%g km", length/1000)
	}
	fmt.Fprintf(b, "<path d=\"M12 %dv8h%.1fv-8\" fill=\"none\" stroke=\"#222\" stroke-width=\"2\"/><text x=\"18\" y=\"%d\" stroke=\"#fff\" stroke-width=\"3\" paint-order=\"stroke\">%s</text>\n", side-22, length*p.scale, side-20, label)
}
