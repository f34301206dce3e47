package management_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/credential"
)

// TestPortalInABrowser drives the portal in chromium, over figures that are known. SCREENSHOTS names a
// folder for pictures, PORTAL_PARTS some of the parts to drive.
func TestPortalInABrowser(t *testing.T) {
	const howTo = "run `.ci/setup browser`, or: apt-get install chromium nodejs npm && (cd management/portal/e2e && npm ci)"
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("node is missing: %s", howTo)
	}
	chromium := os.Getenv("CHROMIUM")
	if chromium == "" {
		for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
			if chromium, err = exec.LookPath(name); err == nil {
				break
			}
		}
	}
	if chromium == "" {
		t.Fatalf("chromium is missing: %s", howTo)
	}
	for _, library := range []string{"playwright-core", "axe-core"} {
		if _, err := os.Stat("portal/e2e/node_modules/" + library); err != nil {
			t.Fatalf("%s is missing: %s", library, howTo)
		}
	}

	b := newBench(t, nil)
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
	expected, err := json.Marshal(map[string]any{"speeds": speeds, "limits": limits, "hazards": hazards, "bounds": townBounds, "exact": true, "backlog": 6})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, append([]string{"portal.mjs", b.URL, b.token(t, credential.Operator)}, strings.Fields(os.Getenv("PORTAL_PARTS"))...)...)
	cmd.Dir = "portal/e2e"
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), "EXPECTED="+string(expected), "CHROMIUM="+chromium)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("portal in the browser: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}
