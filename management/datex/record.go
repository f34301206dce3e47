package datex

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// meaning is how a category of hazards is told. The letters are the categories of (EU) 886/2013, article 3.
type meaning struct {
	class        string // of the situation record
	field, value string // what characterises the class, and how
	constriction string // of traffic; "" for none told
	severity     string
	safety       bool // one of the categories of the regulation
}

func meaningOf(h telemetry.Hazard) (meaning, bool) {
	switch h {
	case telemetry.SlipperyRoad: // a
		return meaning{"WeatherRelatedRoadConditions", "weatherRelatedRoadConditionType", "slippery", "", "medium", true}, true
	case telemetry.Obstacle: // b
		return meaning{"GeneralObstruction", "obstructionType", "obstructionOnTheRoad", "", "high", true}, true
	case telemetry.Accident: // c
		return meaning{"Accident", "accidentType", "accident", "", "high", true}, true
	case telemetry.RoadWorks: // d
		return meaning{"MaintenanceWorks", "roadMaintenanceType", "roadworks", "", "low", true}, true
	case telemetry.ReducedVisibility: // e
		return meaning{"PoorEnvironmentConditions", "poorEnvironmentType", "visibilityReduced", "", "medium", true}, true
	case telemetry.WrongWayDriver: // f
		return meaning{"VehicleObstruction", "vehicleObstructionType", "vehicleOnWrongCarriageway", "", "highest", true}, true
	case telemetry.Blockage: // g
		return meaning{"GeneralObstruction", "obstructionType", "obstructionOnTheRoad", "carriagewayBlocked", "high", true}, true
	case telemetry.ExceptionalWeather: // h
		return meaning{"PoorEnvironmentConditions", "poorEnvironmentType", "badWeather", "", "medium", true}, true
	case telemetry.BrokenDownVehicle: // an obstacle, b
		return meaning{"VehicleObstruction", "vehicleObstructionType", "brokenDownVehicle", "", "medium", true}, true
	case telemetry.HardBraking: // of no category
		return meaning{"GeneralObstruction", "obstructionType", "hazardsOnTheRoad", "", "low", false}, true
	}
	return meaning{}, false
}

// Bounds of probabilityOfOccurrence: our own.
const (
	certainFrom  = 0.99
	probableFrom = 0.7
)

// occurrence of a hazard that ended is what it was worth telling for: its probability is gone with it.
func occurrence(s *Situation) string {
	switch p := s.Probability; {
	case !s.Active():
		return "probable"
	case p >= certainFrom:
		return "certain"
	case p >= probableFrom:
		return "probable"
	}
	return "riskOf"
}

func newSituation(p *Publisher, s *Situation) (situation, error) {
	m, ok := meaningOf(s.Category)
	if !ok {
		return situation{}, fmt.Errorf("hazard %d: category %d has no meaning in DATEX II", s.ID, s.Category)
	}
	id := fmt.Sprintf("%s_%d", p.Identifier, s.ID)
	status := "real"
	if p.Test {
		status = "test"
	}
	changed := timestamp(s.ChangedAt)
	r := record{
		Type: "sit:" + m.class, ID: id + "_1", Version: strconv.FormatInt(s.Seq, 10),
		Created: timestamp(s.FirstAt), Observed: timestamp(time.UnixMilli(s.UpdatedMS)), Versioned: changed,
		Occurrence: occurrence(s), Severity: m.severity, Safety: m.safety,
		Source:   source{Identification: p.Identifier, Type: "vehicleProbeMeasurement", Reliable: true},
		Validity: validity{Status: "definedByValidityTimeSpec", Start: timestamp(time.UnixMilli(s.StartedMS))},
		Location: newLocation(s), Constriction: m.constriction,
		Meaning: meaningElement{XMLName: xml.Name{Local: "sit:" + m.field}, Value: m.value},
	}
	if !s.Active() {
		r.Validity.End = timestamp(time.UnixMilli(s.EndedMS))
	}
	return situation{
		ID: id, Severity: m.severity, Versioned: changed,
		Header: header{Confidentiality: "noRestriction", Status: status}, Record: r,
	}, nil
}
