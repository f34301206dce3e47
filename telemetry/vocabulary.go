package telemetry

// EventType says what kind of observation an Event is.
type EventType uint8

// The event types of the wire contract.
const (
	EventUnknown EventType = iota
	SignSeen               // "sign"
	SignMissing            // "sign_missing": the map has it, the road has not
	HazardSeen             // "hazard"
)

// Sign is the kind of a traffic sign.
type Sign uint8

// The signs of the wire contract.
const (
	SignUnknown Sign = iota
	SpeedLimit
	SpeedLimitEnd
	NoOvertaking
	NoOvertakingEnd
	Stop
	Yield
	NoEntry
	OneWay
	TownEntry
	TownExit
	RoadWorksSign
)

// Hazard is a category of safety-related traffic information: the eight of the
// delegated regulation (EU) 886/2013 and two more that vehicles detect.
type Hazard uint8

// The hazards of the wire contract.
const (
	HazardUnknown Hazard = iota
	SlipperyRoad
	Obstacle
	Accident
	RoadWorks
	ReducedVisibility
	WrongWayDriver
	Blockage
	ExceptionalWeather
	BrokenDownVehicle
	HardBraking
)

// Wiper is the windscreen wiper's setting.
type Wiper uint8

// The wiper settings of the wire contract.
const (
	WiperOff Wiper = iota
	WiperInterval
	WiperSlow
	WiperFast
)

// String is the name in the wire contract, or "unknown".
func (t EventType) String() string { return name(eventTypeNames[:], int(t)) }

// String is the name in the wire contract, or "unknown".
func (s Sign) String() string { return name(signNames[:], int(s)) }

// String is the name in the wire contract, or "unknown".
func (h Hazard) String() string { return name(hazardNames[:], int(h)) }

// String is the name in the wire contract, or "unknown".
func (w Wiper) String() string { return name(wiperNames[:], int(w)) }

// ParseEventType is the inverse of EventType.String; EventUnknown if there is none.
func ParseEventType(s string) EventType { return EventType(index(eventTypeNames[:], s)) }

// ParseSign is the inverse of Sign.String; SignUnknown if there is none.
func ParseSign(s string) Sign { return Sign(index(signNames[:], s)) }

// ParseHazard is the inverse of Hazard.String; HazardUnknown if there is none.
func ParseHazard(s string) Hazard { return Hazard(index(hazardNames[:], s)) }

// ParseWiper is the inverse of Wiper.String; ok is false if there is none.
func ParseWiper(s string) (w Wiper, ok bool) {
	i := index(wiperNames[:], s)
	return Wiper(i), i > 0 || s == wiperNames[0]
}

var (
	eventTypeNames = [...]string{"unknown", "sign", "sign_missing", "hazard"}
	signNames      = [...]string{
		"unknown", "speed_limit", "speed_limit_end", "no_overtaking", "no_overtaking_end", "stop", "yield",
		"no_entry", "one_way", "town_entry", "town_exit", "road_works",
	}
	hazardNames = [...]string{
		"unknown", "slippery_road", "obstacle", "accident", "road_works", "reduced_visibility", "wrong_way_driver",
		"blockage", "exceptional_weather", "broken_down_vehicle", "hard_braking",
	}
	wiperNames = [...]string{"off", "interval", "slow", "fast"}
)

func name(names []string, i int) string {
	if i >= len(names) {
		return "unknown"
	}
	return names[i]
}

func index(names []string, s string) int {
	for i, n := range names {
		if n == s {
			return i
		}
	}
	return 0
}
