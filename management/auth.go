package management

import (
	"context"
	"errors"
	"net/http"
	"time"

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
			id, p := s.admit(r, role)
			if p != nil {
				problem.Write(w, p)
				return
			}
			w.Header().Set("Cache-Control", "no-store")
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identityKey{}, id)))
		})
	}
}

// identityKey is the context's key of who sent the request.
type identityKey struct{}

// sender is who sent a request that require let pass.
func sender(ctx context.Context) credential.Identity {
	id, _ := ctx.Value(identityKey{}).(credential.Identity)
	return id
}

// admit proves who sent the request, or says why it is refused.
func (s *Server) admit(r *http.Request, role credential.Role) (credential.Identity, *problem.Problem) {
	id, err := s.deps.Verifier.Authenticate(r)
	if errors.Is(err, credential.ErrUnavailable) {
		s.deps.Logger.WarnContext(r.Context(), "identity provider out of reach", "error", err)
		return credential.Identity{}, &problem.Problem{
			Kind: problem.ServiceUnavailable, RetryAfter: 30 * time.Second, Detail: "The identity provider is out of reach, so the token can't be verified.",
		}
	}
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
		return credential.Identity{}, p
	}
	if id.Kind == credential.KindRole && id.Role.Includes(role) {
		return id, nil
	}
	detail := "A credential of kind " + id.Kind.String() + " can not read the management API; it needs the role " + string(role) + "."
	if id.Kind == credential.KindRole {
		detail = "This needs the role " + string(role) + "; the token has " + string(id.Role) + "."
	}
	return credential.Identity{}, &problem.Problem{Kind: problem.Forbidden, Detail: detail, Challenge: challengeInsufficient + string(role) + `"`}
}
