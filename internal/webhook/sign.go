package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// SecretSize is the size of a secret, in bytes.
const SecretSize = 32

// Secret is a key that deliveries are signed with. It hides itself in logs.
type Secret [SecretSize]byte

// NewSecret makes a random one.
func NewSecret() (s Secret) {
	_, _ = rand.Read(s[:]) // never fails
	return s
}

// Reveal is the secret as its receiver enters it: whsec_ and base64 (Standard Webhooks 1.0).
func (s Secret) Reveal() string { return "whsec_" + base64.StdEncoding.EncodeToString(s[:]) }

// String hides the secret.
func (Secret) String() string { return "[secret]" }

// GoString hides the secret.
func (Secret) GoString() string { return "[secret]" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// Sign is the header webhook-signature (Standard Webhooks 1.0): a signature with each of the keys, the first first.
func Sign(id string, at time.Time, body []byte, keys ...[]byte) string {
	signed := append([]byte(id+"."+strconv.FormatInt(at.Unix(), 10)+"."), body...)
	all := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		_, _ = mac.Write(signed) // never fails
		all[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(all, " ")
}
