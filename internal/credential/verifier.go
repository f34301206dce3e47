package credential

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxToken bounds a token, in bytes, before anything is computed from it.
const maxToken = 4 << 10

// leeway is how far this clock and the issuer's may differ.
const leeway = 30 * time.Second

// Verifier proves identities without a look-up: a token by its signature, a client
// certificate by the TLS handshake that verified it. What was verified is remembered
// until it expires, because a signature costs about 50 µs and a car sends the same
// token with every batch. Safe for concurrent use.
type Verifier struct {
	keys   map[string]ed25519.PublicKey
	parser *jwt.Parser
	cache  *cache
	now    func() time.Time
}

var _ Authenticator = (*Verifier)(nil)

// CacheStats counts the look-ups in a Verifier's cache.
type CacheStats struct{ Hits, Misses uint64 }

// NewVerifier accepts tokens signed with any of keys, so that a new key can be
// introduced before the old one goes. cacheSize bounds the number of remembered
// tokens, each about 200 bytes; 0 remembers none. now is the clock; nil is time.Now.
func NewVerifier(keys []ed25519.PublicKey, cacheSize int, now func() time.Time) (*Verifier, error) {
	if len(keys) == 0 {
		return nil, errors.New("credential verifier: no public key")
	}
	if cacheSize < 0 {
		return nil, fmt.Errorf("credential verifier: cache size %d, expected 0 or more", cacheSize)
	}
	if now == nil {
		now = time.Now
	}
	v := &Verifier{keys: make(map[string]ed25519.PublicKey, len(keys)), now: now, cache: newCache(cacheSize)}
	for _, k := range keys {
		if len(k) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("credential verifier: key of %d bytes, expected %d", len(k), ed25519.PublicKeySize)
		}
		v.keys[KeyID(k)] = k
	}
	v.parser = jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(now),
	)
	return v, nil
}

// Stats is the cache's counts since the start.
func (v *Verifier) Stats() CacheStats { return v.cache.stats() }

// Authenticate implements Authenticator.
func (v *Verifier) Authenticate(r *http.Request) (Identity, error) {
	if len(r.Header["Authorization"]) == 0 {
		return fromTLS(r.TLS)
	}
	token, err := bearer(r)
	if err != nil {
		return Identity{}, err
	}
	return v.Verify(token)
}

// bearer is the token of the one Authorization header (RFC 6750, 2.1), at most maxToken long.
func bearer(r *http.Request) (string, error) {
	header := r.Header["Authorization"]
	if len(header) > 1 {
		return "", fmt.Errorf("%w: several Authorization headers", ErrInvalid)
	}
	scheme, token, _ := strings.Cut(header[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", fmt.Errorf("%w: expected the Bearer scheme", ErrInvalid)
	}
	token = strings.TrimSpace(token)
	if len(token) > maxToken {
		return "", fmt.Errorf("%w: token of %d bytes, expected 1 to %d", ErrInvalid, len(token), maxToken)
	}
	return token, nil
}

// Verify returns the identity behind a token, or an error that wraps ErrInvalid.
func (v *Verifier) Verify(token string) (Identity, error) {
	if token == "" || len(token) > maxToken {
		return Identity{}, fmt.Errorf("%w: token of %d bytes, expected 1 to %d", ErrInvalid, len(token), maxToken)
	}
	key := digest(token)
	now := v.now()
	if id, ok := v.cache.get(key, now); ok {
		return id, nil
	}
	var c claims
	_, err := v.parser.ParseWithClaims(token, &c, v.key)
	id := Identity{Subject: c.Subject, Role: c.Role, Kind: parseKind(c.Type)}
	if err != nil {
		if onlyExpired(err) && id.validate() == nil {
			return Identity{}, &ExpiredError{Identity: id, Since: c.ExpiresAt.Time}
		}
		return Identity{}, fmt.Errorf("%w: %s", ErrInvalid, reason(err))
	}
	if err := id.validate(); err != nil {
		return Identity{}, fmt.Errorf("%w: %s", ErrInvalid, err.Error())
	}
	v.cache.put(key, entry{id: id, expires: c.ExpiresAt.Add(leeway)}, now)
	return id, nil
}

func (v *Verifier) key(t *jwt.Token) (any, error) {
	kid, _ := t.Header["kid"].(string)
	key, ok := v.keys[kid]
	if !ok {
		return nil, errUnknownKey
	}
	return key, nil
}

// onlyExpired tells whether the signature was right, and all else but the expiry.
func onlyExpired(err error) bool {
	if !errors.Is(err, jwt.ErrTokenExpired) {
		return false
	}
	for _, other := range []error{
		jwt.ErrTokenMalformed, jwt.ErrTokenUnverifiable, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenInvalidAudience,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenNotValidYet, jwt.ErrTokenUsedBeforeIssued, jwt.ErrTokenRequiredClaimMissing,
	} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

var errUnknownKey = errors.New("unknown key")

// reason is a text without anything from the token.
func reason(err error) string {
	switch {
	case errors.Is(err, errUnknownKey):
		return "unknown key id"
	case errors.Is(err, jwt.ErrTokenExpired):
		return "expired"
	case errors.Is(err, jwt.ErrTokenMalformed):
		return "malformed"
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued), errors.Is(err, jwt.ErrTokenNotValidYet):
		return "not valid yet"
	case errors.Is(err, jwt.ErrTokenInvalidAudience), errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return "issued by or for someone else"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "a required claim is missing"
	default:
		return "signature or algorithm not accepted"
	}
}

func parseKind(s string) Kind {
	for _, k := range [...]Kind{KindVehicle, KindGateway, KindRole} {
		if k.String() == s {
			return k
		}
	}
	return KindNone
}

func digest(token string) [sha256.Size]byte {
	var buf [512]byte
	return sha256.Sum256(append(buf[:0], token...)) // no allocation for tokens of usual length
}
