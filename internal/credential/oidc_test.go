package credential

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// provider is an OpenID Connect provider: it serves discovery and keys, and signs.
type provider struct {
	*httptest.Server
	keys    map[string]crypto.Signer // by id
	public  []map[string]any         // what it serves
	serve   func(w http.ResponseWriter, r *http.Request) bool
	fetches atomic.Int64
	now     time.Time
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{keys: map[string]crypto.Signer{}, now: time.Now()}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.serve != nil && p.serve(w, r) {
			return
		}
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			p.fetches.Add(1)
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys"})
		case "/keys":
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": p.public})
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(p.Close)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.add("rsa", rsaKey)
	p.add("ec", ecKey)
	p.add("ed", edKey)
	return p
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (p *provider) add(id string, key crypto.Signer) {
	p.keys[id] = key
	j := map[string]any{"kid": id, "use": "sig"}
	switch k := key.Public().(type) {
	case *rsa.PublicKey:
		j["kty"], j["n"], j["e"] = "RSA", encode(k.N.Bytes()), encode(big.NewInt(int64(k.E)).Bytes())
	case *ecdsa.PublicKey:
		raw, _ := k.Bytes()
		j["kty"], j["crv"], j["x"], j["y"] = "EC", "P-256", encode(raw[1:33]), encode(raw[33:])
	case ed25519.PublicKey:
		j["kty"], j["crv"], j["x"] = "OKP", "Ed25519", encode(k)
	}
	p.public = append(p.public, j)
}

func (p *provider) claims(change func(jwt.MapClaims)) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": p.URL, "aud": []string{"other", "carasso-api"}, "sub": "ann@example.com", "roles": []string{"operator"},
		"iat": p.now.Unix(), "exp": p.now.Add(time.Hour).Unix(),
	}
	if change != nil {
		change(c)
	}
	return c
}

