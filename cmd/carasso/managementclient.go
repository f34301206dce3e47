package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/carasso/carasso/internal/credential"
)

// managementClient asks the management API of a running deployment.
type managementClient struct {
	Management string   `default:"http://127.0.0.1:8080" env:"CARASSO_MANAGEMENT" help:"Management API's base URL."`
	Token      string   `env:"CARASSO_TOKEN" help:"Credential of somebody who may do this; one is signed with the data folder's key if empty."`
	Keys       keyFlags `embed:""`
}

// ask sends a request to the management API, as somebody of a role, and decodes its answer.
func (c *managementClient) ask(ctx context.Context, role credential.Role, method, path string, body, to any) error {
	token := c.Token
	if token == "" {
		issuer, err := c.Keys.issuer()
		if err != nil {
			return err
		}
		if token, err = issuer.Role("cli", role, time.Hour); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Management, "/")+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(answer))
	}
	if err := json.Unmarshal(answer, to); err != nil {
		return fmt.Errorf("%s %s: the answer is no JSON: %w", method, path, err)
	}
	return nil
}
