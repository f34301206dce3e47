package region_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/management/region"
)

// A feature holds a geometry, never another feature: else each level is read anew.
func TestFeaturesDontNest(t *testing.T) {
	const polygon = `{"type":"Polygon","coordinates":[[[1,42],[2,42],[2,43],[1,42]]]}`
	if _, err := region.Parse([]byte(`{"type":"Feature","geometry":`+polygon+`}`), 10); err != nil {
		t.Fatal(err)
	}
	for _, depth := range []int{2, 9000} {
		doc := strings.Repeat(`{"type":"Feature","geometry":`, depth) + polygon + strings.Repeat("}", depth)
		start := time.Now()
		if _, err := region.Parse([]byte(doc), 10); !errors.Is(err, region.ErrGeometry) {
			t.Errorf("%d levels: %v", depth, err)
		}
		t.Logf("%d levels in %v", depth, time.Since(start))
	}
}
