package management_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/carasso/carasso/internal/credential"
)

func TestEveryRouteIsDescribedAndNoOther(t *testing.T) {
	b := newBench(t, nil)
	s := loadSpec(t, b)
	var described, routed []string
	paths, _ := s.at("paths").(map[string]any)
	for path, ops := range paths {
		methods, _ := ops.(map[string]any)
		for method := range methods {
			described = append(described, strings.ToUpper(method)+" "+path)
		}
	}
	err := chi.Walk(b.server.Routes(), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if method != http.MethodHead && method != http.MethodOptions {
			routed = append(routed, method+" "+strings.Replace(route, "/portal/*", "/portal/{file}", 1))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(described)
	slices.Sort(routed)
	if !slices.Equal(described, routed) {
		t.Errorf("described:\n%s\nrouted:\n%s", strings.Join(described, "\n"), strings.Join(routed, "\n"))
	}
}

func TestProblemsAreDescribed(t *testing.T) {
	b := newBench(t, nil)
	s := loadSpec(t, b)
	_, doc := b.do(t, "GET", "/v1/ledger?by=x", b.token(t, credential.Analyst), nil)
	for _, e := range s.check("problem", s.at("components", "schemas", "Problem"), parseJSON(t, doc)) {
		t.Error(e)
	}
}
