package keyring

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// Sealer encrypts other parts' secrets at rest, under a key of its own that is derived from the master key: AES-256-GCM, with
// the name of what is sealed as additional data, so that a sealed secret can't be put in another's place. Safe for concurrent use.
type Sealer struct{ wrap *wrapper }

// NewSealer derives the key of a purpose; different purposes can't open one another's secrets.
func NewSealer(master [KeySize]byte, purpose string) (*Sealer, error) {
	key, err := hkdf.Key(sha256.New, master[:], nil, "carasso "+purpose, KeySize)
	if err != nil {
		return nil, fmt.Errorf("keyring derive: %w", err)
	}
	w, err := newWrapper(key)
	if err != nil {
		return nil, err
	}
	return &Sealer{w}, nil
}

// Seal encrypts a secret of item.
func (s *Sealer) Seal(item string, secret [KeySize]byte) ([]byte, error) {
	return s.wrap.seal(item, secret)
}

// Open is the inverse of Seal; it fails for another item, purpose or master key.
func (s *Sealer) Open(item string, sealed []byte) ([KeySize]byte, error) {
	return s.wrap.open(item, sealed)
}
