package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadPublic: a file, its text, and its text without line breaks are the same key.
func TestReadPublic(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	output(t, nil, "token", "--role", "operator", "--data", data) // makes the keys
	file := filepath.Join(keysDir(data), "jwt.pub")
	want, err := readPublic(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{string(text), strings.TrimSpace(string(text)), strings.ReplaceAll(string(text), "\n", ""), strings.ReplaceAll(string(text), "\n", " ")} {
		if key, err := readPublic(s); err != nil || !key.Equal(want) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{pemBegin, pemBegin + pemEnd, pemBegin + "AAAA" + pemEnd, "-----BEGIN PRIVATE KEY-----AAAA-----END PRIVATE KEY-----"} {
		if _, err := readPublic(s); err == nil {
			t.Errorf("%q is taken for a key", s)
		}
	}
}
