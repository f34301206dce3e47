package credential

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/url"
)

// Forwarded lets through requests whose client certificate a load balancer has verified in the TLS handshake and passes on in header,
// as a PEM certificate escaped for URLs (AWS: X-Amzn-Mtls-Clientcert-Leaf). Whoever can reach next past that load balancer,
// or through one that does not set the header itself, can be anybody: see that nobody can. A header that holds no
// certificate proves nothing, and is left to the authenticator to refuse.
func Forwarded(header string, next http.Handler) http.Handler {
	header = http.CanonicalHeaderKey(header)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := r.Header[header]
		if len(values) == 1 && r.TLS == nil {
			if leaf := leafOf(values[0]); leaf != nil {
				r = r.Clone(r.Context())
				r.TLS = &tls.ConnectionState{HandshakeComplete: true, VerifiedChains: [][]*x509.Certificate{{leaf}}}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// leafOf is nil when escaped is no certificate.
func leafOf(escaped string) *x509.Certificate {
	if len(escaped) > 16<<10 {
		return nil
	}
	text, err := url.PathUnescape(escaped) // a plus is a plus: AWS does not escape it
	if err != nil {
		return nil
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return leaf
}
