package keyring

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// MasterFile is the master key's file in a folder of keys: 32 raw bytes, mode 0600.
const MasterFile = "master.key"

// MasterEnv is the environment variable that holds the master key in base64.
const MasterEnv = "CARASSO_MASTER_KEY"

// ParseMaster decodes a master key in base64 (standard or URL alphabet, padded or not).
func ParseMaster(s string) (key [KeySize]byte, err error) {
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(strings.TrimSpace(s), "="))
	raw, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil || len(raw) != KeySize {
		return key, fmt.Errorf("master key: expected %d bytes in base64", KeySize)
	}
	return [KeySize]byte(raw), nil
}

// LoadOrCreateMaster reads dir/master.key, and makes folder and key if missing. Several
// processes may do so at once: all get the same key.
func LoadOrCreateMaster(dir string) (key [KeySize]byte, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return key, fmt.Errorf("master key: %w", err)
	}
	path := filepath.Join(dir, MasterFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createMaster(path); err == nil || errors.Is(err, fs.ErrExist) {
			raw, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return key, fmt.Errorf("master key: %w", err)
	}
	if len(raw) != KeySize {
		return key, fmt.Errorf("master key %s: %d bytes, expected %d", path, len(raw), KeySize)
	}
	return [KeySize]byte(raw), nil
}

// createMaster never replaces a key: a link to an existing name fails.
func createMaster(path string) error {
	var key [KeySize]byte
	if _, err := rand.Read(key[:]); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), MasterFile+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(key[:])
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}
