package worker

import (
	"bytes"
	"fmt"

	"github.com/parquet-go/parquet-go"

	"github.com/carasso/carasso/telemetry"
)

// ArchivedBatch is a batch as the archive keeps it: without ids of vehicle and trip, which
// never leave the receiver.
type ArchivedBatch struct {
	Claim   telemetry.ClaimID
	Vehicle uint64
	Batch   telemetry.Batch
}

// ReadArchive rebuilds the batches of a flush from its object.
func ReadArchive(object []byte) ([]ArchivedBatch, error) {
	rows, err := parquet.Read[ArchiveRow](bytes.NewReader(object), int64(len(object)))
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	batches := make([]ArchivedBatch, len(rows))
	for i := range rows {
		r := &rows[i]
		b := telemetry.Batch{
			Trip:    telemetry.Trip{Key: r.TripKey, ElapsedS: r.TripElapsedS, Final: r.TripFinal},
			Vehicle: telemetry.Vehicle{Model: r.Model, Software: r.Software},
			LeadIn:  int(r.LeadIn),
		}
		for j := range r.Samples {
			b.Samples = append(b.Samples, r.Samples[j].sample())
		}
		for _, e := range r.Events {
			b.Events = append(b.Events, e.event())
		}
		batches[i] = ArchivedBatch{Claim: r.Claim, Vehicle: r.Vehicle, Batch: b}
	}
	return batches, nil
}

func (e *ArchiveEvent) event() telemetry.Event {
	return telemetry.Event{
		T: e.T, Type: telemetry.EventType(e.Type), Sign: telemetry.Sign(e.Sign), ValueKMH: uint16(e.ValueKMH),
		Hazard: telemetry.Hazard(e.Hazard), ConfidencePermille: uint16(e.ConfidencePermille),
	}
}

func (r *ArchiveSample) sample() telemetry.Sample {
	s := telemetry.Sample{T: r.T, LatE7: r.LatE7, LonE7: r.LonE7}
	number := func(v *int32, f telemetry.Field) int32 {
		if v == nil {
			return 0
		}
		s.Has |= f
		return *v
	}
	s.AltitudeDM = number(r.AltitudeDM, telemetry.HasAltitude)
	s.SpeedCMPS = uint16(number(r.SpeedCMPS, telemetry.HasSpeed))
	s.HeadingCDeg = uint16(number(r.HeadingCDeg, telemetry.HasHeading))
	s.AccuracyCM = uint32(number(r.AccuracyCM, telemetry.HasAccuracy))
	s.Wiper = telemetry.Wiper(number(r.Wiper, telemetry.HasWiper))
	s.RainPercent = uint8(number(r.RainPercent, telemetry.HasRain))
	s.BrakeCMPS2 = int16(number(r.BrakeCMPS2, telemetry.HasBrake))
	s.OutsideTempDC = int16(number(r.OutsideTempDC, telemetry.HasOutsideTemp))
	s.FrictionPercent = uint8(number(r.FrictionPct, telemetry.HasFriction))
	flag := func(v *bool, f telemetry.Field, on telemetry.Flag) {
		if v == nil {
			return
		}
		s.Has |= f
		if *v {
			s.On |= on
		}
	}
	flag(r.ABSActive, telemetry.HasABS, telemetry.ABSActive)
	flag(r.ESCActive, telemetry.HasESC, telemetry.ESCActive)
	flag(r.TCSActive, telemetry.HasTCS, telemetry.TCSActive)
	flag(r.FogLightRear, telemetry.HasFogLightRear, telemetry.FogLightRear)
	flag(r.HazardLight, telemetry.HasHazardLight, telemetry.HazardLight)
	return s
}
