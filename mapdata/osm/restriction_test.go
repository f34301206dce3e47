package osm

import (
	"bytes"
	"compress/bzip2"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	upstream "github.com/paulmach/osm"
	"github.com/paulmach/osm/osmxml"

	"github.com/carasso/carasso/mapdata/road"
)

func TestReadRestrictions(t *testing.T) {
	const members = `<member type="way" ref="1" role="from"/><member type="node" ref="2" role="via"/><member type="way" ref="-3" role="to"/>`
	one := func(only bool) []road.Restriction { return []road.Restriction{{From: 1, Via: 2, To: -3, Only: only}} }
	tests := map[string]struct {
		members string
		tags    string // key=value, separated by spaces
		want    []road.Restriction
		stats   Stats
	}{
		"no":                    {members, "type=restriction restriction=no_left_turn", one(false), Stats{Restrictions: 1}},
		"only":                  {members, "type=restriction restriction=only_straight_on", one(true), Stats{Restrictions: 1}},
		"for cars":              {members, "type=restriction restriction:motorcar=no_left_turn", one(false), Stats{Restrictions: 1}},
		"cars are special":      {members, "restriction:motorcar=only_right_turn restriction=no_left_turn type=restriction", one(true), Stats{Restrictions: 1}},
		"for lorries":           {members, "type=restriction restriction:hgv=no_left_turn", nil, Stats{}},
		"but not for cars":      {members, "type=restriction restriction=no_left_turn except=bus;motorcar", nil, Stats{}},
		"but not for buses":     {members, "type=restriction restriction=no_left_turn except=bus", one(false), Stats{Restrictions: 1}},
		"at times":              {members, "type=restriction restriction:conditional=no_left_turn@(08:00-10:00)", nil, Stats{ConditionalRestrictions: 1}},
		"at times, as of old":   {members, "type=restriction restriction=no_left_turn hour_on=07:00 hour_off=09:00", nil, Stats{ConditionalRestrictions: 1}},
		"over a way":            {strings.Replace(members, `"node"`, `"way"`, 1), "type=restriction restriction=no_u_turn", nil, Stats{ViaWayRestrictions: 1}},
		"without a way":         {members[:strings.LastIndex(members, "<")], "type=restriction restriction=no_left_turn", nil, Stats{BadRestrictions: 1}},
		"another relation":      {members, "type=route restriction=no_left_turn", nil, Stats{}},
		"nothing known":         {members, "type=restriction restriction=yes", nil, Stats{}},
		"only, from two":        {members + `<member type="way" ref="9" role="from"/>`, "type=restriction restriction=only_straight_on", nil, Stats{BadRestrictions: 1}},
		"no entry, from two":    {members + `<member type="way" ref="9" role="from"/>`, "type=restriction restriction=no_entry", append(one(false), road.Restriction{From: 9, Via: 2, To: -3}), Stats{Restrictions: 1}},
		"members that say else": {members + `<member type="node" ref="4" role="location_hint"/>`, "type=restriction restriction=no_u_turn", one(false), Stats{Restrictions: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var file strings.Builder
			file.WriteString(`<osm><relation id="5">` + tt.members)
			for s := range strings.FieldsSeq(tt.tags) {
				k, v, _ := strings.Cut(s, "=")
				fmt.Fprintf(&file, "<tag k=%q v=%q/>", k, v)
			}
			file.WriteString("</relation></osm>")
			got, stats, err := Read(t.Context(), strings.NewReader(file.String()))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Restrictions); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.stats, stats); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The same relations through paulmach/osm.
func TestRestrictionsAgreeWithUpstream(t *testing.T) {
	b := testdata(t, "andorra-latest.osm.bz2")
	extract, stats, err := Read(t.Context(), bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	s := osmxml.New(t.Context(), bzip2.NewReader(bytes.NewReader(b)))
	defer s.Close()
	want := map[road.Restriction]bool{}
	for s.Scan() {
		r, ok := s.Object().(*upstream.Relation)
		value := ""
		if ok && r.Tags.Find("type") == "restriction" {
			value = r.Tags.Find("restriction")
		}
		if value == "" || strings.Contains(r.Tags.Find("except"), "motor") || r.Tags.Find("hour_on")+r.Tags.Find("day_on")+r.Tags.Find("restriction:conditional") != "" {
			continue
		}
		turn := road.Restriction{Only: strings.HasPrefix(value, "only_")}
		complete := 0
		for _, m := range r.Members {
			switch {
			case m.Role == "from" && m.Type == upstream.TypeWay:
				turn.From = m.Ref
			case m.Role == "via" && m.Type == upstream.TypeNode:
				turn.Via = m.Ref
			case m.Role == "to" && m.Type == upstream.TypeWay:
				turn.To = m.Ref
			default:
				continue
			}
			complete++
		}
		if complete == 3 {
			want[turn] = true
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	got := map[road.Restriction]bool{}
	for _, r := range extract.Restrictions {
		got[r] = true
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) < 10 {
		t.Error(diff)
	}
	t.Logf("%+v", stats)
}

// FuzzRead proves that no file makes the readers panic.
func FuzzRead(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(`<osm><relation id="5"><member type="way" ref="1" role="from"/><tag k="type" v="restriction"/><tag k="restriction" v="no_exit"/></relation></osm>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		extract, _, err := Read(t.Context(), bytes.NewReader(b))
		if err == nil {
			road.Build(extract.Ways, extract.Restrictions...)
		}
	})
}

// FuzzBlock goes past a file's frames and compression.
func FuzzBlock(f *testing.F) {
	// A string table of "", "type", "restriction", "no_exit", "from"; a group with a relation.
	f.Add([]byte("\x0a\x25\x0a\x00\x0a\x04type\x0a\x0brestriction\x0a\x07no_exit\x0a\x04from" +
		"\x12\x16\x22\x14\x08\x05\x12\x02\x01\x02\x1a\x02\x02\x03\x42\x01\x04\x4a\x01\x02\x52\x01\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var b block
		c := &collector{sorted: true}
		if b.scan(data, c) == nil {
			c.roads()
		}
	})
}
