package worker

import (
	"time"

	"github.com/carasso/carasso/telemetry"
)

// Car lets the tests outside the package drive the same cars.
type Car struct{ c *car }

// NewCar is a car whose first sample is shortly after at.
func NewCar(seed uint64, at time.Time) *Car { return &Car{newCar(seed, at)} }

// ID is the car's pseudonym.
func (c *Car) ID() uint64 { return c.c.id }

// Batch drives n samples.
func (c *Car) Batch(n int) (telemetry.ClaimID, telemetry.Batch) { return c.c.batch(n) }
