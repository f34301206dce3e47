package fleetsim

import (
	"testing"

	"github.com/carasso/carasso/mapdata/geo"
)

func TestErrorsAreMadeApart(t *testing.T) {
	s := spoiled{}
	s.mark([]geo.Point{geo.At(42.5, 1.5), geo.At(42.51, 1.5)}) // a long straight line without points between
	if !s.near([]geo.Point{geo.At(42.505, 1.5003)}) {
		t.Error("25 m beside the middle of a wrong road is not near it")
	}
	if s.near([]geo.Point{geo.At(42.505, 1.502)}) {
		t.Error("160 m beside it is near")
	}
}
