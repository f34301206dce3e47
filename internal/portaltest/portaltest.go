// Package portaltest drives the portal in a real browser, for tests.
package portaltest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const howTo = "run `.ci/setup browser`, or: apt-get install chromium nodejs npm && (cd management/portal/e2e && npm ci)"

// limit bounds a run of all parts, on a machine that does much else.
const limit = 15 * time.Minute

// Drive runs management/portal/e2e, which is in dir, against the portal at url, and fails t with what it
// finds wrong. expected holds what is known of the figures beforehand; see the parts for its members.
// A missing browser fails the test with how to install one. SCREENSHOTS names a folder for pictures, PORTAL_PARTS
// some of the parts to run.
func Drive(t *testing.T, dir, url, token string, expected map[string]any) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("node is missing: %s", howTo)
	}
	for _, library := range []string{"playwright-core", "axe-core"} {
		if _, err := os.Stat(filepath.Join(dir, "node_modules", library)); err != nil {
			t.Fatalf("%s is missing: %s", library, howTo)
		}
	}
	known, err := json.Marshal(expected)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, append([]string{"portal.mjs", url}, strings.Fields(os.Getenv("PORTAL_PARTS"))...)...) //nolint:gosec // the test's own arguments
	cmd.Dir = dir
	cmd.WaitDelay = 10 * time.Second
	// The token is not an argument: those are seen by everybody on the machine.
	cmd.Env = append(os.Environ(), "TOKEN="+token, "EXPECTED="+string(known), "CHROMIUM="+chromium(t))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("portal in the browser: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func chromium(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("chromium is missing: %s", howTo)
	return ""
}
