package receiver

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/credential"
)

func TestCredentials(t *testing.T) {
	f := newFixture(t, nil)
	other := newFixture(t, nil)
	role, err := f.issuer.Role("ann", credential.Admin, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	past, err := credential.NewIssuer(f.key, func() time.Time { return time.Now().Add(-time.Hour) })
	if err != nil {
		t.Fatal(err)
	}
	expired, err := past.Vehicle(car, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	good := f.vehicleToken(t, car)
	parts := strings.Split(good, ".")
	enc := base64.RawURLEncoding
	head, err := enc.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	reheaded := func(alg string) string {
		return enc.EncodeToString(bytes.Replace(head, []byte("EdDSA"), []byte(alg), 1)) + "." + parts[1]
	}
	public, err := x509.MarshalPKIXPublicKey(f.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(reheaded("HS256")))
	for name, c := range map[string]struct {
		token string
		code  int
		kind  string
	}{
		"none":                      {"", 401, "unauthorized"},
		"rubbish":                   {"x.y.z", 401, "unauthorized"},
		"expired":                   {expired, 401, "unauthorized"},
		"another installation's":    {other.vehicleToken(t, car), 401, "unauthorized"},
		"alg none":                  {reheaded("none") + ".", 401, "unauthorized"},
		"HS256 with the public key": {reheaded("HS256") + "." + enc.EncodeToString(mac.Sum(nil)), 401, "unauthorized"},
		"a person's":                {role, 403, "forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.post(t, request{token: c.token, body: f.body(t, "", "")})
			if a.code != c.code || a.kind() != c.kind {
				t.Errorf("answer = %d %s", a.code, a.body)
			}
			if got := a.header.Get("WWW-Authenticate"); c.code == 401 && !strings.HasPrefix(got, "Bearer") {
				t.Errorf("WWW-Authenticate = %q", got)
			}
		})
	}
	if n := len(f.queue.records(t)); n != 0 {
		t.Errorf("%d batches in the queue", n)
	}
	if a := f.post(t, request{token: good, body: f.body(t, "", "")}); a.code != http.StatusAccepted {
		t.Errorf("the good token: %d", a.code)
	}
}

// authority signs client certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newECKey(t)}
	a.cert = a.certificate(t, &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, a.key)
	return a
}

func newECKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) certificate(t *testing.T, template, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (a *authority) client(t *testing.T, name *url.URL, expires time.Time) tls.Certificate {
	t.Helper()
	key := newECKey(t)
	cert := a.certificate(t, &x509.Certificate{
		URIs: []*url.URL{name}, NotAfter: expires, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.cert, key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func TestClientCertificates(t *testing.T) {
	f := newFixture(t, nil)
	ours, foreign := newAuthority(t), newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(ours.cert)
	s := httptest.NewUnstartedServer(f.handler)
	s.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool, MinVersion: tls.VersionTLS13}
	s.Config.ErrorLog = nil
	s.StartTLS()
	defer s.Close()

	plain, named := f.body(t, "", ""), f.body(t, `"trip"`, `"vehicle_id":"`+car+`","trip"`)
	for name, c := range map[string]struct {
		cert *tls.Certificate
		body []byte
		want int // 0: the handshake fails
	}{
		"a vehicle":                 {new(ours.client(t, credential.VehicleURN(car), time.Time{})), plain, 202},
		"a gateway for a vehicle":   {new(ours.client(t, credential.GatewayURN("gw"), time.Time{})), named, 202},
		"a vehicle for another":     {new(ours.client(t, credential.VehicleURN("other"), time.Time{})), named, 403},
		"no name of ours":           {new(ours.client(t, &url.URL{Scheme: "urn", Opaque: "x:y"}, time.Time{})), plain, 401},
		"no certificate":            {nil, plain, 401},
		"an authority of their own": {new(foreign.client(t, credential.VehicleURN(car), time.Time{})), plain, 0},
		"expired":                   {new(ours.client(t, credential.VehicleURN(car), time.Now().Add(-time.Minute))), plain, 0},
	} {
		t.Run(name, func(t *testing.T) {
			transport, ok := s.Client().Transport.(*http.Transport)
			if !ok {
				t.Fatal("no transport")
			}
			transport = transport.Clone()
			defer transport.CloseIdleConnections()
			if c.cert != nil {
				// Offered even when the server's list of authorities does not ask for it.
				transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return c.cert, nil
				}
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/batches", bytes.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := (&http.Client{Transport: transport}).Do(req)
			if err != nil {
				if c.want != 0 {
					t.Fatal(err)
				}
				return
			}
			defer resp.Body.Close()
			if a := read(t, resp.StatusCode, resp.Header, resp.Body); a.code != c.want {
				t.Errorf("answer = %d %s, want %d", a.code, a.body, c.want)
			}
		})
	}
	records := f.queue.records(t)
	if len(records) != 2 || records[0].Vehicle != records[1].Vehicle {
		t.Errorf("%d batches in the queue, of one vehicle", len(records))
	}
}