func (p *provider) sign(t *testing.T, m jwt.SigningMethod, kid string, key any, c jwt.Claims) string {
	t.Helper()
	token := jwt.NewWithClaims(m, c)
	if kid != "" {
		token.Header["kid"] = kid
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (p *provider) good(t *testing.T, change func(jwt.MapClaims)) string {
	t.Helper()
	return p.sign(t, jwt.SigningMethodRS256, "rsa", p.keys["rsa"], p.claims(change))
}

func (p *provider) verifier(t *testing.T, change func(*OIDCConfig)) *OIDC {
	t.Helper()
	cfg := OIDCConfig{Issuer: p.URL, Audience: "carasso-api", Now: func() time.Time { return p.now }}
	if change != nil {
		change(&cfg)
	}
	o, err := NewOIDC(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.cfg.Client.CloseIdleConnections)
	return o
}

func TestOIDCAcceptsEachAlgorithm(t *testing.T) {
	p := newProvider(t)
	o := p.verifier(t, nil)
	want := Identity{Kind: KindRole, Subject: "ann@example.com", Role: Operator}
	for kid, m := range map[string]jwt.SigningMethod{"rsa": jwt.SigningMethodRS256, "ec": jwt.SigningMethodES256, "ed": jwt.SigningMethodEdDSA} {
		for _, named := range []string{kid, ""} { // without an id only one key fits the algorithm
			if got, err := o.Verify(t.Context(), p.sign(t, m, named, p.keys[kid], p.claims(nil))); err != nil || got != want {
				t.Errorf("%s %q: %+v, %v", m.Alg(), named, got, err)
			}
		}
	}
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times, want once", n)
	}
}

func TestOIDCRefusesBadTokens(t *testing.T) {
	p := newProvider(t)
	o := p.verifier(t, nil)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(p.keys["rsa"].Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	edPublic, _ := p.keys["ed"].Public().(ed25519.PublicKey)
	good := p.good(t, nil)
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"alg none":                       p.sign(t, jwt.SigningMethodNone, "rsa", jwt.UnsafeAllowNoneSignatureType, p.claims(nil)),
		"no signature":                   parts[0] + "." + parts[1] + ".",
		"public RSA key as a secret":     p.sign(t, jwt.SigningMethodHS256, "rsa", publicPEM, p.claims(nil)),
		"public Ed key as a secret":      p.sign(t, jwt.SigningMethodHS256, "ed", []byte(edPublic), p.claims(nil)),
		"RSA token under an EC key's id": p.sign(t, jwt.SigningMethodRS256, "ec", p.keys["rsa"], p.claims(nil)),
		"RS512":                          p.sign(t, jwt.SigningMethodRS512, "rsa", p.keys["rsa"], p.claims(nil)),
		"PS256":                          p.sign(t, jwt.SigningMethodPS256, "rsa", p.keys["rsa"], p.claims(nil)),
		"another's key under its id":     p.sign(t, jwt.SigningMethodRS256, "rsa", other, p.claims(nil)),
		"an unknown key":                 p.sign(t, jwt.SigningMethodRS256, "new", other, p.claims(nil)),
		"another audience":               p.good(t, func(c jwt.MapClaims) { c["aud"] = "shop" }),
		"no audience":                    p.good(t, func(c jwt.MapClaims) { delete(c, "aud") }),
		"another issuer":                 p.good(t, func(c jwt.MapClaims) { c["iss"] = "https://evil.example" }),
		"expired":                        p.good(t, func(c jwt.MapClaims) { c["exp"] = p.now.Add(-time.Minute).Unix() }),
		"without an expiry":              p.good(t, func(c jwt.MapClaims) { delete(c, "exp") }),
		"not valid yet":                  p.good(t, func(c jwt.MapClaims) { c["nbf"] = p.now.Add(time.Hour).Unix() }),
		"issued in the future":           p.good(t, func(c jwt.MapClaims) { c["iat"] = p.now.Add(time.Hour).Unix() }),
		"no role":                        p.good(t, func(c jwt.MapClaims) { delete(c, "roles") }),
		"another application's role":     p.good(t, func(c jwt.MapClaims) { c["roles"] = []string{"owner", "vehicle"} }),
		"no subject":                     p.good(t, func(c jwt.MapClaims) { delete(c, "sub") }),
		"a changed payload":              parts[0] + "." + encode([]byte(`{"sub":"eve"}`)) + "." + parts[2],
		"nonsense":                       "a.b.c",
	} {
		if id, err := o.Verify(t.Context(), token); !errors.Is(err, ErrInvalid) || id != (Identity{}) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	if _, err := o.Verify(t.Context(), good); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestOIDCRoles(t *testing.T) {
	p := newProvider(t)
	nested := p.verifier(t, func(c *OIDCConfig) {
		c.RolesClaim, c.Roles = "realm_access.roles", map[string]Role{"road-ops": Operator, "root": Admin, "all": Analyst}
	})
	for name, c := range map[string]struct {
		roles any
		want  Role
	}{
		"the highest":     {[]string{"all", "root", "road-ops"}, Admin},
		"a single string": {"road-ops", Operator},
		"not mapped":      {[]string{"admin"}, ""},
		"not text":        {[]any{1, nil, map[string]any{}}, ""},
		"no list":         {7, ""},
	} {
		id, err := nested.Verify(t.Context(), p.good(t, func(m jwt.MapClaims) {
			delete(m, "roles")
			m["realm_access"] = map[string]any{"roles": c.roles}
		}))
		if id.Role != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
}

// A new key is found, an old one forgotten, and made-up ids make no traffic.
func TestOIDCKeysRotate(t *testing.T) {
	p := newProvider(t)
	o := p.verifier(t, nil)
	verify := func(kid string) error {
		_, err := o.Verify(t.Context(), p.sign(t, jwt.SigningMethodES256, kid, p.keys[kid], p.claims(nil)))
		return err
	}
	if err := verify("ec"); err != nil {
		t.Fatal(err)
	}
	fresh, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.add("fresh", fresh)
	for range 50 {
		if err := verify("fresh"); !errors.Is(err, ErrInvalid) {
			t.Fatalf("within the pause: %v", err)
		}
	}
	if n := p.fetches.Load(); n != 1 {
		t.Errorf("%d fetches for 50 tokens with an unknown key, want none but the first", n)
	}
	p.now = p.now.Add(fetchPause)
	if err := verify("fresh"); err != nil {
		t.Errorf("after the pause: %v", err)
	}
	if err := verify("ec"); err != nil {
		t.Errorf("the old one beside it: %v", err)
	}
	p.public = p.public[3:]
	p.now = p.now.Add(keysFor)
	if err := verify("ec"); !errors.Is(err, ErrInvalid) {
		t.Errorf("a key that was withdrawn: %v", err)
	}
}

func TestOIDCProviderIsAway(t *testing.T) {
	p := newProvider(t)
	away := false
	p.serve = func(w http.ResponseWriter, _ *http.Request) bool {
		if away {
			w.WriteHeader(http.StatusBadGateway)
		}
		return away
	}
	o := p.verifier(t, nil)
	if _, err := o.Verify(t.Context(), p.good(t, nil)); err != nil {
		t.Fatal(err)
	}
	away = true
	p.now = p.now.Add(time.Minute)
	if _, err := o.Verify(t.Context(), p.good(t, nil)); err != nil {
		t.Errorf("keys that are fresh enough serve on: %v", err)
	}
	p.now = p.now.Add(keysFor)
	for range 3 {
		if _, err := o.Verify(t.Context(), p.good(t, nil)); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrInvalid) {
			t.Errorf("with keys that are too old: %v", err)
		}
	}
	away = false
	p.now = p.now.Add(fetchPause)
	if _, err := o.Verify(t.Context(), p.good(t, nil)); err != nil {
		t.Errorf("once it is back: %v", err)
	}
}

func TestOIDCRefusesBadProviders(t *testing.T) {
	for name, answers := range map[string]map[string]string{
		"another issuer":   {"/.well-known/openid-configuration": `{"issuer":"https://evil.example","jwks_uri":"URL/keys"}`},
		"keys in the open": {"/.well-known/openid-configuration": `{"issuer":"URL","jwks_uri":"http://192.0.2.1/keys"}`},
		"no JSON":          {"/keys": `<html>`},
		"too large":        {"/keys": `{"keys":[` + strings.Repeat(" ", maxKeyDocument) + `]}`},
		"too many":         {"/keys": `{"keys":[` + strings.Repeat(`{},`, maxKeys) + `{}]}`},
		"no usable key":    {"/keys": `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"rsa"},{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"rsa"}]}`},
		"off the curve":    {"/keys": `{"keys":[{"kty":"EC","crv":"P-256","kid":"rsa","x":"` + encode(make([]byte, 32)) + `","y":"` + encode(make([]byte, 32)) + `"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.serve = func(w http.ResponseWriter, r *http.Request) bool {
				answer, ok := answers[r.URL.Path]
				_, _ = fmt.Fprint(w, strings.ReplaceAll(answer, "URL", p.URL))
				return ok
			}
			if _, err := p.verifier(t, nil).Verify(t.Context(), p.good(t, nil)); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%v", err)
			}
		})
	}
	for _, issuer := range []string{"", "carasso", "http://idp.example", "https://", "https://idp.example?x=1", "ftp://idp.example"} {
		if err := (OIDCConfig{Issuer: issuer, Audience: "a"}).Validate(); err == nil {
			t.Errorf("issuer %q is taken", issuer)
		}
	}
	if err := (OIDCConfig{Issuer: "https://idp.example"}).Validate(); err == nil {
		t.Error("no audience is taken")
	}
	if err := (OIDCConfig{Issuer: "https://idp.example", Audience: "a", Roles: map[string]Role{"x": "root"}}).Validate(); err == nil {
		t.Error("a role that there is not is taken")
	}
}

func TestPeopleComeWithEither(t *testing.T) {
	p := newProvider(t)
	f := newFixture(t, 10)
	people := NewPeople(f.verifier, p.verifier(t, nil))
	local, err := f.issuer.Role("bob", Admin, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	forged := p.sign(t, jwt.SigningMethodRS256, "rsa", p.keys["rsa"], p.claims(func(c jwt.MapClaims) {
		c["iss"], c["aud"], c["typ"], c["role"] = issuer, audience, "role", "admin"
	}))
	for name, c := range map[string]struct {
		header string
		want   Identity
	}{
		"local":                            {"Bearer " + local, Identity{Kind: KindRole, Subject: "bob", Role: Admin}},
		"of the provider":                  {"bearer " + p.good(t, nil), Identity{Kind: KindRole, Subject: "ann@example.com", Role: Operator}},
		"the provider's for the local one": {"Bearer " + forged, Identity{}},
		"no bearer":                        {"Basic " + local, Identity{}},
		"none":                             {"", Identity{}},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		got, err := people.Authenticate(r)
		if got != c.want || (err == nil) != (c.want != Identity{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
