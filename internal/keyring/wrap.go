package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// wrapVersion is the first byte of a wrapped key: AES-256-GCM (NIST SP 800-38D) with
// a random 96-bit nonce and the item's name as additional data.
const wrapVersion = 1

var errWrapped = errors.New("not a wrapped key, or another master key's")

// wrapper encrypts day keys at rest.
type wrapper struct{ aead cipher.AEAD }

func newWrapper(key []byte) (*wrapper, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("keyring wrap: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("keyring wrap: %w", err)
	}
	return &wrapper{aead: aead}, nil
}

func (w *wrapper) seal(item string, key [KeySize]byte) ([]byte, error) {
	nonce := make([]byte, w.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("keyring wrap %s: %w", item, err)
	}
	return w.aead.Seal(append([]byte{wrapVersion}, nonce...), nonce, key[:], []byte(item)), nil
}

func (w *wrapper) open(item string, sealed []byte) (key [KeySize]byte, err error) {
	n := w.aead.NonceSize()
	if len(sealed) < 1+n || sealed[0] != wrapVersion {
		return key, fmt.Errorf("keyring unwrap %s: %w", item, errWrapped)
	}
	plain, err := w.aead.Open(nil, sealed[1:1+n], sealed[1+n:], []byte(item))
	if err != nil || len(plain) != KeySize {
		return key, fmt.Errorf("keyring unwrap %s: %w", item, errWrapped)
	}
	return [KeySize]byte(plain), nil
}
