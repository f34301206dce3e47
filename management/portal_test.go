package management_test

import (
	"math"
	"strconv"
	"testing"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/portaltest"
)

// TestPortalInABrowser drives the portal over figures that are known, so that each of them is checked.
func TestPortalInABrowser(t *testing.T) {
	b := newPortalBench(t)
	speeds := map[string]int{}
	for edge, kmh := range b.store.town.speeds {
		speeds[strconv.FormatUint(uint64(edge), 10)] = int(math.Round(kmh))
	}
	limits, hazards := map[string]int{}, map[string]string{}
	for _, l := range b.store.town.learnedLimits() {
		limits[l.Edge.String()] = int(l.KMH)
	}
	for _, h := range b.store.town.hazards() {
		if h.Active() {
			hazards[strconv.FormatUint(h.ID, 10)] = h.Category.String()
		}
	}
	portaltest.Drive(t, "portal/e2e", b.URL, b.token(t, credential.Operator), map[string]any{
		"exact": true, "speeds": speeds, "limits": limits, "hazards": hazards, "bounds": townBounds, "backlog": 6,
		"admin": b.token(t, credential.Admin), "analyst": b.token(t, credential.Analyst),
	})
}
