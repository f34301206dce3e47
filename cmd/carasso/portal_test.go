package main

import (
	"testing"
	"time"

	"github.com/carasso/carasso/internal/fleet"
	"github.com/carasso/carasso/internal/portaltest"
)

// Every view of the portal works on what a running process with a fleet has to show.
func TestPortalOfUp(t *testing.T) {
	t.Parallel()
	u := newUp(t)
	f := u.fleet("--vehicles", "300", "--duration", "30m")
	u.underLoad()
	portaltest.Drive(t, "../../management/portal/e2e", u.url(), output(t, nil, "token", "--role", "operator", "--data", u.data), map[string]any{
		"admin": output(t, nil, "token", "--role", "admin", "--data", u.data), "erase": fleet.VehicleID(1, 7),
	})
	f.kill() // its verification is another test's
	u.terminate(time.Minute)
}
