package autosim

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestSVGIsXML(t *testing.T) {
	c := even(func(time.Duration) float64 { return 1000 })
	r := run(t, c)
	var b bytes.Buffer
	if err := r.WriteSVG(&b, "a <title> & more", c.AgeTarget); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(&b)
	paths := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "path" {
			paths++
		}
	}
	if paths != 5+1+7 { // axes, the target, the lines
		t.Errorf("%d paths", paths)
	}
	if err := new(Result).WriteSVG(io.Discard, "", time.Second); err != nil {
		t.Error(err)
	}
}

func TestSparkline(t *testing.T) {
	for _, c := range []struct {
		values []float64
		width  int
		want   string
	}{
		{nil, 10, ""},
		{[]float64{0, 0}, 10, "▁▁"},
		{[]float64{0, 4, 8}, 3, "▁▅█"},
		{[]float64{0, 8, 1, 1, 0, 0}, 3, "█▂▁"},
	} {
		if got := Sparkline(c.values, c.width); got != c.want {
			t.Errorf("%v: %s, want %s", c.values, got, c.want)
		}
	}
	var b strings.Builder
	if err := new(Result).Sparklines(&b, time.Second, 10); err != nil || !strings.Contains(b.String(), "workers") {
		t.Errorf("%v %s", err, b.String())
	}
}

func TestLimits(t *testing.T) {
	c := DefaultConfig()
	m := Measured{SamplesPerBatch: 10, DatabaseCPUPerMillion: 2.5, DatabaseClaimsPerS: 150_000, ObjectPutsPerMillion: 40, EnvelopesHeldPerWorker: 128, TilesPerS: 100}
	// 95,000 batches a second: 10 workers, 32 receivers; 950,000 samples a second × 2.5 µs / 0.5 = 4.75 processors of 2.
	got := map[string][2]float64{}
	limits := Limits(95_000, 120, &c, m, 2)
	for _, l := range limits {
		got[l.Part] = [2]float64{l.Need, l.Can}
	}
	for part, want := range map[string][2]float64{
		"receivers": {32, 20}, "workers": {10, 50}, "database processors": {4.75, 2}, "claims": {95_000, 150_000},
		"database connections": {310, 950}, "envelopes in flight": {1280, 120_000}, "archive PUTs": {38, 3500}, "tiles published": {120, 100},
	} {
		if got[part] != want {
			t.Errorf("%s: %v, want %v", part, got[part], want)
		}
	}
	if limits[0].Part != "database processors" || limits[1].Part != "receivers" {
		t.Errorf("first %s, then %s", limits[0].Part, limits[1].Part)
	}
}
