package credential

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const vehicle = "WBA-very-private"

type fixture struct {
	key      ed25519.PrivateKey
	now      time.Time
	issuer   *Issuer
	verifier *Verifier
}

func newFixture(t *testing.T, cacheSize int) *fixture {
	t.Helper()
	f := &fixture{key: newKey(t), now: time.Unix(1_764_000_000, 0)}
	clock := func() time.Time { return f.now }
	var err error
	if f.issuer, err = NewIssuer(f.key, clock); err != nil {
		t.Fatal(err)
	}
	if f.verifier, err = NewVerifier([]ed25519.PublicKey{public(t, f.key)}, cacheSize, clock); err != nil {
		t.Fatal(err)
	}
	return f
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(t *testing.T, key ed25519.PrivateKey) ed25519.PublicKey {
	t.Helper()
	p, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		t.Fatal("not an Ed25519 key")
	}
	return p
}

func (f *fixture) vehicle(t *testing.T, ttl time.Duration) string {
	t.Helper()
	s, err := f.issuer.Vehicle(vehicle, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestIssuedTokensVerify(t *testing.T) {
	f := newFixture(t, 64)
	for _, c := range []struct {
		want Identity
		sign func() (string, error)
	}{
		{Identity{Kind: KindVehicle, Subject: vehicle}, func() (string, error) { return f.issuer.Vehicle(vehicle, time.Hour) }},
		{Identity{Kind: KindGateway, Subject: "maker"}, func() (string, error) { return f.issuer.Gateway("maker", time.Hour) }},
		{Identity{Kind: KindRole, Subject: "ann", Role: Operator}, func() (string, error) { return f.issuer.Role("ann", Operator, time.Hour) }},
	} {
		token, err := c.sign()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // verified, then remembered
			got, err := f.verifier.Verify(token)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		}
	}
	if got := f.verifier.Stats(); got != (CacheStats{Hits: 3, Misses: 3}) {
		t.Errorf("cache = %+v", got)
	}
}

func TestIssuerRefuses(t *testing.T) {
	f := newFixture(t, 0)
	for name, sign := range map[string]func() (string, error){
		"empty subject": func() (string, error) { return f.issuer.Vehicle("", time.Hour) },
		"long subject":  func() (string, error) { return f.issuer.Vehicle(strings.Repeat("x", 129), time.Hour) },
		"unknown role":  func() (string, error) { return f.issuer.Role("ann", "root", time.Hour) },
		"no ttl":        func() (string, error) { return f.issuer.Gateway("maker", 0) },
	} {
		if _, err := sign(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// forge builds a token from a header and claims, signed as sign says.
func forge(header, payload string, sign func(input []byte) []byte) string {
	enc := base64.RawURLEncoding
	input := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload))
	return input + "." + enc.EncodeToString(sign([]byte(input)))
}

func TestVerifierRefuses(t *testing.T) {
	f := newFixture(t, 64)
	kid := KeyID(public(t, f.key))
	eddsa := func(input []byte) []byte { return ed25519.Sign(f.key, input) }
	head := fmt.Sprintf(`{"alg":"EdDSA","typ":"JWT","kid":%q}`, kid)
	body := func(change func(map[string]string)) string {
		m := map[string]string{
			"iss": `"carasso"`, "aud": `"carasso"`, "sub": `"` + vehicle + `"`, "typ": `"vehicle"`,
			"iat": "1763999990", "exp": "1764003600",
		}
		change(m)
		var parts []string
		for k, v := range m {
			parts = append(parts, fmt.Sprintf("%q:%s", k, v))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	good := body(func(map[string]string) {})
	if _, err := f.verifier.Verify(forge(head, good, eddsa)); err != nil {
		t.Fatalf("the forger's good token: %v", err)
	}
	with := func(k, v string) string { return forge(head, body(func(m map[string]string) { m[k] = v }), eddsa) }
	without := func(k string) string { return forge(head, body(func(m map[string]string) { delete(m, k) }), eddsa) }
	other := newKey(t)
	valid := f.vehicle(t, time.Hour)
	cases := map[string]string{
		"empty":     "",
		"huge":      strings.Repeat("x", maxToken+1),
		"no jwt":    "not.a.jwt",
		"alg none":  forge(fmt.Sprintf(`{"alg":"none","kid":%q}`, kid), good, func([]byte) []byte { return nil }),
		"truncated": valid[:len(valid)-4],
		"tampered":  strings.Replace(valid, ".", ".e", 1),
		"HS256 with the public key": forge(fmt.Sprintf(`{"alg":"HS256","kid":%q}`, kid), good, func(input []byte) []byte {
			mac := hmac.New(sha256.New, public(t, f.key))
			mac.Write(input)
			return mac.Sum(nil)
		}),
		"foreign key, our kid": forge(head, good, func(input []byte) []byte { return ed25519.Sign(other, input) }),
		"unknown kid":          forge(`{"alg":"EdDSA","kid":"zzz"}`, good, eddsa),
		"no kid":               forge(`{"alg":"EdDSA"}`, good, eddsa),
		"expired":              with("exp", "1763999900"),
		"from the future":      with("iat", "1764000300"),
		"not before":           with("nbf", "1764000300"),
		"other issuer":         with("iss", `"evil"`),
		"other audience":       with("aud", `"evil"`),
		"unknown typ":          with("typ", `"robot"`),
		"vehicle with a role":  with("role", `"admin"`),
		"role without one":     with("typ", `"role"`),
		"empty subject":        with("sub", `""`),
		"no exp":               without("exp"),
		"no issuer":            without("iss"),
		"no audience":          without("aud"),
		"no subject":           without("sub"),
		"no typ":               without("typ"),
	}
	for name, token := range cases {
		t.Run(name, func(t *testing.T) {
			for range 2 { // a refusal is not remembered as anything else
				id, err := f.verifier.Verify(token)
				if !errors.Is(err, ErrInvalid) || id != (Identity{}) {
					t.Fatalf("Verify = %+v, %v", id, err)
				}
				if strings.Contains(err.Error(), vehicle) || token != "" && strings.Contains(err.Error(), token) {
					t.Errorf("the error tells the secret: %v", err)
				}
			}
		})
	}
}

func TestRememberedTokensExpire(t *testing.T) {
	f := newFixture(t, 64)
	token := f.vehicle(t, time.Minute)
	if _, err := f.verifier.Verify(token); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(time.Minute + leeway - time.Second)
	if _, err := f.verifier.Verify(token); err != nil {
		t.Errorf("within the leeway: %v", err)
	}
	f.now = f.now.Add(time.Second)
	if _, err := f.verifier.Verify(token); !errors.Is(err, ErrInvalid) {
		t.Errorf("after exp: %v", err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	now := time.Unix(0, 0)
	c := newCache(cacheShards * 4)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				k := sha256.Sum256(fmt.Append(nil, w, i))
				c.put(k, entry{id: Identity{Subject: fmt.Sprint(w, i)}, expires: now.Add(time.Hour)}, now)
				if id, ok := c.get(k, now); ok && id.Subject != fmt.Sprint(w, i) {
					t.Errorf("another's identity: %v", id)
				}
			}
		})
	}
	wg.Wait()
	for i := range c.shards {
		if n := len(c.shards[i].entries); n > 4 {
			t.Errorf("shard %d holds %d", i, n)
		}
	}
}

func TestAuthenticate(t *testing.T) {
	f := newFixture(t, 64)
	token := f.vehicle(t, time.Hour)
	verified := func(uris ...*url.URL) *tls.ConnectionState {
		return &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{URIs: uris}}}}
	}
	foreign, err := url.Parse("https://example.com/x")
	if err != nil {
		t.Fatal(err)
	}
	car := Identity{Kind: KindVehicle, Subject: vehicle}
	for name, c := range map[string]struct {
		header []string
		tls    *tls.ConnectionState
		want   Identity // zero: refused
	}{
		"bearer":                             {header: []string{"Bearer " + token}, want: car},
		"scheme in lower case":               {header: []string{"bearer " + token}, want: car},
		"nothing":                            {},
		"basic":                              {header: []string{"Basic abc"}},
		"two headers":                        {header: []string{"Bearer " + token, "Bearer " + token}},
		"empty header":                       {header: []string{""}},
		"certificate":                        {tls: verified(foreign, VehicleURN(vehicle)), want: car},
		"gateway certificate":                {tls: verified(GatewayURN("a b/ü")), want: Identity{Kind: KindGateway, Subject: "a b/ü"}},
		"unverified":                         {tls: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{URIs: []*url.URL{VehicleURN(vehicle)}}}}},
		"certificate of no one":              {tls: verified(foreign)},
		"two subjects":                       {tls: verified(VehicleURN("a"), VehicleURN("b"))},
		"empty subject":                      {tls: verified(VehicleURN(""))},
		"bad token beats a good certificate": {header: []string{"Bearer x"}, tls: verified(VehicleURN(vehicle))},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
			r.TLS = c.tls
			if c.header != nil {
				r.Header["Authorization"] = c.header
			}
			got, err := f.verifier.Authenticate(r)
			if got != c.want || (err == nil) != (c.want != Identity{}) || err != nil && !errors.Is(err, ErrInvalid) {
				t.Errorf("Authenticate = %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestRolesInclude(t *testing.T) {
	for _, c := range []struct {
		have, need Role
		want       bool
	}{
		{Admin, Operator, true},
		{Operator, Operator, true},
		{Analyst, Operator, false},
		{"", Analyst, false},
		{"root", Analyst, false},
		{Admin, "", false},
	} {
		if got := c.have.Includes(c.need); got != c.want {
			t.Errorf("%q includes %q = %v", c.have, c.need, got)
		}
	}
}

func TestLoadOrCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	keys := make([]ed25519.PrivateKey, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = LoadOrCreate(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if !k.Equal(keys[0]) {
			t.Fatal("two processes got different keys")
		}
	}
	pub, err := LoadPublic(filepath.Join(dir, PublicFile))
	if err != nil || !pub.Equal(keys[0].Public()) {
		t.Errorf("public key: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, PrivateFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("private key's mode: %v, %v", info.Mode(), err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("left-overs: %v, %v", files, err)
	}
	if err := os.WriteFile(filepath.Join(dir, PrivateFile), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreate(dir); err == nil {
		t.Error("a broken key was accepted or replaced")
	}
}

func BenchmarkVerifyRemembered(b *testing.B) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	issuer, err := NewIssuer(key, nil)
	if err != nil {
		b.Fatal(err)
	}
	token, err := issuer.Vehicle(vehicle, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	for name, size := range map[string]int{"cached": 1024, "uncached": 0} {
		b.Run(name, func(b *testing.B) {
			v, err := NewVerifier([]ed25519.PublicKey{key.Public().(ed25519.PublicKey)}, size, nil) //nolint:forcetypeassert // a test
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
