package datex_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/management/datex"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

var update = flag.Bool("update", false, "write the golden files anew")

var at = time.Date(2026, 11, 30, 17, 0, 0, 123_000_000, time.UTC)

func one(id uint64, category telemetry.Hazard) datex.Situation {
	return datex.Situation{
		Revision: hazard.Revision{
			Hazard: hazard.Hazard{
				ID: id, Category: category, Edge: 7, At: geo.At(42.5063, 1.5218), Probability: 0.97, Vehicles: 3,
				StartedMS: at.Add(-10 * time.Minute).UnixMilli(), UpdatedMS: at.Add(-2 * time.Minute).UnixMilli(),
			},
			Seq: int64(id) * 10, FirstAt: at.Add(-9 * time.Minute), ChangedAt: at.Add(-time.Minute),
		},
		BearingDeg: 359.7,
	}
}

// every is a publication with every category, in every form.
func every() *datex.Publication {
	p := &datex.Publication{Publisher: datex.DefaultPublisher(), At: at}
	for c := telemetry.SlipperyRoad; c <= telemetry.HardBraking; c++ {
		p.Situations = append(p.Situations, one(uint64(c), c))
	}
	line := &p.Situations[0]
	line.Line = []geo.Point{geo.At(42.5063, 1.5218), geo.At(42.507, -0.0000001), geo.At(-42, 1.53)}
	line.RoadName, line.RoadNumber = `Avinguda "Tarragona" <& Riberaygua's> — čšž 道`, "CG-1"
	line.Probability = 0.995
	ended := &p.Situations[2]
	ended.EndedMS, ended.Probability = at.Add(-time.Minute).UnixMilli(), 0
	ended.RoadNumber = "N\x00\x1b20"
	away := &p.Situations[3]
	away.Edge, away.BearingDeg, away.Probability = 0, -1, 0.6
	return p
}

func TestMarshalGolden(t *testing.T) {
	for name, p := range map[string]*datex.Publication{
		"every.xml": every(),
		"empty.xml": {Publisher: datex.Publisher{Country: "ad", Identifier: "MOBILITAT", Test: true}, At: at},
	} {
		got, err := datex.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, wrong := range newSchema().check(got) {
			t.Errorf("%s: %s", name, wrong)
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from its golden file (-update writes it anew):\n%s", name, got)
		}
	}
}

// A document that says the same in other words, with other prefixes, is in order as well: the check is of the format, not of this encoder.
const foreign = `<?xml version="1.0"?>
<p:payload xmlns:p="http://datex2.eu/schema/3/d2Payload" xmlns:c="http://datex2.eu/schema/3/common" xmlns:s="http://datex2.eu/schema/3/situation"
	xmlns:l="http://datex2.eu/schema/3/locationReferencing" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"
	i:type="s:SituationPublication" lang="nl" modelBaseVersion="3">
<c:publicationTime>2026-11-30T21:12:00.002147974Z</c:publicationTime>
<c:publicationCreator><c:country>nl</c:country><c:nationalIdentifier>X</c:nationalIdentifier></c:publicationCreator>
<s:situation id="a"><s:headerInformation><c:informationStatus>real</c:informationStatus></s:headerInformation>
<s:situationRecord i:type="s:VehicleObstruction" id="b" version="1">
<s:situationRecordCreationTime>2026-11-30T20:05:00+01:00</s:situationRecordCreationTime><s:situationRecordVersionTime>2026-11-30T20:05:00Z</s:situationRecordVersionTime>
<s:probabilityOfOccurrence>certain</s:probabilityOfOccurrence>
<s:source><c:sourceName><c:values><c:value>Y</c:value></c:values></c:sourceName></s:source>
<s:validity><c:validityStatus>active</c:validityStatus><c:validityTimeSpecification><c:overallStartTime>2026-11-30T20:05:00Z</c:overallStartTime></c:validityTimeSpecification></s:validity>
<s:locationReference i:type="l:PointLocation"><l:pointByCoordinates><l:bearing>121</l:bearing><l:pointCoordinates><l:latitude>51.4</l:latitude><l:longitude>4</l:longitude></l:pointCoordinates></l:pointByCoordinates></s:locationReference>
<s:mobilityOfObstruction><s:mobilityType>stationary</s:mobilityType></s:mobilityOfObstruction><s:vehicleObstructionType>brokenDownVehicle</s:vehicleObstructionType>
</s:situationRecord></s:situation></p:payload>`

// The check itself finds what is wrong.
func TestStructureCheck(t *testing.T) {
	s := newSchema()
	if wrong := s.check([]byte(foreign)); len(wrong) > 0 {
		t.Fatalf("a document in order: %q", wrong)
	}
	for name, change := range map[string][2]string{
		"order":              {"<s:mobilityOfObstruction><s:mobilityType>stationary</s:mobilityType></s:mobilityOfObstruction><s:vehicleObstructionType>brokenDownVehicle</s:vehicleObstructionType>", "<s:vehicleObstructionType>brokenDownVehicle</s:vehicleObstructionType><s:mobilityOfObstruction><s:mobilityType>stationary</s:mobilityType></s:mobilityOfObstruction>"},
		"missing":            {"<s:probabilityOfOccurrence>certain</s:probabilityOfOccurrence>", ""},
		"twice":              {"<c:country>nl</c:country>", "<c:country>nl</c:country><c:country>nl</c:country>"},
		"enumeration":        {"certain", "sure"},
		"type":               {"s:VehicleObstruction", "s:Accident"},
		"abstract":           {"s:VehicleObstruction", "s:Obstruction"},
		"unrelated type":     {`i:type="l:PointLocation"`, `i:type="s:Accident"`},
		"attribute missing":  {` version="1"`, ""},
		"attribute unknown":  {`lang="nl"`, `lang="nl" x="1"`},
		"namespace":          {"schema/3/common", "schema/2/common"},
		"bearing":            {"121", "360"},
		"time":               {"2026-11-30T21:12:00.002147974Z", "2026-11-31T21:12:00Z"},
		"text":               {"<s:situation id", "x<s:situation id"},
		"not closed":         {"</p:payload>", ""},
		"element of no type": {"<c:sourceName>", "<c:sourceNote>"},
	} {
		doc := strings.Replace(foreign, change[0], change[1], 1)
		if doc == foreign {
			t.Fatalf("%s: nothing changed", name)
		}
		if len(s.check([]byte(doc))) == 0 {
			t.Errorf("%s: nothing was found", name)
		}
	}
}

