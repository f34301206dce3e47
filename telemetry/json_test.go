package telemetry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/carasso/carasso/telemetry"
)

func wantInvalid(t *testing.T, err error, kind telemetry.Kind, code, pointer string) {
	t.Helper()
	var invalid *telemetry.Invalid
	if !errors.As(err, &invalid) {
		t.Fatalf("error is %v, want an Invalid %s at %q", err, code, pointer)
	}
	if invalid.Kind != kind || invalid.Code != code || invalid.Pointer != pointer {
		t.Fatalf("got %s %s at %q (%v), want %s %s at %q", invalid.Kind, invalid.Code, invalid.Pointer, err, kind, code, pointer)
	}
	if invalid.Expected == "" {
		t.Fatalf("%v does not say what was expected", err)
	}
}

const (
	goodID     = `"batch_id":"019ab123-4567-7abc-8def-0123456789ab"`
	goodSample = `{"t":1764000000123,"lat":42.5,"lon":1.5}`
)

// withSample is a body whose second sample has these further members.
func withSample(members string) string {
	return `{` + goodID + `,"samples":[` + goodSample + `,{"t":1764000000123,"lat":42.5,"lon":1.5,` + members + `}]}`
}

// withEvent is a body with this event.
func withEvent(event string) string {
	return `{` + goodID + `,"samples":[` + goodSample + `],"events":[` + event + `]}`
}

// with is a body with these further members.
func with(members string) string {
	return `{` + goodID + `,"samples":[` + goodSample + `],` + members + `}`
}

