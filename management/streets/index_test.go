package streets

import (
	"fmt"
	"slices"
	"testing"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

func segment(id uint64, name, ref string, class road.Class, lat, lon, metres float64) *road.Segment {
	return &road.Segment{
		ID: road.SegmentID(id), LengthM: metres, Shape: []geo.Point{geo.At(lat, lon), geo.At(lat, lon+0.001)},
		Attributes: road.Attributes{Name: name, Ref: ref, Class: class, Flags: road.Forward},
	}
}

func TestSearch(t *testing.T) {
	b := NewBuilder(1 << 20)
	for i, s := range []*road.Segment{
		segment(1, "Avinguda de Tarragona", "CG-1", road.Primary, 42.50, 1.50, 300),
		segment(2, "Avinguda de Tarragona", "CG-1", road.Primary, 42.52, 1.51, 900), // the neighbouring cell
		segment(3, "Carrer Major", "", road.Residential, 42.50, 1.50, 100),
		segment(4, "Carrer Major", "", road.Residential, 42.60, 1.60, 200), // another town
		segment(5, "Carrer de la Vall d’Incles", "", road.Tertiary, 42.58, 1.65, 400),
		segment(6, "Avinguda del Consell d'Europa", "", road.Secondary, 42.51, 1.54, 500),
		segment(7, "Carrer Mossèn Cinto Verdaguer", "", road.Residential, 42.51, 1.53, 150),
		segment(8, "Carretera de l'Obac", "CS-101", road.Secondary, 42.50, 1.55, 700),
		segment(9, "Tarragona", "", road.Residential, 42.55, 1.55, 50),
	} {
		if s.ID != road.SegmentID(i+1) {
			t.Fatal(i)
		}
		b.Add(s)
	}
	x := b.Build()
	for query, want := range map[string][]string{
		"tarragona":       {"Tarragona", "Avinguda de Tarragona"}, // called so, then has the word
		"AVINGUDA":        {"Avinguda de Tarragona", "Avinguda del Consell d'Europa"},
		"mossen":          {"Carrer Mossèn Cinto Verdaguer"},
		"Mossén verd":     {"Carrer Mossèn Cinto Verdaguer"},
		"dincles":         {"Carrer de la Vall d’Incles"},
		"carrer major":    {"Carrer Major", "Carrer Major"},
		"cg-1":            {"", "Avinguda de Tarragona"},
		"CG 1":            {"", "Avinguda de Tarragona"},
		"verdaguer cinto": {"Carrer Mossèn Cinto Verdaguer"},
		"nowhere":         nil, "": nil, "--": nil,
	} {
		var got []string
		for _, s := range x.Search(query, 10) {
			got = append(got, s.Name)
		}
		slices.Sort(got[min(1, len(got)):])
		if slices.Sort(want[min(1, len(want)):]); query == "cg-1" || query == "CG 1" {
			slices.Sort(got)
			slices.Sort(want)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
	}
	if s := x.Search("avinguda tarragona", 1)[0]; s.LengthM != 1200 || len(s.Edges) != 2 || s.At.LatE7 != 425200000 || s.Box.South != 425000000 {
		t.Errorf("one street of two cells: %+v", s)
	}
	if got := x.Search("carrer", 2); len(got) != 2 {
		t.Errorf("%d streets, want the 2 asked for", len(got))
	}
}

func TestIndexIsBounded(t *testing.T) {
	b := NewBuilder(10 * partBytes)
	for i := range 100 {
		b.Add(segment(uint64(i+1), fmt.Sprintf("Street %d", i), "", road.Residential, 42.5, 1.5, 100))
	}
	if x := b.Build(); !x.Full || len(x.streets) > 10 {
		t.Errorf("full %v with %d streets", x.Full, len(x.streets))
	}
}
