package management

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

// maxYear is the last of which times are taken: some room is left before what answers and the database can write.
const maxYear = 9000

// params reads a request's query parameters and keeps the first thing that is wrong, as a
// problem that names the parameter, what was expected and an example.
type params struct {
	values url.Values
	err    *problem.Problem
}

// newParams also refuses parameters that are not known or given twice: a misspelt name
// that is ignored answers a question that nobody asked.
func newParams(raw string, known ...string) *params {
	values, err := url.ParseQuery(raw)
	p := &params{values: values}
	if err != nil {
		p.err = problem.New(problem.InvalidRequest, "The query string is not URL-encoded.")
		return p
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(known, name) {
			p.fail(name, "is not a parameter of this path", "one of "+strings.Join(known, ", "))
		} else if len(values[name]) > 1 {
			p.fail(name, "is given more than once", "once")
		} else if v := values[name][0]; !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl) {
			p.fail(name, "is not UTF-8, or holds control characters", "text")
		}
	}
	return p
}

func (p *params) fail(name, what, expected string) {
	if p.err == nil {
		p.err = &problem.Problem{Kind: problem.InvalidRequest, Detail: "Parameter " + name + " " + what + ".", Expected: expected}
	}
}

// problem is the first thing that was wrong; nil as an error if there is none.
func (p *params) problem() error {
	if p.err == nil {
		return nil
	}
	return p.err
}

func (p *params) get(name string) (string, bool) {
	v := p.values.Get(name)
	return v, v != ""
}

// choice is one of the given values; the first is the default.
func (p *params) choice(name string, values ...string) string {
	v, ok := p.get(name)
	if !ok {
		return values[0]
	}
	if !slices.Contains(values, v) {
		p.fail(name, "is "+quote(v), "one of "+strings.Join(values, ", "))
	}
	return v
}

func (p *params) boolean(name string, fallback bool) bool {
	v, ok := p.get(name)
	if !ok {
		return fallback
	}
	if v != "true" && v != "false" {
		p.fail(name, "is "+quote(v), "true or false")
	}
	return v == "true"
}

func (p *params) integer(name string, fallback, low, high int) int {
	v, ok := p.get(name)
	if !ok {
		return fallback
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		p.fail(name, "is "+quote(v), fmt.Sprintf("a whole number from %d to %d, such as %d", low, high, fallback))
	}
	return n
}

// instant accepts RFC 3339 and Unix time in ms.
func (p *params) instant(name string, fallback time.Time) time.Time {
	v, ok := p.get(name)
	if !ok {
		return fallback
	}
	var t time.Time
	ms, err := strconv.ParseInt(v, 10, 64)
	if err == nil {
		t = time.UnixMilli(ms)
	} else { // a plus sign that was not encoded arrives as a space
		t, err = time.Parse(time.RFC3339Nano, strings.ReplaceAll(v, " ", "+"))
	}
	if t = t.UTC(); err != nil || t.Year() < 1970 || t.Year() > maxYear {
		p.fail(name, "is "+quote(v), "RFC 3339 such as 2026-11-23T17:00:00Z, or ms since 1970-01-01 such as 1795453200000, up to the year "+strconv.Itoa(maxYear))
		return fallback
	}
	return t
}

// period reads from and to, a half-open range of at most longest. It defaults to the
// time span before now.
func (p *params) period(now time.Time, span, longest time.Duration) (from, to time.Time) {
	to = p.instant("to", now.UTC())
	from = p.instant("from", to.Add(-span))
	switch {
	case p.err != nil:
	case !from.Before(to):
		p.fail("from", "is not before to ("+from.Format(time.RFC3339)+" and "+to.Format(time.RFC3339)+")", "an earlier time than to")
	case to.Sub(from) > longest:
		p.fail("from", "makes the range "+to.Sub(from).Round(time.Minute).String()+" long",
			fmt.Sprintf("at most %g days before to", longest.Hours()/24))
	}
	return from, to
}

// bbox reads west, south, east, north in degrees, of which west < east and south < north.
func (p *params) bbox(name string) (b geo.Box) {
	const expected = "west,south,east,north in degrees (WGS 84), west < east, south < north, within ±180 and ±85.05, such as 1.48,42.48,1.57,42.54"
	v, ok := p.get(name)
	if !ok {
		p.fail(name, "is missing", expected)
		return b
	}
	parts := strings.Split(v, ",")
	if len(parts) != 4 {
		p.fail(name, fmt.Sprintf("has %d numbers", len(parts)), expected)
		return b
	}
	var f [4]float64
	for i, part := range parts {
		n, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			p.fail(name, "has "+quote(part)+" where a number should be", expected)
			return b
		}
		f[i] = n
	}
	if f[0] >= f[2] || f[1] >= f[3] || f[0] < -180 || f[2] > 180 || f[1] < -geo.MaxLatitude || f[3] > geo.MaxLatitude {
		p.fail(name, "is "+quote(v), expected)
		return b
	}
	return geo.BoxOf([]geo.Point{geo.At(f[1], f[0]), geo.At(f[3], f[2])})
}

// area is bbox, but the whole world if it is missing.
func (p *params) area(name string) geo.Box {
	if _, ok := p.get(name); !ok {
		return geo.BoxOf([]geo.Point{geo.At(-90, -180), geo.At(90, 180)})
	}
	return p.bbox(name)
}

// atMostTiles refuses a box that touches more tiles of zoom 14 than a query may read.
func (p *params) atMostTiles(name string, b geo.Box, most int) {
	if p.err != nil {
		return
	}
	if n := tileCount(b); n > most {
		p.fail(name, fmt.Sprintf("covers %d map tiles of zoom 14", n), fmt.Sprintf("at most %d tiles; ask for a smaller area", most))
	}
}

// cursor is where a page begins: the id that next_cursor of the page before named.
func (p *params) cursor(name string) uint64 {
	c, ok := p.get(name)
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(c, 10, 53)
	if err != nil {
		p.fail(name, "is "+quote(c), "next_cursor of the page before")
	}
	return n
}

// edge is the directed segment that the request's path names.
func (p *params) edge(r *http.Request) road.Edge {
	raw := chi.URLParam(r, "edge")
	n, err := strconv.ParseUint(raw, 10, 64)
	if err != nil || n == 0 || n > uint64(road.MaxEdge) {
		p.fail("edge", "is "+quote(raw), "the id of a directed segment, the property edge of a feature of /v1/segments")
	}
	return road.Edge(n)
}

// quote shortens what a client sent, for showing it back.
func quote(v string) string {
	const most = 60
	if len(v) > most {
		v = strings.ToValidUTF8(v[:most], "") + "…"
	}
	return strconv.Quote(v)
}
