package cost

import (
	"fmt"
	"slices"
	"strings"
)

// Profile is when vehicles drive.
type Profile struct {
	Name string `json:"name"`
	What string `json:"what"`
	// Driving is the share of vehicles on the road in each hour of the day.
	Driving [24]float64 `json:"driving"`
}

// HoursADay is how long a vehicle drives a day.
func (p *Profile) HoursADay() (hours float64) {
	for _, share := range p.Driving {
		hours += share
	}
	return hours
}

// Peak is the greatest share of vehicles on the road.
func (p *Profile) Peak() float64 { return slices.Max(p.Driving[:]) }

// Profiles are those to choose from.
func Profiles() []Profile {
	percent := func(of [24]float64) [24]float64 {
		for i := range of {
			of[i] /= 100
		}
		return of
	}
	always := [24]float64{}
	for i := range always {
		always[i] = 100
	}
	return []Profile{
		{"commuter", "private cars: peaks at 7 and 17, a hundredth of that by night", percent([24]float64{
			0.3, 0.2, 0.13, 0.2, 0.5, 2, 6, 12, 10, 5, 4, 4.5, 5, 5, 5, 6.5, 10, 13, 9, 6, 4, 3, 1.5, 0.7,
		})},
		{"delivery", "vans: from 8 to 18", percent([24]float64{
			0.5, 0.5, 0.5, 1, 2, 8, 25, 50, 70, 70, 70, 65, 50, 60, 65, 65, 60, 50, 25, 10, 5, 2, 1, 0.5,
		})},
		{"taxi", "shared cars and taxis: day and night", percent([24]float64{
			35, 30, 25, 22, 22, 25, 35, 50, 60, 60, 55, 55, 55, 55, 55, 55, 60, 65, 65, 60, 55, 50, 45, 40,
		})},
		{"always", "every vehicle drives all the time: the bench", percent(always)},
	}
}

// ProfileOf finds a profile by its name.
func ProfileOf(name string) (Profile, error) {
	var names []string
	for _, p := range Profiles() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Profile{}, fmt.Errorf("profile %q: expected %s", name, strings.Join(names, ", "))
}
