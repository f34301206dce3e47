package management

import (
	"net/http"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/problem"
)

// Challenges of RFC 6750, section 3.
const (
	challengeNone         = `Bearer realm="carasso"`
	challengeInvalid      = `Bearer realm="carasso", error="invalid_token"`
	challengeInsufficient = `Bearer realm="carasso", error="insufficient_scope", scope="`
)

// require lets only identities with at least the role pass. Nothing behind it may be
// kept by caches.
func (s *Server) require(role credential.Role) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if p := s.refuse(r, role); p != nil {
				problem.Write(w, p)
				return
			}
			w.Header().Set("Cache-Control", "no-store")
			next.ServeHTTP(w, r)
		})
	}
}

func (s *Server) refuse(r *http.Request, role credential.Role) *problem.Problem {
	id, err := s.deps.Verifier.Authenticate(r)
	if err != nil {
		s.deps.Logger.DebugContext(r.Context(), "credential refused", "path", r.URL.Path, "error", err)
		p := &problem.Problem{
			Kind: problem.Unauthorized, Challenge: challengeInvalid,
			Detail: "The bearer token is malformed, expired or signed with another key. `carasso token --role " + string(role) + "` prints one that works.",
		}
		if r.Header.Get("Authorization") == "" {
			p.Challenge = challengeNone
			p.Detail = "Send Authorization: Bearer TOKEN; `carasso token --role " + string(role) + "` prints one."
		}
		return p
	}
	if id.Kind == credential.KindRole && id.Role.Includes(role) {
		return nil
	}
	detail := "A credential of kind " + id.Kind.String() + " can not read the management API; it needs the role " + string(role) + "."
	if id.Kind == credential.KindRole {
		detail = "This needs the role " + string(role) + "; the token has " + string(id.Role) + "."
	}
	return &problem.Problem{Kind: problem.Forbidden, Detail: detail, Challenge: challengeInsufficient + string(role) + `"`}
}