func TestDecodeJSONRefuses(t *testing.T) {
	long := strings.Repeat("x", 129)
	for _, c := range []struct{ name, body, code, pointer string }{
		{"empty", ``, telemetry.CodeSyntax, ""},
		{"no object", `[]`, telemetry.CodeType, ""},
		{"cut short", `{` + goodID + `,"samples":[` + goodSample, telemetry.CodeSyntax, "/samples/1"},
		{"cut in a number", `{` + goodID + `,"samples":[{"t":17`, telemetry.CodeSyntax, "/samples/0/t"},
		{"trailing data", with(`"x":1`) + `{}`, telemetry.CodeSyntax, ""},
		{"byte order mark", "\xef\xbb\xbf" + with(`"x":1`), telemetry.CodeSyntax, ""},
		{"trailing comma", with(`"x":1,`), telemetry.CodeSyntax, ""},
		{"single quotes", with(`'x':1`), telemetry.CodeSyntax, ""},
		{"no batch_id", `{"samples":[` + goodSample + `]}`, telemetry.CodeRequired, "/batch_id"},
		{"batch_id null", `{"batch_id":null,"samples":[` + goodSample + `]}`, telemetry.CodeType, "/batch_id"},
		{"batch_id no UUID", `{"batch_id":"x","samples":[` + goodSample + `]}`, telemetry.CodeFormat, "/batch_id"},
		{"batch_id UUIDv4", `{"batch_id":"019ab123-4567-4abc-8def-0123456789ab","samples":[]}`, telemetry.CodeFormat, "/batch_id"},
		{"no samples", `{` + goodID + `}`, telemetry.CodeRequired, "/samples"},
		{"samples null", `{` + goodID + `,"samples":null}`, telemetry.CodeType, "/samples"},
		{"samples empty", `{` + goodID + `,"samples":[]}`, telemetry.CodeRequired, "/samples"},
		{"samples object", `{` + goodID + `,"samples":{}}`, telemetry.CodeType, "/samples"},
		{"sample number", `{` + goodID + `,"samples":[` + goodSample + `,5]}`, telemetry.CodeType, "/samples/1"},
		{"sample null", `{` + goodID + `,"samples":[null]}`, telemetry.CodeType, "/samples/0"},
		{"sample without t", `{` + goodID + `,"samples":[{"lat":1,"lon":1}]}`, telemetry.CodeRequired, "/samples/0/t"},
		{"sample without lat", `{` + goodID + `,"samples":[{"t":1,"lon":1}]}`, telemetry.CodeRequired, "/samples/0/lat"},
		{"sample without lon", `{` + goodID + `,"samples":[{"t":1,"lat":1}]}`, telemetry.CodeRequired, "/samples/0/lon"},
		{"lat null", `{` + goodID + `,"samples":[{"t":1,"lat":null,"lon":1}]}`, telemetry.CodeType, "/samples/0/lat"},
		{"lat string", `{` + goodID + `,"samples":[{"t":1,"lat":"42","lon":1}]}`, telemetry.CodeType, "/samples/0/lat"},
		{"lat NaN string", `{` + goodID + `,"samples":[{"t":1,"lat":"NaN","lon":1}]}`, telemetry.CodeType, "/samples/0/lat"},
		{"lat NaN", `{` + goodID + `,"samples":[{"t":1,"lat":NaN,"lon":1}]}`, telemetry.CodeSyntax, "/samples/0/lat"},
		{"lat infinity", `{` + goodID + `,"samples":[{"t":1,"lat":-Infinity,"lon":1}]}`, telemetry.CodeSyntax, "/samples/0/lat"},
		{"lat 1e999", `{` + goodID + `,"samples":[{"t":1,"lat":1e999,"lon":1}]}`, telemetry.CodeRange, "/samples/0/lat"},
		{"lat over 90", `{` + goodID + `,"samples":[{"t":1,"lat":90.0000001,"lon":1}]}`, telemetry.CodeRange, "/samples/0/lat"},
		{"lon under -180", `{` + goodID + `,"samples":[{"t":1,"lat":1,"lon":-180.0000001}]}`, telemetry.CodeRange, "/samples/0/lon"},
		{"lat leading zero", `{` + goodID + `,"samples":[{"t":1,"lat":042,"lon":1}]}`, telemetry.CodeSyntax, "/samples/0/lat"},
		{"lat bare point", `{` + goodID + `,"samples":[{"t":1,"lat":42.,"lon":1}]}`, telemetry.CodeSyntax, "/samples/0/lat"},
		{"lat leading plus", `{` + goodID + `,"samples":[{"t":1,"lat":+42,"lon":1}]}`, telemetry.CodeSyntax, "/samples/0/lat"},
		{"t negative", `{` + goodID + `,"samples":[{"t":-1,"lat":42,"lon":1}]}`, telemetry.CodeRange, "/samples/0/t"},
		{"t twice", withSample(`"t":1764000000123`), telemetry.CodeDuplicate, "/samples/1/t"},
		{"speed over 150", withSample(`"speed_mps":150.005`), telemetry.CodeRange, "/samples/1/speed_mps"},
		{"heading over 360", withSample(`"heading_deg":360.01`), telemetry.CodeRange, "/samples/1/heading_deg"},
		{"heading negative", withSample(`"heading_deg":-1`), telemetry.CodeRange, "/samples/1/heading_deg"},
		{"signals array", withSample(`"signals":[]`), telemetry.CodeType, "/samples/1/signals"},
		{"flag number", withSample(`"signals":{"abs_active":1}`), telemetry.CodeType, "/samples/1/signals/abs_active"},
		{"wiper unknown", withSample(`"signals":{"wiper":"hyper"}`), telemetry.CodeVocabulary, "/samples/1/signals/wiper"},
		{"wiper number", withSample(`"signals":{"wiper":2}`), telemetry.CodeType, "/samples/1/signals/wiper"},
		{"rain over 100", withSample(`"signals":{"rain_pct":101}`), telemetry.CodeRange, "/samples/1/signals/rain_pct"},
		{"times unordered", `{` + goodID + `,"samples":[` + goodSample + `,{"t":1764000000122,"lat":42,"lon":1}]}`, telemetry.CodeOrder, "/samples/1/t"},
		{"lead_in all", with(`"lead_in":1`), telemetry.CodeRange, "/lead_in"},
		{"lead_in fraction", with(`"lead_in":0.5`), telemetry.CodeRange, "/lead_in"},
		{"lead_in negative", with(`"lead_in":-1`), telemetry.CodeRange, "/lead_in"},
		{"vehicle_id number", with(`"vehicle_id":7`), telemetry.CodeType, "/vehicle_id"},
		{"vehicle_id long", with(`"vehicle_id":"` + long + `"`), telemetry.CodeLength, "/vehicle_id"},
		{"vehicle_id twice", with(`"vehicle_id":"a","vehicle_id":"b"`), telemetry.CodeDuplicate, "/vehicle_id"},
		{"vehicle_id twice, escaped", with(`"vehicle_id":"a","\u0076ehicle_id":"b"`), telemetry.CodeDuplicate, "/vehicle_id"},
		{"trip id long", with(`"trip":{"id":"` + long + `"}`), telemetry.CodeLength, "/trip/id"},
		{"trip elapsed negative", with(`"trip":{"elapsed_s":-5}`), telemetry.CodeRange, "/trip/elapsed_s"},
		{"trip final string", with(`"trip":{"final":"yes"}`), telemetry.CodeType, "/trip/final"},
		{"model with NUL", with(`"vehicle":{"model":"G\u0000"}`), telemetry.CodeFormat, "/vehicle/model"},
		{"model with raw control", with("\"vehicle\":{\"model\":\"G\x01\"}"), telemetry.CodeSyntax, "/vehicle/model"},
		{"model no UTF-8", with("\"vehicle\":{\"model\":\"\xff\"}"), telemetry.CodeSyntax, "/vehicle/model"},
		{"model lone surrogate", with(`"vehicle":{"model":"\ud83d"}`), telemetry.CodeSyntax, "/vehicle/model"},
		{"model bad escape", with(`"vehicle":{"model":"\x41"}`), telemetry.CodeSyntax, "/vehicle/model"},
		{"unknown no UTF-8", with("\"x\":{\"y\":\"\xff\"}"), telemetry.CodeSyntax, "/x"},
		{"unknown broken", with(`"a/b~c":[1,}`), telemetry.CodeSyntax, "/a~1b~0c"},
		{"unknown too deep", with(`"x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64)), telemetry.CodeTooDeep, "/x"},
		{"event without t", withEvent(`{"type":"hazard","hazard":"obstacle"}`), telemetry.CodeRequired, "/events/0/t"},
		{"event without type", withEvent(`{"t":1764000000123}`), telemetry.CodeRequired, "/events/0/type"},
		{"event unknown type", withEvent(`{"t":1,"type":"party"}`), telemetry.CodeVocabulary, "/events/0/type"},
		{"event type unknown", withEvent(`{"t":1,"type":"unknown"}`), telemetry.CodeVocabulary, "/events/0/type"},
		{"event without sign", withEvent(`{"t":1,"type":"sign"}`), telemetry.CodeRequired, "/events/0/sign"},
		{"event unknown sign", withEvent(`{"t":1,"type":"sign","sign":"x"}`), telemetry.CodeVocabulary, "/events/0/sign"},
		{"event without hazard", withEvent(`{"t":1,"type":"hazard"}`), telemetry.CodeRequired, "/events/0/hazard"},
		{"sign with hazard", withEvent(`{"t":1,"type":"sign","sign":"stop","hazard":"obstacle"}`), telemetry.CodeUnexpected, "/events/0/hazard"},
		{"hazard with value", withEvent(`{"t":1,"type":"hazard","hazard":"obstacle","value_kmh":5}`), telemetry.CodeUnexpected, "/events/0/value_kmh"},
		{"event value", withEvent(`{"t":1,"type":"sign","sign":"speed_limit","value_kmh":301}`), telemetry.CodeRange, "/events/0/value_kmh"},
		{"event confidence", withEvent(`{"t":1,"type":"sign","sign":"speed_limit","confidence":1.1}`), telemetry.CodeRange, "/events/0/confidence"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b telemetry.Batch
			err := telemetry.DecodeJSON([]byte(c.body), &b, telemetry.DefaultLimits())
			wantInvalid(t, err, telemetry.KindMalformed, c.code, c.pointer)
			agree(t, []byte(c.body))
		})
	}
}

func TestDecodeJSONAccepts(t *testing.T) {
	for name, body := range map[string]string{
		"white space":       " \t\r\n" + strings.ReplaceAll(with(`"x":1`), ",", " , ") + "\n",
		"nulls":             with(`"vehicle_id":null,"trip":null,"vehicle":null,"lead_in":null,"events":null`),
		"inner nulls":       with(`"trip":{"id":null,"elapsed_s":null,"final":null},"vehicle":{"model":null,"software":null}`),
		"null quantities":   withSample(`"speed_mps":null,"signals":{"wiper":null,"rain_pct":null,"abs_active":null}`),
		"null signals":      withSample(`"signals":null`),
		"null in events":    withEvent(`{"t":1,"type":"sign","sign":"stop","value_kmh":null,"hazard":null,"confidence":null}`),
		"unknown members":   with(`"x":{"y":[1,2.5e-3,"\ud83d\ude00\\",true,false,null,{},[]]},"X":"","trip":{"z":-0}`),
		"unknown in sample": withSample(`"battery":{"v":[12.5]},"signals":{"radar":{"a":1}}`),
		"unknown twice":     with(`"x":1,"x":2`),
		"deepest":           with(`"x":` + strings.Repeat("[", 63) + strings.Repeat("]", 63)),
		"upper-case id":     `{"batch_id":"019AB123-4567-7ABC-8DEF-0123456789AB","samples":[` + goodSample + `]}`,
		"escaped names":     `{"\u0062atch_id":"019ab123-4567-7abc-8def-0123456789ab","s\u0061mples":[` + goodSample + `]}`,
		"escaped text":      with(`"vehicle":{"model":"\"\\\/\u00e9\ud83d\ude97"}`),
	} {
		t.Run(name, func(t *testing.T) {
			var b telemetry.Batch
			if err := telemetry.DecodeJSON([]byte(body), &b, telemetry.DefaultLimits()); err != nil {
				t.Fatal(err)
			}
			agree(t, []byte(body))
		})
	}
}

func TestDecodeJSONRoundsHalfAwayFromZero(t *testing.T) {
	for lat, want := range map[string]int32{
		"42.50631": 425063100, "42.50631004999999": 425063100, "42.50631005": 425063101, "42.506310049999999999999999": 425063100,
		"-42.50631005": -425063101, "-42.50631004": -425063100, "0.00000005": 1, "-0.00000005": -1, "0.00000004": 0, "-0": 0,
		"4.25e1": 425000000, "0.0425E+3": 425000000, "425000e-4": 425000000, "1e-999999999999": 0, "0e999999999999": 0,
		"90.00000004": 900000000, "0.000000000000000000000000000001e30": 10000000, "10000000000000000000000e-21": 100000000,
	} {
		t.Run(lat, func(t *testing.T) {
			body := `{` + goodID + `,"samples":[{"t":1,"lat":` + lat + `,"lon":1}]}`
			var b telemetry.Batch
			if err := telemetry.DecodeJSON([]byte(body), &b, telemetry.DefaultLimits()); err != nil {
				t.Fatal(err)
			}
			if got := b.Samples[0].LatE7; got != want {
				t.Fatalf("lat %s is %d, want %d", lat, got, want)
			}
			agree(t, []byte(body))
		})
	}
	var b telemetry.Batch
	if err := telemetry.DecodeJSON([]byte(withSample(`"heading_deg":359.996`)), &b, telemetry.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	if got := b.Samples[1].HeadingCDeg; got != 0 {
		t.Fatalf("heading 359.996 is %d, want 0", got)
	}
}

func TestDecodeJSONLimits(t *testing.T) {
	var b telemetry.Batch
	lim := telemetry.DefaultLimits()
	lim.MaxSamples, lim.MaxEvents = 2, 1
	three := `{` + goodID + `,"samples":[` + goodSample + `,` + goodSample + `,` + goodSample + `]}`
	wantInvalid(t, telemetry.DecodeJSON([]byte(three), &b, lim), telemetry.KindTooLarge, telemetry.CodeTooMany, "/samples")
	event := `{"t":1,"type":"hazard","hazard":"obstacle"}`
	wantInvalid(t, telemetry.DecodeJSON([]byte(withEvent(event+`,`+event)), &b, lim), telemetry.KindTooLarge, telemetry.CodeTooMany, "/events")
	lim.MaxDecoded = len(three) - 1
	wantInvalid(t, telemetry.DecodeJSON([]byte(three), &b, lim), telemetry.KindTooLarge, telemetry.CodeTooMany, "")
}

func TestDecodeJSONAgreesWithReference(t *testing.T) {
	for seed := range uint64(300) {
		g := newGenerator(seed)
		data := telemetry.AppendJSON(nil, g.batch())
		agree(t, data)
		for range 10 {
			agree(t, g.damage(data))
		}
	}
}

// damage changes a few bytes, mostly to ones that mean something in JSON.
func (g generator) damage(data []byte) []byte {
	out := append([]byte(nil), data...)
	const alphabet = `{}[]",:\/0123456789.eE+-untrfals \u d8 dc`
	for range 1 + g.IntN(3) {
		i := g.IntN(len(out))
		switch g.IntN(4) {
		case 0:
			out = append(out[:i], out[i+1:]...)
		case 1:
			out = append(out[:i], append([]byte{alphabet[g.IntN(len(alphabet))]}, out[i:]...)...)
		case 2:
			out[i] = byte(g.Uint32())
		default:
			out[i] = alphabet[g.IntN(len(alphabet))]
		}
		if len(out) == 0 {
			return []byte(" ")
		}
	}
	return out
}

func ExampleInvalid() {
	var b telemetry.Batch
	body := `{"batch_id":"019ab123-4567-7abc-8def-0123456789ab","samples":[{"t":1764000000123,"lat":1e999,"lon":1.5}]}`
	fmt.Println(telemetry.DecodeJSON([]byte(body), &b, telemetry.DefaultLimits()))
	// Output: /samples/0/lat: expected a number from -90 to 90, found 1e999 (range)
}
