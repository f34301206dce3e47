package telemetry_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/telemetry"
)

func TestValidate(t *testing.T) {
	const (
		bad     = telemetry.KindMalformed
		outside = telemetry.KindOutsideWindow
	)
	now := testNow.UnixMilli()
	week := (7 * 24 * time.Hour).Milliseconds()
	five := (5 * time.Minute).Milliseconds()
	setID := func(ms int64) func(*telemetry.Batch) {
		return func(b *telemetry.Batch) {
			b.ID, _ = telemetry.NewBatchID(time.UnixMilli(ms), newGenerator(1))
		}
	}
	all := func(ms int64) func(*telemetry.Batch) {
		return func(b *telemetry.Batch) {
			for i := range b.Samples {
				b.Samples[i].T = ms
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*telemetry.Batch)
		kind   telemetry.Kind
		code   string // "" is valid
		where  string
	}{
		{"as it is", func(*telemetry.Batch) {}, 0, "", ""},
		{"equal times", func(b *telemetry.Batch) { b.Samples[1].T = b.Samples[0].T }, 0, "", ""},
		{"oldest", all(now - week), 0, "", ""},
		{"too old", all(now - week - 1), outside, telemetry.CodeWindow, "/samples/0/t"},
		{"newest", all(now + five), 0, "", ""},
		{"too far ahead", func(b *telemetry.Batch) { b.Samples[9].T = now + five + 1 }, outside, telemetry.CodeWindow, "/samples/9/t"},
		{"clock at 1970", all(0), outside, telemetry.CodeWindow, "/samples/0/t"},
		{"oldest id", setID(now - week), 0, "", ""},
		{"id too old", setID(now - week - 1), outside, telemetry.CodeWindow, "/batch_id"},
		{"id too far ahead", setID(now + five + 1), outside, telemetry.CodeWindow, "/batch_id"},
		{"id version", func(b *telemetry.Batch) { b.ID[6] ^= 0x10 }, bad, telemetry.CodeFormat, "/batch_id"},
		{"id variant", func(b *telemetry.Batch) { b.ID[8] ^= 0x40 }, bad, telemetry.CodeFormat, "/batch_id"},
		{"unordered", func(b *telemetry.Batch) { b.Samples[5].T = b.Samples[4].T - 1 }, bad, telemetry.CodeOrder, "/samples/5/t"},
		{"no samples", func(b *telemetry.Batch) { b.Samples = nil }, bad, telemetry.CodeRequired, "/samples"},
		{"lead-in", func(b *telemetry.Batch) { b.LeadIn = 10 }, bad, telemetry.CodeRange, "/lead_in"},
		{"wiper", func(b *telemetry.Batch) { b.Samples[2].Wiper = 4 }, bad, telemetry.CodeVocabulary, "/samples/2/signals/wiper"},
		{"event too old", func(b *telemetry.Batch) {
			b.Events = []telemetry.Event{{T: now - week - 1, Type: telemetry.HazardSeen, Hazard: telemetry.Obstacle}}
		}, outside, telemetry.CodeWindow, "/events/0/t"},
		{"event empty", func(b *telemetry.Batch) { b.Events = []telemetry.Event{{T: now}} }, bad, telemetry.CodeVocabulary, "/events/0/type"},
		{"many samples", func(b *telemetry.Batch) { b.Samples = make([]telemetry.Sample, 3601) }, telemetry.KindTooLarge, telemetry.CodeTooMany, "/samples"},
		{"many events", func(b *telemetry.Batch) { b.Events = make([]telemetry.Event, 3601) }, telemetry.KindTooLarge, telemetry.CodeTooMany, "/events"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newGenerator(8).drive(10)
			c.change(b)
			err := b.Validate(testNow, telemetry.DefaultLimits())
			if c.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantInvalid(t, err, c.kind, c.code, c.where)
		})
	}
}

func TestLimitsValidate(t *testing.T) {
	if err := telemetry.DefaultLimits().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*telemetry.Limits){
		"MaxBody":    func(l *telemetry.Limits) { l.MaxBody = 0 },
		"MaxDecoded": func(l *telemetry.Limits) { l.MaxDecoded = -1 },
		"MaxSamples": func(l *telemetry.Limits) { l.MaxSamples = telemetry.MaxSamplesCeiling + 1 },
		"MaxEvents":  func(l *telemetry.Limits) { l.MaxEvents = -1 },
		"MaxAhead":   func(l *telemetry.Limits) { l.MaxAhead = -time.Second },
		"MaxAge":     func(l *telemetry.Limits) { l.MaxAge = 0 },
	} {
		l := telemetry.DefaultLimits()
		change(&l)
		if err := l.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s out of range: error is %v", name, err)
		}
	}
}

func TestBatchID(t *testing.T) {
	at := time.UnixMilli(1764000000123)
	id, err := telemetry.NewBatchID(at, bytes.NewReader(bytes.Repeat([]byte{0xff}, 10)))
	if err != nil {
		t.Fatal(err)
	}
	const want = "019ab697-e87b-7fff-bfff-ffffffffffff"
	if got := id.String(); got != want {
		t.Errorf("id is %s, want %s", got, want)
	}
	if !id.Time().Equal(at) {
		t.Errorf("id's time is %v, want %v", id.Time(), at)
	}
	for _, s := range []string{want, strings.ToUpper(want)} {
		if got, err := telemetry.ParseBatchID(s); err != nil || got != id {
			t.Errorf("ParseBatchID(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", want[:35], want + "0", "{" + want[:35], strings.ReplaceAll(want, "-", ""), strings.Replace(want, "9", "g", 1),
		strings.Replace(want, "-7", "-4", 1), strings.Replace(want, "-b", "-7", 1), strings.Replace(want, "-", "0", 1),
	} {
		if _, err := telemetry.ParseBatchID(s); !errors.Is(err, telemetry.ErrBatchID) {
			t.Errorf("ParseBatchID(%q) = %v, want ErrBatchID", s, err)
		}
	}
	if _, err := telemetry.NewBatchID(time.UnixMilli(-1), newGenerator(1)); err == nil {
		t.Error("NewBatchID accepts a time before 1970")
	}
	if _, err := telemetry.NewBatchID(at, bytes.NewReader(nil)); err == nil {
		t.Error("NewBatchID goes without random bits")
	}
}
