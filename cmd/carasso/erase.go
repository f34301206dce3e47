package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/carasso/carasso/internal/credential"
)

// eraseCmd has a vehicle's data erased by a running deployment, or verifies a receipt. The id goes into bodies only; other users of the machine see
// arguments, so it may come from standard input.
type eraseCmd struct {
	managementClient `embed:""`
	Vehicle          string        `help:"Id of the vehicle whose data is to be erased; with --verify: that the receipt should be about. - reads it from standard input."`
	From             string        `help:"First UTC day of the events, YYYY-MM-DD; all if missing."`
	To               string        `help:"Last UTC day; all if missing."`
	Wait             time.Duration `default:"1h" help:"How long to wait for the receipt; 0s: not at all."`
	Receipt          string        `default:"-" help:"File to write the receipt to; - is standard output."`
	Verify           string        `help:"Verify the receipt in this file."`
	PublicKey        string        `help:"With --verify: the deployment's public key in base64; then it is not asked."`
}

// erasureReply is what the command needs of an erasure.
type erasureReply struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Progress *struct {
		Message string `json:"message"`
	} `json:"progress"`
	Receipt json.RawMessage `json:"receipt"`
}

// Run implements the subcommand: exit code 1 if the receipt is not genuine, or not about the vehicle.
func (c *eraseCmd) Run(ctx context.Context) error {
	if c.Vehicle == "-" {
		line, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<10))
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		c.Vehicle = strings.TrimSpace(string(line))
	}
	switch {
	case c.Verify != "":
		return c.verify(ctx)
	case c.Vehicle == "":
		return errors.New("say whose data: --vehicle ID; or which receipt: --verify FILE")
	}
	var asked struct {
		Erasure erasureReply `json:"erasure"`
	}
	body := map[string]string{"vehicle_id": c.Vehicle}
	for name, day := range map[string]string{"from": c.From, "to": c.To} {
		if day != "" {
			body[name] = day
		}
	}
	if err := c.ask(ctx, credential.Admin, http.MethodPost, "/v1/vehicles:erase", body, &asked); err != nil {
		return err
	}
	return c.await(ctx, asked.Erasure)
}

// await polls until the erasure has ended, and writes its receipt.
func (c *eraseCmd) await(ctx context.Context, e erasureReply) error {
	fmt.Fprintf(os.Stderr, "erasure %s is %s\n", e.ID, e.State)
	if c.Wait == 0 {
		return nil
	}
	told := ""
	state := func() string { return fmt.Sprintf("erasure %s is still %s", e.ID, e.State) }
	return c.poll(ctx, c.Wait, state, func(ctx context.Context) (bool, error) {
		if err := c.ask(ctx, credential.Admin, http.MethodGet, "/v1/erasures/"+url.PathEscape(e.ID), nil, &e); err != nil {
			return false, err
		}
		switch e.State {
		case "done":
			return true, c.write(e.Receipt)
		case "failed", "cancelled", "abandoned":
			return true, fmt.Errorf("erasure %s: its job was %s; ask again to go on with it", e.ID, e.State)
		}
		if p := e.Progress; p != nil && p.Message != told {
			told = p.Message
			fmt.Fprintln(os.Stderr, told)
		}
		return false, nil
	})
}

func (c *eraseCmd) write(receipt []byte) error {
	receipt = append(bytes.Clone(receipt), '\n')
	if c.Receipt == "-" {
		_, err := os.Stdout.Write(receipt)
		return err
	}
	return os.WriteFile(c.Receipt, receipt, 0o600)
}

// maxReceipt bounds a receipt, in bytes.
const maxReceipt = 64 << 10

func (c *eraseCmd) verify(ctx context.Context) error {
	f, err := os.Open(c.Verify)
	if err != nil {
		return err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxReceipt))
	if err != nil {
		return fmt.Errorf("%s: %w", c.Verify, err)
	}
	if c.PublicKey != "" {
		if c.Vehicle != "" {
			return errors.New("--public-key: whether a receipt is about a vehicle only the deployment can tell: leave one of them out")
		}
		if err := verifyReceipt(raw, c.PublicKey); err != nil {
			return fmt.Errorf("%s: %w", c.Verify, err)
		}
		_, err := fmt.Fprintln(os.Stdout, "The signature is that key's.")
		return err
	}
	var found struct {
		Valid   bool   `json:"valid"`
		Why     string `json:"why"`
		Vehicle *bool  `json:"vehicle"`
	}
	if err := c.ask(ctx, credential.Admin, http.MethodPost, "/v1/erasures:verify", map[string]any{"receipt": json.RawMessage(raw), "vehicle_id": c.Vehicle}, &found); err != nil {
		return err
	}
	switch {
	case !found.Valid:
		return fmt.Errorf("%s: %s", c.Verify, found.Why)
	case found.Vehicle != nil && !*found.Vehicle:
		return fmt.Errorf("%s: genuine, but about another vehicle", c.Verify)
	}
	_, err = fmt.Fprintln(os.Stdout, found.Why)
	return err
}

// verifyReceipt checks a signed receipt without asking anybody.
func verifyReceipt(raw []byte, publicKey string) error {
	var doc struct {
		Receipt   json.RawMessage `json:"receipt"`
		Signature string          `json:"signature"`
	}
	var compact bytes.Buffer
	if err := json.Unmarshal(raw, &doc); err != nil {
		return fmt.Errorf("no receipt: %w", err)
	}
	if err := json.Compact(&compact, doc.Receipt); err != nil {
		return fmt.Errorf("no receipt: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(publicKey)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return errors.New("the public key is not 32 bytes in base64")
	}
	signature, err := base64.StdEncoding.DecodeString(doc.Signature)
	if err != nil || !ed25519.Verify(key, compact.Bytes(), signature) {
		return errors.New("the signature is not that key's, or the receipt was changed")
	}
	return nil
}
