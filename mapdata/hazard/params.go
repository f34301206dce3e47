package hazard

import (
	"fmt"
	"math"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// Rates are the shares of passing vehicles that report each way; the rest notice nothing.
type Rates struct {
	Strong, Signal, Event float64
}

// nothing is the share that notices nothing.
func (r Rates) nothing() float64 { return 1 - r.Strong - r.Signal - r.Event }

// Params say how evidence of one category weighs. The weight of a report is its
// log-likelihood ratio, ln(share where the hazard is / share where it is not).
type Params struct {
	// On are the rates where the hazard is, Off where it is not.
	On, Off Rates
	// Prior is the probability of the hazard on an edge that nobody reported from, and that it
	// begins in a minute with reports.
	Prior float64
	// HalfLife is the time after which half of all hazards of the category have ended.
	HalfLife time.Duration
	// Publish is the probability from which on a hazard is published, End that below which a
	// published one ends.
	Publish, End float64
	// MinVehicles is how many distinct vehicles must have reported it before it is published.
	MinVehicles int
	// MaxVehicles is up to how many may: more mean something else. 0: any number.
	MaxVehicles int
}

// Config says how Fuse judges.
type Config struct {
	// Window is how far back evidence counts, at most MaxWindow.
	Window time.Duration
	// Ahead is how far ahead of now vehicles' clocks may be, at most MaxWindow.
	Ahead time.Duration
	// Categories holds the parameters by telemetry.Hazard; the first is not used.
	Categories [categories]Params
}

// MaxWindow bounds Config.Window and Config.Ahead.
const MaxWindow = time.Hour

// DefaultConfig is a window of one hour and these parameters.
//
// Off is the same for all categories that need several vehicles. Event: 0.07, of which 0.02
// are false alarms of sound vehicles and 0.05 are defective vehicles that report everywhere.
// Signal: 0.005, a hazard light, fog light or intervention without cause. Strong: 0.0002, both by chance
// (0.07 × 0.005 = 0.00035, less what the Collector sorts out). On does not describe one fleet but
// one that may be relied on less than the simulated one: half the vehicles report with event and signal, 5 % notice
// nothing. Hence the weights (natural logarithms): strong +7.8, signal alone +3.5, event alone +1.4,
// nothing −2.9.
//
// With the prior of 2·10⁻⁴, which counts twice where reports begin (there before, or beginning in their minute:
// −7.8), and publication at 0.7 (+0.8) that means: two strong reports publish, or a strong one and any other soon
// after it, or three signals. Events alone take seven in a row (7 × 1.4 > 8.6, and they fade a little), which
// false ones at 7 % do once in 10⁸ passes. Fewer would not be safe: three in a row, at 2 % of false alarms only,
// come 0.02³ × 120,000 = 1 time in 1,000 hours of 120 passes, and four at 7 % three times.
//
// The half-life bounds what past reports can weigh: a hazard ends within a minute with probability h =
// 1 − 2^(−1 min / half-life), so after a minute the log-odds are at most ln((1−h)/h): 2.6 at 10 minutes,
// 3.3 at 20. Three clean passes weigh −8.8 and so leave less than End (0.15, −1.7); two mostly do, one does when
// the last report is old.
//
// Road works have no raw signal but their sign, which a camera reads or does not: On says that 42 % of the vehicles report
// event and sign, 17 % the sign alone, 35 % the event alone, and 6 % notice nothing (weights +7.7, +3.5, +1.6, −2.7). Two with both
// publish, or one and any other soon after it, or three signs; where nobody reads signs six events in a row. They last: the longer
// half-life lets reports of sparse traffic add up, as far as three clean passes can still end it.
// One strong report of a wrong-way driver is published at once: its Off is what the matcher takes for one on a motorway
// (10⁻⁷). Three or more on the same segment within the window are an error of the map or a diversion.
func DefaultConfig() Config {
	usual := Params{
		On: Rates{Strong: 0.50, Signal: 0.17, Event: 0.28}, Off: Rates{Strong: 0.0002, Signal: 0.005, Event: 0.07},
		Prior: 2e-4, HalfLife: 10 * time.Minute, Publish: 0.7, End: 0.15, MinVehicles: 2,
	}
	c := Config{Window: MaxWindow, Ahead: 5 * time.Minute}
	set := func(h telemetry.Hazard, halfLife time.Duration, change func(*Params)) {
		p := usual
		p.HalfLife = halfLife
		if change != nil {
			change(&p)
		}
		c.Categories[h] = p
	}
	set(telemetry.SlipperyRoad, 10*time.Minute, nil)
	set(telemetry.Obstacle, 10*time.Minute, nil)
	set(telemetry.Accident, 15*time.Minute, nil)
	set(telemetry.Blockage, 15*time.Minute, nil)
	set(telemetry.BrokenDownVehicle, 10*time.Minute, nil)
	set(telemetry.ReducedVisibility, 20*time.Minute, nil)
	set(telemetry.ExceptionalWeather, 10*time.Minute, nil)
	set(telemetry.HardBraking, 5*time.Minute, func(p *Params) { p.MinVehicles = 3 })
	set(telemetry.RoadWorks, 20*time.Minute, func(p *Params) {
		p.On, p.Prior = Rates{Strong: 0.42, Signal: 0.17, Event: 0.35}, 3e-4
	})
	set(telemetry.WrongWayDriver, 4*time.Minute, func(p *Params) {
		p.Off = Rates{Strong: 1e-7, Signal: 0.005, Event: 0.07}
		p.Prior, p.End, p.MinVehicles, p.MaxVehicles = 1e-5, 0.4, 1, 2
	})
	return c
}

// Validate names the first parameter out of its range.
func (c *Config) Validate() error {
	if c.Window < time.Minute || c.Window > MaxWindow || c.Ahead < 0 || c.Ahead > MaxWindow {
		return fmt.Errorf("hazard fusion: Window must be 1m to %s, Ahead 0 to %s", MaxWindow, MaxWindow)
	}
	for h := 1; h < categories; h++ {
		p := &c.Categories[h]
		name := telemetry.Hazard(h).String()
		for _, r := range []Rates{p.On, p.Off} {
			if !(r.Strong > 0 && r.Signal > 0 && r.Event > 0 && r.nothing() > 0) {
				return fmt.Errorf("hazard fusion: %s: rates must be above 0, and below 1 in sum", name)
			}
		}
		switch {
		case !(p.Prior > 0 && p.Prior < p.End && p.End < p.Publish && p.Publish < 1):
			return fmt.Errorf("hazard fusion: %s: must be 0 < Prior < End < Publish < 1", name)
		case p.HalfLife < time.Minute || p.HalfLife > 24*time.Hour:
			return fmt.Errorf("hazard fusion: %s: HalfLife must be 1m to 24h, is %s", name, p.HalfLife)
		case p.MinVehicles < 1 || p.MaxVehicles < 0 || p.MaxVehicles != 0 && p.MaxVehicles < p.MinVehicles:
			return fmt.Errorf("hazard fusion: %s: MinVehicles must be at least 1, MaxVehicles 0 or no less", name)
		}
	}
	return nil
}

// weights are what Params come to.
type weights struct {
	strong, signal, event, nothing float64 // log-likelihood ratios
	ends                           float64 // probability within a minute
	logEnds, logStays              float64
	logBegins, logStaysAway        float64 // in a minute with reports: Prior
}

func (p *Params) weights() weights {
	minutes := p.HalfLife.Minutes()
	w := weights{
		strong: math.Log(p.On.Strong / p.Off.Strong), signal: math.Log(p.On.Signal / p.Off.Signal),
		event: math.Log(p.On.Event / p.Off.Event), nothing: math.Log(p.On.nothing() / p.Off.nothing()),
		ends: 1 - math.Exp2(-1/minutes),
	}
	w.logEnds, w.logStays = math.Log(w.ends), math.Log1p(-w.ends)
	w.logBegins, w.logStaysAway = math.Log(p.Prior), math.Log1p(-p.Prior)
	return w
}
