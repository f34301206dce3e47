package sumo

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
)

// Row is one car at one second: what it may send, and where it really is.
type Row struct {
	T           int64 // ms since the simulation's start
	At          geo.Point
	SpeedCMPS   uint16
	HeadingCDeg uint16
	Edge        int32 // place in Traffic.Edges
}

// Car is one car's drive in order of time.
type Car struct {
	ID   string
	Rows []Row
}

// Traffic is all cars' drives. 1 million rows take about 32 MB.
type Traffic struct {
	Cars  []Car
	Edges []string // names of SUMO's edges, junctions' own (":…") among them
	Rows  int
}

// ReadTraffic reads the observations (t_s,vehicle_id,lat,lon,speed_mps,heading_deg,…) and
// beside them, row by row, the truth (t_s,vehicle_id,lane_id,…); both with a heading line.
// A lane's name is its edge's, an underscore and a number.
func ReadTraffic(obs, truth io.Reader, progress func(rows int)) (*Traffic, error) {
	t := &Traffic{}
	cars, edges := map[string]int32{}, map[string]int32{}
	a, b := bufio.NewScanner(obs), bufio.NewScanner(truth)
	a.Scan()
	b.Scan()
	var fa [6][]byte
	var fb [3][]byte
	for line := 2; a.Scan(); line++ {
		if !b.Scan() {
			return nil, fmt.Errorf("%w: line %d: the truth ends before the observations", eval.ErrFormat, line)
		}
		if !split(a.Bytes(), fa[:]) || !split(b.Bytes(), fb[:]) {
			return nil, fmt.Errorf("%w: line %d: too few columns", eval.ErrFormat, line)
		}
		if !bytes.Equal(fa[1], fb[1]) {
			return nil, fmt.Errorf("%w: line %d: observation and truth are of different cars", eval.ErrFormat, line)
		}
		var v [5]float64
		for i, field := range [...][]byte{fa[0], fa[2], fa[3], fa[4], fa[5]} {
			var err error
			if v[i], err = strconv.ParseFloat(string(field), 64); err != nil {
				return nil, fmt.Errorf("%w: line %d: %q is no number", eval.ErrFormat, line, field)
			}
		}
		if !(v[0] >= 0 && v[0] < 1e9 && v[1] >= -90 && v[1] <= 90 && v[2] >= -180 && v[2] <= 180 && v[3] >= 0 && v[3] <= 150 && v[4] >= 0 && v[4] <= 360) {
			return nil, fmt.Errorf("%w: line %d: a value out of range", eval.ErrFormat, line)
		}
		edge := fb[2]
		if i := bytes.LastIndexByte(edge, '_'); i >= 0 {
			edge = edge[:i]
		}
		e, ok := edges[string(edge)]
		if !ok {
			e = int32(len(t.Edges))
			edges[string(edge)] = e
			t.Edges = append(t.Edges, string(edge))
		}
		c, ok := cars[string(fa[1])]
		if !ok {
			c = int32(len(t.Cars))
			cars[string(fa[1])] = c
			t.Cars = append(t.Cars, Car{ID: string(fa[1])})
		}
		car := &t.Cars[c]
		ms := int64(v[0]*1000 + 0.5)
		if n := len(car.Rows); n > 0 && ms < car.Rows[n-1].T {
			return nil, fmt.Errorf("%w: line %d: time falls", eval.ErrFormat, line)
		}
		car.Rows = append(car.Rows, Row{
			T: ms, At: geo.At(v[1], v[2]),
			SpeedCMPS: uint16(v[3]*100 + 0.5), HeadingCDeg: uint16(v[4]*100+0.5) % 36000, Edge: e,
		})
		if t.Rows++; t.Rows%200_000 == 0 && progress != nil {
			progress(t.Rows)
		}
	}
	for _, sc := range [...]*bufio.Scanner{a, b} {
		if err := sc.Err(); err != nil {
			return nil, fmt.Errorf("%w: %w", eval.ErrFormat, err)
		}
	}
	return t, nil
}

// split cuts a line at its commas into the first fields; false if it has fewer.
func split(line []byte, fields [][]byte) bool {
	for i := range fields {
		end := bytes.IndexByte(line, ',')
		if end < 0 {
			if i < len(fields)-1 {
				return false
			}
			end = len(line)
		}
		fields[i] = line[:end]
		line = line[min(end+1, len(line)):]
	}
	return true
}
