package management

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	seconds *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "carasso_management_request_seconds",
		Help:    "Time to answer a request of the management API, by route and status.",
		Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10},
	}, []string{"route", "status"})}
	if err := reg.Register(m.seconds); err != nil {
		return nil, fmt.Errorf("management metrics: %w", err)
	}
	return m, nil
}

// observe counts by the route's pattern, never by the path, so that clients can't make
// series.
func (m *metrics) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(ww, r)
		route := chi.RouteContext(r.Context()).RoutePattern()
		if route == "" || route == "/*" {
			route = "unknown"
		}
		m.seconds.WithLabelValues(route, strconv.Itoa(max(ww.Status(), http.StatusOK))).Observe(time.Since(started).Seconds())
	})
}
