// Package kubicka scores the map matcher on the tracks of Kubicka, Cela, Moulin, Mounier
// and Niculescu, "Dataset for testing and training of map-matching algorithms", IEEE IV
// 2015: real 1 Hz tracks from around the world, each with its own road network and its
// true route, marked by hand.
package kubicka

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

// maxRows bounds each file.
const maxRows = 1 << 24

// Case is one track with its network and its truth.
type Case struct {
	Name   string // its number, eight digits
	Nodes  []geo.Point
	Arcs   []Arc
	Track  []telemetry.Sample // positions and times only
	Route  []int32            // the true arcs in the order driven
	Breaks int                // places in the true route where an arc does not start where the one before ends
}

// Arc is a directed straight piece of road between two nodes.
type Arc struct{ From, To int32 }

// ReadCase reads the four files of a track's folder.
func ReadCase(dir string) (*Case, error) {
	c := &Case{Name: filepath.Base(dir)}
	base := filepath.Join(dir, c.Name)
	for _, f := range [...]struct {
		ext  string
		read func(io.Reader) error
	}{
		{".nodes", func(r io.Reader) (err error) { c.Nodes, err = ReadNodes(r); return err }},
		{".arcs", func(r io.Reader) (err error) { c.Arcs, err = ReadArcs(r, len(c.Nodes)); return err }},
		{".track", func(r io.Reader) (err error) { c.Track, err = ReadTrack(r); return err }},
		{".route", func(r io.Reader) (err error) { c.Route, err = ReadRoute(r, len(c.Arcs)); return err }},
	} {
		if err := readFile(base+f.ext, f.read); err != nil {
			return nil, err
		}
	}
	if len(c.Route) == 0 || len(c.Track) == 0 {
		return nil, fmt.Errorf("%s: %w: an empty track or route", dir, eval.ErrFormat)
	}
	for i := 1; i < len(c.Route); i++ {
		if c.Arcs[c.Route[i-1]].To != c.Arcs[c.Route[i]].From {
			c.Breaks++
		}
	}
	return c, nil
}

func readFile(path string, read func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := read(f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// ReadNodes reads lon TAB lat a line; the n-th line is node n, from 0.
func ReadNodes(r io.Reader) ([]geo.Point, error) {
	var nodes []geo.Point
	err := eachLine(r, 2, func(f []float64) error {
		p, err := point(f[0], f[1])
		nodes = append(nodes, p)
		return err
	})
	return nodes, err
}

// ReadArcs reads from TAB to a line, numbers of nodes; the n-th line is arc n, from 0.
func ReadArcs(r io.Reader, nodes int) ([]Arc, error) {
	var arcs []Arc
	err := eachLine(r, 2, func(f []float64) error {
		from, err := number(f[0], nodes)
		if err != nil {
			return err
		}
		to, err := number(f[1], nodes)
		arcs = append(arcs, Arc{from, to})
		return err
	})
	return arcs, err
}

// ReadTrack reads lon TAB lat TAB seconds a line. Times must not fall.
func ReadTrack(r io.Reader) ([]telemetry.Sample, error) {
	var track []telemetry.Sample
	err := eachLine(r, 3, func(f []float64) error {
		p, err := point(f[0], f[1])
		if err != nil {
			return err
		}
		if f[2] < 0 || f[2] > 1e10 {
			return fmt.Errorf("time %g", f[2])
		}
		s := telemetry.Sample{T: int64(math.Round(f[2] * 1000)), LatE7: p.LatE7, LonE7: p.LonE7}
		if n := len(track); n > 0 && s.T < track[n-1].T {
			return errors.New("time falls")
		}
		track = append(track, s)
		return nil
	})
	return track, err
}

// ReadRoute reads the number of an arc a line.
func ReadRoute(r io.Reader, arcs int) ([]int32, error) {
	var route []int32
	err := eachLine(r, 1, func(f []float64) error {
		a, err := number(f[0], arcs)
		route = append(route, a)
		return err
	})
	return route, err
}

// WriteRoute writes the form that ReadRoute reads.
func WriteRoute(w io.Writer, route []int32) error {
	b := bufio.NewWriter(w)
	for _, a := range route {
		if _, err := fmt.Fprintln(b, a); err != nil {
			return fmt.Errorf("write route: %w", err)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write route: %w", err)
	}
	return nil
}

func point(lon, lat float64) (geo.Point, error) {
	if !(math.Abs(lon) <= 180 && math.Abs(lat) <= 90) { // also not a number
		return geo.Point{}, fmt.Errorf("no place on Earth: %g, %g", lon, lat)
	}
	return geo.At(lat, lon), nil
}

// number is a whole number from 0 to n-1.
func number(v float64, n int) (int32, error) {
	if !(v >= 0 && v < float64(n)) || v != math.Trunc(v) {
		return 0, fmt.Errorf("%g is no number from 0 to %d", v, n-1)
	}
	return int32(v), nil
}

// eachLine calls visit with the first n numbers of each line that is not blank.
func eachLine(r io.Reader, n int, visit func([]float64) error) error {
	sc := bufio.NewScanner(r)
	values := make([]float64, n)
	rows := 0
	for line := 1; sc.Scan(); line++ {
		fields := strings.Fields(sc.Text())
		if len(fields) == 0 {
			continue
		}
		if rows++; rows > maxRows {
			return fmt.Errorf("%w: more than %d lines", eval.ErrFormat, maxRows)
		}
		if len(fields) < n {
			return fmt.Errorf("%w: line %d: %d numbers, expected %d", eval.ErrFormat, line, len(fields), n)
		}
		for i := range values {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return fmt.Errorf("%w: line %d: %q is no number", eval.ErrFormat, line, fields[i])
			}
			values[i] = v
		}
		if err := visit(values); err != nil {
			return fmt.Errorf("%w: line %d: %w", eval.ErrFormat, line, err)
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("%w: %w", eval.ErrFormat, err)
	}
	return nil
}
