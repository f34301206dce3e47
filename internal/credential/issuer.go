package credential

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer and audience of every token.
const (
	issuer   = "carasso"
	audience = "carasso"
)

// maxSubject bounds a vehicle id, gateway or user name, in bytes.
const maxSubject = 128

// claims are the private and registered claims of a token.
type claims struct {
	jwt.RegisteredClaims
	Type string `json:"typ"`
	Role Role   `json:"role,omitempty"`
}

// Issuer signs tokens. Safe for concurrent use.
type Issuer struct {
	key ed25519.PrivateKey
	kid string
	now func() time.Time
}

// NewIssuer signs with key. now is the clock; nil is time.Now.
func NewIssuer(key ed25519.PrivateKey, now func() time.Time) (*Issuer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("credential issuer: key of %d bytes, expected %d", len(key), ed25519.PrivateKeySize)
	}
	if now == nil {
		now = time.Now
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("credential issuer: not an Ed25519 key")
	}
	return &Issuer{key: key, kid: KeyID(public), now: now}, nil
}

// KeyID names a public key in the tokens' header "kid": the first 72 bits of its
// SHA-256 in base64url.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// Vehicle is a token for one vehicle, valid from now for ttl.
func (i *Issuer) Vehicle(id string, ttl time.Duration) (string, error) {
	return i.sign(Identity{Kind: KindVehicle, Subject: id}, ttl)
}

// Gateway is a token for a maker's gateway, valid from now for ttl.
func (i *Issuer) Gateway(name string, ttl time.Duration) (string, error) {
	return i.sign(Identity{Kind: KindGateway, Subject: name}, ttl)
}

// Role is a token for a person or program, valid from now for ttl.
func (i *Issuer) Role(user string, role Role, ttl time.Duration) (string, error) {
	return i.sign(Identity{Kind: KindRole, Subject: user, Role: role}, ttl)
}

func (i *Issuer) sign(id Identity, ttl time.Duration) (string, error) {
	if err := id.validate(); err != nil {
		return "", fmt.Errorf("credential sign %s: %w", id.Kind, err)
	}
	if ttl < time.Second {
		return "", fmt.Errorf("credential sign %s: ttl %v, expected 1 s or more", id.Kind, ttl)
	}
	now := i.now()
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Audience: jwt.ClaimStrings{audience}, Subject: id.Subject,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
		},
		Type: id.Kind.String(), Role: id.Role,
	})
	t.Header["kid"] = i.kid
	s, err := t.SignedString(i.key)
	if err != nil {
		return "", fmt.Errorf("credential sign %s: %w", id.Kind, err)
	}
	return s, nil
}

// validate never mentions the subject.
func (id Identity) validate() error {
	switch {
	case id.Subject == "" || len(id.Subject) > maxSubject:
		return fmt.Errorf("subject of %d bytes, expected 1 to %d", len(id.Subject), maxSubject)
	case id.Kind != KindVehicle && id.Kind != KindGateway && id.Kind != KindRole:
		return errors.New("typ: expected vehicle, gateway or role")
	case id.Kind == KindRole && id.Role.rank() == 0:
		return errors.New("role: expected analyst, operator or admin")
	case id.Kind != KindRole && id.Role != "":
		return errors.New("role: expected none")
	}
	return nil
}
