package credential

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// OIDCConfig says whose tokens people may come with, beside those that this program's own key signs.
type OIDCConfig struct {
	// Issuer is the provider's issuer URL, exactly as in its tokens and its discovery document (OpenID Connect
	// Discovery 1.0). HTTPS; plain HTTP on a loopback address only. Required.
	Issuer string
	// Audience is what the tokens must be made for. Required.
	Audience string
	// RolesClaim holds a role or a list of roles; members of objects are parted by dots, such as
	// "realm_access.roles". Default "roles".
	RolesClaim string
	// Roles maps the claim's values to roles; nil: each role by its own name. The highest counts.
	Roles map[string]Role
	// Client fetches; nil is one that follows no redirects. Now is the clock; nil is time.Now.
	Client *http.Client
	Now    func() time.Time
}

func (c OIDCConfig) withDefaults() OIDCConfig {
	if c.RolesClaim == "" {
		c.RolesClaim = "roles"
	}
	if c.Roles == nil {
		c.Roles = map[string]Role{string(Analyst): Analyst, string(Operator): Operator, string(Admin): Admin}
	}
	if c.Client == nil {
		c.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate names the first field that is out of its range.
func (c OIDCConfig) Validate() error {
	if err := checkIssuerURL(c.Issuer); err != nil {
		return fmt.Errorf("OIDC issuer %q: %w", c.Issuer, err)
	}
	if c.Issuer == issuer {
		return fmt.Errorf("OIDC issuer %q: is this program's own", c.Issuer)
	}
	if c.Audience == "" {
		return errors.New("OIDC audience: expected one; a token for any audience could come from another application")
	}
	for value, role := range c.Roles {
		if role.rank() == 0 {
			return fmt.Errorf("OIDC role %s=%s: expected analyst, operator or admin", value, role)
		}
	}
	return nil
}

var errScheme = errors.New("expected an https URL, or http on a loopback address")

func checkIssuerURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return errScheme
	}
	host := u.Hostname()
	if u.Scheme == "https" || u.Scheme == "http" && (host == "127.0.0.1" || host == "::1" || host == "localhost") {
		return nil
	}
	return errScheme
}

// OIDC verifies tokens of an OpenID Connect provider and takes the role from one of their claims. Its keys are fetched
// when they are first needed (keySet). Safe for concurrent use.
type OIDC struct {
	cfg    OIDCConfig
	keys   *keySet
	parser *jwt.Parser
	path   []string // of the roles' claim
}

// oidcMethods are the algorithms that are accepted: asymmetric ones alone, so that a public key can't pass as a
// secret (RFC 8725, 2.1).
var oidcMethods = []string{jwt.SigningMethodRS256.Alg(), jwt.SigningMethodES256.Alg(), jwt.SigningMethodEdDSA.Alg()}

// NewOIDC trusts a provider. It fetches nothing yet, so that a provider that is away keeps nobody from starting.
func NewOIDC(cfg OIDCConfig) (*OIDC, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &OIDC{
		cfg: cfg, keys: newKeySet(cfg), path: strings.Split(cfg.RolesClaim, "."),
		parser: jwt.NewParser(
			jwt.WithValidMethods(oidcMethods), jwt.WithIssuer(cfg.Issuer), jwt.WithAudience(cfg.Audience),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(cfg.Now),
		),
	}, nil
}

// ErrUnavailable is wrapped when the provider's keys can't be had: the token may be good.
var ErrUnavailable = errors.New("the identity provider is out of reach")

// Verify returns the identity behind a token. Errors wrap ErrInvalid or ErrUnavailable.
func (o *OIDC) Verify(ctx context.Context, token string) (Identity, error) {
	claims := jwt.MapClaims{}
	_, err := o.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		return o.keys.get(ctx, kid, t.Method.Alg())
	})
	switch {
	case errors.Is(err, ErrUnavailable):
		return Identity{}, fmt.Errorf("OIDC: %w", ErrUnavailable)
	case err != nil:
		return Identity{}, fmt.Errorf("%w: %s", ErrInvalid, reason(err))
	}
	subject, _ := claims["sub"].(string)
	id := Identity{Kind: KindRole, Subject: subject, Role: o.role(claims)}
	if err := id.validate(); err != nil {
		return Identity{}, fmt.Errorf("%w: %s", ErrInvalid, err.Error())
	}
	return id, nil
}

// role is the highest that the claim names, "" for none.
func (o *OIDC) role(claims jwt.MapClaims) (best Role) {
	var v any = map[string]any(claims)
	for _, name := range o.path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	values, ok := v.([]any)
	if !ok {
		values = []any{v}
	}
	for _, value := range values {
		name, _ := value.(string)
		if r := o.cfg.Roles[name]; r.rank() > best.rank() {
			best = r
		}
	}
	return best
}

// People proves the identity of people and programs: by tokens that this program's own key signed, and by those of
// an OpenID Connect provider. Which of the two is asked depends on who the token says has issued it. Safe for
// concurrent use.
type People struct {
	local *Verifier
	oidc  *OIDC
	peek  *jwt.Parser
}

var _ Authenticator = (*People)(nil)

// NewPeople joins both.
func NewPeople(local *Verifier, oidc *OIDC) *People {
	return &People{local: local, oidc: oidc, peek: jwt.NewParser()}
}

// Authenticate implements Authenticator; ErrUnavailable may be wrapped too.
func (p *People) Authenticate(r *http.Request) (Identity, error) {
	if len(r.Header["Authorization"]) == 0 {
		return p.local.Authenticate(r)
	}
	token, err := bearer(r)
	if err != nil {
		return Identity{}, err
	}
	var c jwt.RegisteredClaims
	if _, _, err := p.peek.ParseUnverified(token, &c); err == nil && c.Issuer == p.oidc.cfg.Issuer {
		return p.oidc.Verify(r.Context(), token)
	}
	return p.local.Verify(token)
}
