package region_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/carasso/carasso/management/region"
)

// A feature holds a geometry, never another feature: each level would be read anew, which took minutes for a body of 250 kB.
func TestFeaturesDoNotNest(t *testing.T) {
	t.Parallel()
	const polygon = `{"type":"Polygon","coordinates":[[[1,42],[2,42],[2,43],[1,42]]]}`
	for _, depth := range []int{0, 1, 2, 3, 9000} {
		doc := strings.Repeat(`{"type":"Feature","geometry":`, depth) + polygon + strings.Repeat("}", depth)
		if _, err := region.Parse([]byte(doc), 10); depth < 2 && err != nil || depth >= 2 && !errors.Is(err, region.ErrGeometry) {
			t.Errorf("%d levels: %v", depth, err)
		}
	}
}
