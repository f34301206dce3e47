// Package credential issues and verifies what vehicles, gateways and people
// identify themselves with: JWTs signed with Ed25519 (RFC 8037), verified without a
// look-up, client certificates (mTLS), and for people tokens of an OpenID Connect provider.
package credential

import (
	"errors"
	"net/http"
	"time"
)

// Kind says for whom a credential speaks.
type Kind uint8

// The kinds.
const (
	KindNone    Kind = iota
	KindVehicle      // one vehicle; Subject is its id
	KindGateway      // a maker's own gateway: may speak for any vehicle; Subject is its name
	KindRole         // a person or a program; Subject is the user, Role what they may
)

// String is the value of the JWT's claim "typ".
func (k Kind) String() string {
	switch k {
	case KindVehicle:
		return "vehicle"
	case KindGateway:
		return "gateway"
	case KindRole:
		return "role"
	default:
		return "none"
	}
}

// Role is what a person or program may do with the management API.
type Role string

// The roles, each including the ones before it.
const (
	Analyst  Role = "analyst"  // reads aggregates
	Operator Role = "operator" // also reads and changes the pipeline's state
	Admin    Role = "admin"    // also changes the configuration and erases
)

func (r Role) rank() int {
	switch r {
	case Analyst:
		return 1
	case Operator:
		return 2
	case Admin:
		return 3
	default:
		return 0
	}
}

// Includes reports whether r may do what other may. An unknown role includes nothing
// and is included in nothing.
func (r Role) Includes(other Role) bool { return other.rank() > 0 && r.rank() >= other.rank() }

// Identity is who sent a request, as proved by a credential. Subject is personal:
// it must not be logged for KindVehicle.
type Identity struct {
	Kind    Kind
	Subject string
	Role    Role // set for KindRole only
}

// ErrInvalid is wrapped by every error of a credential that is missing, malformed,
// expired, signed with an unknown key or made for another audience. The errors' text
// never contains the credential.
var ErrInvalid = errors.New("invalid credential")

// ExpiredError is a token with nothing wrong but its age. It proves nothing any more, but tells who comes too late.
type ExpiredError struct {
	Identity Identity
	Since    time.Time
}

// Error names nobody.
func (e *ExpiredError) Error() string { return ErrInvalid.Error() + ": expired" }

// Unwrap is ErrInvalid.
func (e *ExpiredError) Unwrap() error { return ErrInvalid }

// Authenticator proves who sent a request. *Verifier is one.
type Authenticator interface {
	// Authenticate returns the identity behind r's bearer token, or, when there is no
	// Authorization header, behind its verified client certificate. Errors wrap ErrInvalid.
	Authenticate(r *http.Request) (Identity, error)
}
