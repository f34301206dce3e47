package management_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What can be entered into the audit log is what the portal suggests to filter it by.
func TestPortalSuggestsEveryAuditedAction(t *testing.T) {
	t.Parallel()
	view, err := os.ReadFile("portal/page/views/audit/index.js")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?s)const ACTIONS = \[(.*?)\];`).FindSubmatch(view)
	if list == nil {
		t.Fatal("the audit view has no list of actions")
	}
	var suggested, entered []string
	for _, m := range regexp.MustCompile(`'([a-z_.]+)'`).FindAllSubmatch(list[1], -1) {
		suggested = append(suggested, string(m[1]))
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\.change\("([a-z_.]+)"`).FindAllSubmatch(source, -1) {
			entered = append(entered, string(m[1]))
		}
	}
	slices.Sort(suggested)
	slices.Sort(entered)
	if len(entered) < 10 || !slices.Equal(suggested, slices.Compact(entered)) {
		t.Errorf("suggested %q\nentered %q", suggested, entered)
	}
}
