package credential

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

const leafHeader = "X-Amzn-Mtls-Clientcert-Leaf"

// escaped is a client certificate as AWS's load balancer passes it on: escaped, but for + = and /.
func escaped(t *testing.T, uri *url.URL) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), URIs: []*url.URL{uri}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return strings.NewReplacer("%2B", "+", "%3D", "=", "%2F", "/", "+", "%20").Replace(url.QueryEscape(text))
}

func TestForwarded(t *testing.T) {
	t.Parallel()
	good := escaped(t, VehicleURN("WBA 1/2+3"))
	for name, c := range map[string]struct {
		header []string
		want   string
	}{
		"verified":    {[]string{good}, "WBA 1/2+3"},
		"none":        {nil, ""},
		"two":         {[]string{good, good}, ""},
		"nonsense":    {[]string{"%%%"}, ""},
		"no PEM":      {[]string{"abc"}, ""},
		"other PEM":   {[]string{url.QueryEscape("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")}, ""},
		"broken":      {[]string{url.QueryEscape("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}, ""},
		"far too big": {[]string{strings.Repeat("a", 20<<10)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var id Identity
			h := Forwarded(leafHeader, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { id, _ = fromTLS(r.TLS) }))
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://cars.example.com/v1/batches", http.NoBody)
			r.Header[leafHeader] = c.header
			h.ServeHTTP(httptest.NewRecorder(), r)
			if id.Subject != c.want {
				t.Errorf("got %q, want %q", id.Subject, c.want)
			}
		})
	}
}

func FuzzForwarded(f *testing.F) {
	f.Add("-----BEGIN%20CERTIFICATE-----%0AMAA=%0A-----END%20CERTIFICATE-----%0A")
	f.Fuzz(func(t *testing.T, s string) {
		if leaf := leafOf(s); leaf != nil && len(leaf.Raw) == 0 {
			t.Error("a certificate out of nothing")
		}
	})
}
