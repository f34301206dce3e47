package management

import (
	"net/http"

	"github.com/go-chi/chi/v5"
)

// operationRoutes are what operators and administrators ask and do.
func (s *Server) operationRoutes(operator, admin chi.Router) {
	admin.Get("/v1/audit", s.handle(s.getAudit))
	operator.Method(http.MethodPost, "/v1/vehicles:status", s.change("vehicle.look_up", s.postVehicleStatus))
	operator.Get("/v1/vehicles/summary", s.handle(s.getVehicleSummary))
	operator.Get("/v1/cost", s.handle(s.getCost))
	operator.Get("/v1/quarantine", s.handle(s.getQuarantine))
	operator.Get("/v1/quarantine/{id}", s.handle(s.getQuarantined))
	operator.Method(http.MethodPost, "/v1/quarantine/{id}/redrive", s.change("quarantine.redrive", s.postRedrive))
	operator.Method(http.MethodPost, "/v1/quarantine:redrive", s.change("quarantine.redrive_all", s.postRedrives))
}
