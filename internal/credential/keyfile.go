package credential

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The key files in a folder of keys, in PEM (PKCS #8 and PKIX).
const (
	PrivateFile = "jwt.key" // mode 0600
	PublicFile  = "jwt.pub"
)

// LoadOrCreate returns the private key in dir, and makes folder, key and the public
// key's file if they are missing. Several processes may do so at once: all get the
// same key.
func LoadOrCreate(dir string) (ed25519.PrivateKey, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("credential keys: %w", err)
	}
	path := filepath.Join(dir, PrivateFile)
	key, err := LoadPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = create(path); err == nil || errors.Is(err, fs.ErrExist) {
			key, err = LoadPrivate(path)
		}
	}
	if err != nil {
		return nil, err
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("credential key %s: not an Ed25519 key", path)
	}
	if err := writePublic(filepath.Join(dir, PublicFile), public); err != nil {
		return nil, err
	}
	return key, nil
}

// LoadPrivate reads an Ed25519 private key in PEM.
func LoadPrivate(path string) (ed25519.PrivateKey, error) {
	der, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("credential key %s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("credential key %s: not an Ed25519 key", path)
	}
	return key, nil
}

// LoadPublic reads an Ed25519 public key in PEM.
func LoadPublic(path string) (ed25519.PublicKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("credential key: %w", err)
	}
	key, err := ParsePublic(data)
	if err != nil {
		return nil, fmt.Errorf("credential key %s: %w", path, err)
	}
	return key, nil
}

// ParsePublic reads an Ed25519 public key from PEM.
func ParsePublic(data []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New(`expected a PEM block "PUBLIC KEY"`)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("not a public key: %w", err)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key")
	}
	return key, nil
}

func readPrivate(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("credential key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("credential key %s: expected a PEM block \"PRIVATE KEY\"", path)
	}
	return block.Bytes, nil
}

// create makes a key; the file appears complete or not at all, and never replaces
// another's: a link to an existing name fails.
func create(path string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("credential key %s: %w", path, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("credential key %s: %w", path, err)
	}
	tmp, err := writeTemp(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, path); err != nil {
		return fmt.Errorf("credential key: %w", err)
	}
	return nil
}

func writePublic(path string, key ed25519.PublicKey) error {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return fmt.Errorf("credential key %s: %w", path, err)
	}
	if have, err := LoadPublic(path); err == nil && have.Equal(key) {
		return nil
	}
	tmp, err := writeTemp(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("credential key: %w", err)
	}
	return nil
}

// writeTemp writes a file with mode 0600 beside path and makes it durable.
func writeTemp(path string, data []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return "", fmt.Errorf("credential key: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("credential key: %w", err), os.Remove(f.Name()))
	}
	return f.Name(), nil
}
