// Package telemetry holds the floating car data that vehicles report: the batch
// in its public JSON and protobuf forms, its limits and vocabulary, and the
// envelope that carries many batches through the queue.
//
// Values are held as fixed-point integers, the form they have on the wire and in
// the archive, so that decoding and encoding again is exact.
package telemetry

import (
	"encoding/hex"
	"time"
)

// BatchID is the idempotency key that the vehicle gives a batch: a UUIDv7
// (RFC 9562), whose first 48 bits are its creation time in ms since the epoch.
type BatchID [16]byte

// String is the canonical 8-4-4-4-12 form in lower case.
func (id BatchID) String() string {
	var b [36]byte
	return string(id.append(b[:0]))
}

func (id BatchID) append(dst []byte) []byte {
	dst = append(hex.AppendEncode(dst, id[0:4]), '-')
	dst = append(hex.AppendEncode(dst, id[4:6]), '-')
	dst = append(hex.AppendEncode(dst, id[6:8]), '-')
	dst = append(hex.AppendEncode(dst, id[8:10]), '-')
	return hex.AppendEncode(dst, id[10:16])
}

// UnixMilli is the creation time in the UUIDv7's prefix, in ms since the epoch.
func (id BatchID) UnixMilli() int64 {
	return int64(id[0])<<40 | int64(id[1])<<32 | int64(id[2])<<24 |
		int64(id[3])<<16 | int64(id[4])<<8 | int64(id[5])
}

// Time is the creation time in the UUIDv7's prefix.
func (id BatchID) Time() time.Time { return time.UnixMilli(id.UnixMilli()).UTC() }

// Batch is what a vehicle reports at once: samples in time order and the events
// between them. A Batch may be reused for decoding: Reset keeps the capacity.
// It is not safe for concurrent use.
type Batch struct {
	ID BatchID
	// VehicleID is what the payload says; "" if it says nothing. It is trusted only
	// from a gateway credential, and never leaves the receiver.
	VehicleID string
	Trip      Trip
	Vehicle   Vehicle
	// LeadIn is the number of leading samples that repeat the end of the vehicle's
	// previous batch: context for the map matcher, never counted.
	LeadIn  int
	Samples []Sample
	Events  []Event
}

// Reset empties the batch and keeps its capacity.
func (b *Batch) Reset() {
	*b = Batch{Samples: b.Samples[:0], Events: b.Events[:0]}
}

// Counted is the number of samples that count: all but the lead-in.
func (b *Batch) Counted() int { return len(b.Samples) - b.LeadIn }

// Trip names the journey that a batch belongs to. Its ID is free text from the
// vehicle in the public forms; the receiver replaces it by Key, a keyed hash.
type Trip struct {
	ID       string
	Key      uint64 // canonical form only; 0 when the vehicle named no trip
	ElapsedS uint32 // since the trip's start
	Final    bool   // the trip's last batch
}

// Vehicle describes the reporting vehicle's kind, never the vehicle itself.
type Vehicle struct {
	Model    string // ≤ 64 bytes
	Software string // ≤ 64 bytes
}

// Field is a set of the optional values that a Sample carries.
type Field uint16

// The optional values of a sample.
const (
	HasAltitude Field = 1 << iota
	HasSpeed
	HasHeading
	HasAccuracy
	HasABS
	HasESC
	HasTCS
	HasWiper
	HasRain
	HasFogLightRear
	HasHazardLight
	HasBrake
	HasOutsideTemp
	HasFriction
)

// Flag is a set of the sample's boolean signals that are on. A flag may only be
// set when the Field of the same signal is.
type Flag uint8

// The boolean signals of a sample.
const (
	ABSActive Flag = 1 << iota
	ESCActive
	TCSActive
	FogLightRear
	HazardLight
)

// Sample is one position with what the vehicle measured there. Optional values
// are meaningful only if Has contains their Field, and zero otherwise.
type Sample struct {
	T               int64  // event time, ms since the Unix epoch
	LatE7           int32  // WGS 84 latitude, 1e-7 degrees, ±90°
	LonE7           int32  // WGS 84 longitude, 1e-7 degrees, ±180°
	AltitudeDM      int32  // above the ellipsoid, 0.1 m, −1,000 to 10,000 m
	SpeedCMPS       uint16 // 0.01 m/s, 0 to 150 m/s
	HeadingCDeg     uint16 // 0.01° clockwise from north, 0 to 35,999
	AccuracyCM      uint32 // horizontal, 1 sigma, 0.01 m, 0 to 10,000 m
	OutsideTempDC   int16  // 0.1 °C, −80 to 80 °C
	BrakeCMPS2      int16  // deceleration, 0.01 m/s², −20 to 20 m/s²
	Has             Field
	On              Flag
	Wiper           Wiper
	RainPercent     uint8 // 0 to 100
	FrictionPercent uint8 // estimated road friction, 0 to 100
}

// Event is what a vehicle noticed between two samples.
type Event struct {
	T    int64 // event time, ms since the Unix epoch
	Type EventType
	// Sign and ValueKMH are set for Type SignSeen and SignMissing; ValueKMH is the
	// posted limit, 0 when the sign carries none.
	Sign     Sign
	ValueKMH uint16
	Hazard   Hazard // set for Type HazardSeen
	// ConfidencePermille is 0 to 1,000; 1,000 when the vehicle gave none.
	ConfidencePermille uint16
}
