package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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

// awayError is why nobody could answer now, which may pass.
type awayError struct{ error }

func (e awayError) Unwrap() error { return e.error }

// poll looks once a second whether what is waited for has ended, for up to wait, and also while nobody can answer: a service that
// starts anew ends no waiting. state tells, if it has not ended, what of it is known.
func (c *managementClient) poll(ctx context.Context, wait time.Duration, state func() string, look func(context.Context) (ended bool, err error)) error {
	within, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var away awayError
	for {
		ended, err := look(within)
		if ended || err != nil && !errors.As(err, &away) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s, and goes on; nobody waits for it any more: %w", state(), ctx.Err())
		case <-within.Done():
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("%s, after %v; it goes on, but %w", state(), wait, err)
			}
			return fmt.Errorf("%s, after %v; it goes on", state(), wait)
		case <-time.After(time.Second):
		}
	}
}

// ask sends a request to the management API, as somebody of a role, and decodes its answer. Its error is an awayError if it may pass.
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
	var content io.Reader = http.NoBody
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(raw)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Management, "/")+path, content)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return awayError{err}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return awayError{fmt.Errorf("%s %s: %w", method, path, err)}
	}
	if resp.StatusCode >= http.StatusBadRequest {
		err := fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(answer))
		if resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusTooManyRequests {
			return awayError{err}
		}
		return err
	}
	if err := json.Unmarshal(answer, to); err != nil {
		return fmt.Errorf("%s %s: the answer is no JSON: %w", method, path, err)
	}
	return nil
}
