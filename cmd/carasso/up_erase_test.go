package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

// The command against a running deployment: a receipt without the vehicle's id, that verifies with and without asking, and only
// for its vehicle.
func (u *embeddedUp) eraseCar(vehicle string) {
	t := u.t
	t.Helper()
	file := filepath.Join(t.TempDir(), "receipt.json")
	at := []string{"--management", u.url(), "--data", u.data}
	output(t, nil, append([]string{"erase", "--vehicle", vehicle, "--receipt", file}, at...)...)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var signed struct {
		Receipt struct {
			Archive struct{ Batches int }
			Status  string
		}
		PublicKey string `json:"public_key"`
	}
	if err := json.Unmarshal(raw, &signed); err != nil || signed.Receipt.Archive.Batches == 0 || signed.Receipt.Status != "deleted" || strings.Contains(string(raw), vehicle) {
		t.Fatalf("receipt %s: %v", raw, err)
	}
	output(t, nil, append([]string{"erase", "--verify", file, "--vehicle", vehicle}, at...)...)
	output(t, nil, "erase", "--verify", file, "--public-key", signed.PublicKey)
	if err := verifyReceipt([]byte(strings.Replace(string(raw), `"status":"deleted"`, `"status":"kept"`, 1)), signed.PublicKey); err == nil {
		t.Error("a changed receipt verifies")
	}
}
