package management_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/carasso/carasso/internal/credential"
)

// wants is the least role for a route; none for what is public.
func wants(method, route string) credential.Role {
	switch {
	case !strings.HasPrefix(route, "/v1/"), strings.HasPrefix(route, "/v1/tiles"), route == "/v1/hazards/stream": // the page, and what cars read
		return ""
	case route == "/v1/audit", route == "/v1/vehicles:erase":
		return credential.Admin
	case strings.HasPrefix(route, "/v1/trends/"): // one is asked by POST: an area may be long
		return credential.Analyst
	case method != http.MethodGet, route == "/v1/vehicles/summary", route == "/v1/cost", strings.HasPrefix(route, "/v1/quarantine"), strings.HasPrefix(route, "/v1/erasures"):
		return credential.Operator
	default:
		return credential.Analyst
	}
}

// TestEveryRouteHasItsRole asks every route there is as everybody there is.
func TestEveryRouteHasItsRole(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	vehicle, err := b.issuer.Vehicle("car-1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ranks := map[credential.Role]int{"": 0, credential.Analyst: 1, credential.Operator: 2, credential.Admin: 3}
	who := []struct {
		token string
		rank  int
	}{{"", 0}, {vehicle, 0}, {b.token(t, credential.Analyst), 1}, {b.token(t, credential.Operator), 2}, {b.token(t, credential.Admin), 3}}
	parameter := regexp.MustCompile(`\{[a-z]+\}|\*`)
	asked := 0
	err = chi.Walk(b.server.Routes(), func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		need := ranks[wants(method, route)]
		if need == 0 {
			return nil
		}
		for _, w := range who {
			may := w.rank >= need
			if may && strings.HasSuffix(route, "/stream") {
				continue // it would not end
			}
			asked++
			res, doc := b.do(t, method, parameter.ReplaceAllString(route, "1"), w.token, strings.NewReader("{"))
			switch refused := res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden; {
			case may == refused:
				t.Errorf("%s %s with rank %d of %d: %d %s", method, route, w.rank, need, res.StatusCode, doc)
			case refused && (w.token == "") != (res.StatusCode == http.StatusUnauthorized):
				t.Errorf("%s %s refuses by %d", method, route, res.StatusCode)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if asked < 200 {
		t.Errorf("only %d questions", asked)
	}
}