func TestMarshalIsDeterministic(t *testing.T) {
	first, err := datex.Marshal(every())
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := datex.Marshal(every())
		if err != nil || !bytes.Equal(first, again) {
			t.Fatalf("another document: %v", err)
		}
	}
}

func TestMarshalRefuses(t *testing.T) {
	for name, situations := range map[string][]datex.Situation{
		"twice":            {one(3, telemetry.Accident), one(3, telemetry.Accident)},
		"unsorted":         {one(3, telemetry.Accident), one(2, telemetry.Accident)},
		"unknown category": {one(3, telemetry.HardBraking+1)},
		"no category":      {one(3, telemetry.HazardUnknown)},
	} {
		if _, err := datex.Marshal(&datex.Publication{Publisher: datex.DefaultPublisher(), At: at, Situations: situations}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Names of roads come from a map that anybody edits: whatever they hold, the document stays in order and says them.
func FuzzNames(f *testing.F) {
	f.Add("</loc:roadName>", "&amp;")
	f.Add("]]><!--", "\x00\xff\ufffe")
	f.Add(strings.Repeat("道", 2000), " ")
	structure := newSchema()
	f.Fuzz(func(t *testing.T, name, number string) {
		s := one(1, telemetry.SlipperyRoad)
		s.RoadName, s.RoadNumber = name, number
		doc, err := datex.Marshal(&datex.Publication{Publisher: datex.DefaultPublisher(), At: at, Situations: []datex.Situation{s}})
		if err != nil {
			t.Fatal(err)
		}
		if wrong := structure.check(doc); len(wrong) > 0 {
			t.Fatalf("%q", wrong)
		}
	})
}

func segment(id road.SegmentID, from, to int64, points ...geo.Point) *road.Segment {
	return &road.Segment{ID: id, From: from, To: to, Shape: points}
}

func TestStretch(t *testing.T) {
	a, b, c, d := geo.At(1, 1), geo.At(1, 2), geo.At(2, 2), geo.At(3, 2)
	ab, cb, cd := segment(1, 10, 20, a, b), segment(2, 30, 20, c, b), segment(3, 30, 40, c, d)
	for name, tt := range map[string]struct {
		parts []datex.Part
		want  []geo.Point
	}{
		"none":          {nil, nil},
		"one":           {[]datex.Part{{ab, false}}, []geo.Point{a, b}},
		"one, against":  {[]datex.Part{{ab, true}}, []geo.Point{b, a}},
		"in a row":      {[]datex.Part{{ab, false}, {cb, true}, {cd, false}}, []geo.Point{a, b, c, d}},
		"in disorder":   {[]datex.Part{{cd, false}, {ab, false}, {cb, true}}, []geo.Point{a, b, c, d}},
		"gap":           {[]datex.Part{{ab, false}, {cd, false}}, nil},
		"both ways":     {[]datex.Part{{ab, false}, {ab, true}}, nil},
		"fork":          {[]datex.Part{{ab, false}, {cb, true}, {segment(4, 20, 50, b, d), false}}, nil},
		"confluence":    {[]datex.Part{{ab, false}, {cb, false}}, nil},
		"ring and tail": {[]datex.Part{{ab, false}, {segment(5, 30, 40, c, d), false}, {segment(6, 40, 30, d, c), false}}, nil},
		"too long":      {[]datex.Part{{segment(7, 1, 2, slices.Repeat([]geo.Point{a, b}, 1001)...), false}}, nil},
	} {
		if got := datex.Stretch(tt.parts); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestBearing(t *testing.T) {
	bend := segment(1, 1, 2, geo.At(42, 1), geo.At(42, 1.01), geo.At(42.01, 1.01))
	for _, tt := range []struct {
		at      geo.Point
		against bool
		want    float64
	}{
		{geo.At(42, 1.005), false, 90}, {geo.At(42.005, 1.01), false, 0}, {geo.At(42, 1.005), true, 270}, {geo.At(42.008, 1.0101), true, 180},
	} {
		if got := datex.Bearing(datex.Part{Segment: bend, Against: tt.against}, tt.at); got < tt.want-0.5 || got > tt.want+0.5 {
			t.Errorf("at %v, against %v: %v, want %v", tt.at, tt.against, got, tt.want)
		}
	}
}

func TestPublisherValidate(t *testing.T) {
	for _, p := range []datex.Publisher{{}, {Country: "AD", Identifier: "x"}, {Country: "ad"}, {Country: "ad", Identifier: "a b"}} {
		if p.Validate() == nil {
			t.Errorf("%+v is taken", p)
		}
	}
	if err := datex.DefaultPublisher().Validate(); err != nil {
		t.Error(err)
	}
}
