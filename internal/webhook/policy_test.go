package webhook_test

import (
	"testing"
	"time"

	"github.com/carasso/carasso/internal/webhook"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/telemetry"
)

func TestJudge(t *testing.T) {
	p := webhook.DefaultPolicy()
	const h = time.Hour
	for _, tt := range []struct {
		name       string
		history    webhook.History
		outcome    webhook.Outcome
		state      webhook.DeliveryState
		hook       webhook.State
		least, max time.Duration
	}{
		{"success", webhook.History{Attempt: 3, Failing: 30 * h, SinceFirst: 30 * h}, webhook.Outcome{Status: 204}, webhook.Delivered, "", 0, 0},
		{"first failure", webhook.History{Attempt: 1}, webhook.Outcome{Status: 500, Error: "x"}, webhook.Pending, "", 5 * time.Second, 10 * time.Second},
		{"fourth", webhook.History{Attempt: 4, SinceFirst: h, Failing: h}, webhook.Outcome{Error: "x"}, webhook.Pending, "", 40 * time.Second, 80 * time.Second},
		{"hundredth", webhook.History{Attempt: 100}, webhook.Outcome{Error: "x"}, webhook.Pending, "", h, 2 * h},
		{"Retry-After", webhook.History{Attempt: 1}, webhook.Outcome{Status: 429, Error: "x", RetryAfter: h}, webhook.Pending, "", h, h},
		{"endless Retry-After", webhook.History{Attempt: 1}, webhook.Outcome{Status: 503, Error: "x", RetryAfter: 1000 * h}, webhook.Pending, "", 24 * h, 24 * h},
		{"gone", webhook.History{Attempt: 1}, webhook.Outcome{Status: 410, Error: "x"}, webhook.Dead, webhook.Disabled, 0, 0},
		{"one event is refused all day", webhook.History{Attempt: 20, SinceFirst: 24 * h, Failing: h}, webhook.Outcome{Status: 400, Error: "x"}, webhook.Dead, "", 0, 2 * h},
		{"all are refused all day", webhook.History{Attempt: 20, SinceFirst: 24 * h, Failing: 24 * h}, webhook.Outcome{Error: "x"}, webhook.Dead, webhook.Paused, 0, 2 * h},
		{"a test fails", webhook.History{Attempt: 1, Failing: 30 * h, Test: true}, webhook.Outcome{Status: 410, Error: "x"}, webhook.Dead, "", 0, 0},
	} {
		v := p.Judge(tt.history, tt.outcome)
		if v.State != tt.state || v.Webhook != tt.hook || v.After < tt.least || v.After > tt.max || (v.Webhook != "") != (v.Reason != "") {
			t.Errorf("%s: %+v", tt.name, v)
		}
	}
	var all time.Duration
	n := 0
	for ; all < p.GiveUp; n++ {
		all += p.Judge(webhook.History{Attempt: n + 1}, webhook.Outcome{Error: "x"}).After
	}
	if n < 15 || n > 40 {
		t.Errorf("%d attempts in a day", n)
	}
}

func TestDecide(t *testing.T) {
	box := geo.BoxOf([]geo.Point{geo.At(42, 1), geo.At(43, 2)})
	f := webhook.Filter{Categories: []telemetry.Hazard{telemetry.SlipperyRoad}, Box: box, MinProbability: 0.8}
	in := hazard.Hazard{ID: 7, Category: telemetry.SlipperyRoad, At: geo.At(42.5, 1.5), Probability: 0.9}
	with := func(change func(*hazard.Hazard)) hazard.Hazard {
		h := in
		change(&h)
		return h
	}
	ended := func(h *hazard.Hazard) { h.EndedMS = 1 }
	for _, tt := range []struct {
		name string
		h    hazard.Hazard
		told int64
		want string
	}{
		{"new", in, 0, webhook.Started},
		{"told before", in, 5, webhook.Updated},
		{"told of this revision", in, 10, ""},
		{"told of a later revision", in, 11, ""},
		{"ended", with(ended), 5, webhook.Ended},
		{"ended, never told", with(ended), 0, ""},
		{"another category", with(func(h *hazard.Hazard) { h.Category = telemetry.Accident }), 0, ""},
		{"elsewhere", with(func(h *hazard.Hazard) { h.At = geo.At(44, 1.5) }), 0, ""},
		{"on the border", with(func(h *hazard.Hazard) { h.At = geo.At(43, 2) }), 0, webhook.Started},
		{"unlikely", with(func(h *hazard.Hazard) { h.Probability = 0.7 }), 0, ""},
		{"left the filter", with(func(h *hazard.Hazard) { h.Probability = 0.7 }), 5, webhook.Updated},
		{"left the filter and ended", with(func(h *hazard.Hazard) { h.Probability = 0.1; ended(h) }), 5, webhook.Ended},
	} {
		if got := webhook.Decide(&f, tt.told, &hazard.Revision{Hazard: tt.h, Seq: 10}); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	everything := webhook.Filter{Box: webhook.World()}
	if got := webhook.Decide(&everything, 0, &hazard.Revision{Hazard: in, Seq: 1}); got != webhook.Started {
		t.Errorf("no filter: %q", got)
	}
}
