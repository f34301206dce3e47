package road

// Class is the road's rank, by the value of OSM's highway key; lower is more important.
type Class uint8

// The classes of drivable roads.
const (
	UnknownClass Class = iota
	Motorway
	MotorwayLink
	Trunk
	TrunkLink
	Primary
	PrimaryLink
	Secondary
	SecondaryLink
	Tertiary
	TertiaryLink
	Unclassified
	Residential
	LivingStreet
	Service
	classes
)

var classTable = [classes]struct {
	name string
	free float64 // km/h without a posted limit
}{
	UnknownClass:  {"unknown", 40},
	Motorway:      {"motorway", 115},
	MotorwayLink:  {"motorway_link", 60},
	Trunk:         {"trunk", 90},
	TrunkLink:     {"trunk_link", 50},
	Primary:       {"primary", 70},
	PrimaryLink:   {"primary_link", 45},
	Secondary:     {"secondary", 60},
	SecondaryLink: {"secondary_link", 40},
	Tertiary:      {"tertiary", 50},
	TertiaryLink:  {"tertiary_link", 35},
	Unclassified:  {"unclassified", 45},
	Residential:   {"residential", 30},
	LivingStreet:  {"living_street", 12},
	Service:       {"service", 20},
}

// String is OSM's highway value.
func (c Class) String() string {
	if c >= classes {
		c = UnknownClass
	}
	return classTable[c].name
}

// FreeKMH is a usual speed in km/h on an empty road of the class without a posted limit.
func (c Class) FreeKMH() float64 {
	if c >= classes {
		c = UnknownClass
	}
	return classTable[c].free
}

// Link reports whether the class is a slip road or ramp.
func (c Class) Link() bool {
	switch c {
	case MotorwayLink, TrunkLink, PrimaryLink, SecondaryLink, TertiaryLink:
		return true
	default:
		return false
	}
}

// ParseClass is the inverse of Class.String; ok is false for what is not drivable.
func ParseClass(highway string) (c Class, ok bool) {
	for c := Motorway; c < classes; c++ {
		if classTable[c].name == highway {
			return c, true
		}
	}
	return UnknownClass, false
}
