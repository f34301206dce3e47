package credential

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// webKey is a public key that may verify signatures of one algorithm.
type webKey struct {
	id, alg string
	key     any // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// Bounds of RSA keys, in bits: below is too weak (RFC 7518, 3.3), above costs too much to verify with.
const (
	minRSA = 2048
	maxRSA = 8192
)

// parseWebKey reads a JWK (RFC 7517; 7518 for RSA and P-256, 8037 for Ed25519). ok is false for keys of another use,
// kind or algorithm, and for malformed ones. A key verifies the one algorithm of its kind, whatever a token says.
func parseWebKey(raw json.RawMessage) (k webKey, ok bool) {
	var j struct {
		Type   string   `json:"kty"`
		Use    string   `json:"use"`
		Ops    []string `json:"key_ops"`
		Alg    string   `json:"alg"`
		ID     string   `json:"kid"`
		Curve  string   `json:"crv"`
		N      octets   `json:"n"`
		E      octets   `json:"e"`
		X      octets   `json:"x"`
		Y      octets   `json:"y"`
		Secret *octets  `json:"d"`
	}
	if err := json.Unmarshal(raw, &j); err != nil || j.Secret != nil {
		return k, false
	}
	if j.Use != "" && j.Use != "sig" || len(j.Ops) > 0 && !slices.Contains(j.Ops, "verify") {
		return k, false
	}
	k.id = j.ID
	switch j.Type + " " + j.Curve {
	case "RSA ":
		n, e := new(big.Int).SetBytes(j.N), new(big.Int).SetBytes(j.E)
		if n.BitLen() < minRSA || n.BitLen() > maxRSA || n.Bit(0) == 0 || e.BitLen() > 31 || e.Int64() < 3 || e.Bit(0) == 0 {
			return k, false
		}
		k.alg, k.key = jwt.SigningMethodRS256.Alg(), &rsa.PublicKey{N: n, E: int(e.Int64())}
	case "EC P-256":
		if len(j.X) != 32 || len(j.Y) != 32 {
			return k, false
		}
		point, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, j.X, j.Y)) // checks that it is on the curve
		if err != nil {
			return k, false
		}
		k.alg, k.key = jwt.SigningMethodES256.Alg(), point
	case "OKP Ed25519":
		if len(j.X) != ed25519.PublicKeySize {
			return k, false
		}
		k.alg, k.key = jwt.SigningMethodEdDSA.Alg(), ed25519.PublicKey(j.X)
	default:
		return k, false
	}
	return k, j.Alg == "" || j.Alg == k.alg
}

// octets are base64url without padding (RFC 7515, 2).
type octets []byte

// UnmarshalJSON implements json.Unmarshaler.
func (o *octets) UnmarshalJSON(raw []byte) error {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	*o = b
	return err
}
