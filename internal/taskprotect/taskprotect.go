// Package taskprotect keeps Amazon ECS from taking away a task that is at work: neither scaling in nor a deployment
// stops one that is protected. Protection ends by itself, should the process hang.
//
// API: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
package taskprotect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// Expiry is when protection ends if it is not renewed.
const Expiry = time.Hour

// Config says who is asked. Every field is required.
type Config struct {
	// AgentURI is the container agent's address: ECS_AGENT_URI.
	AgentURI string
	// Every is how often Busy is asked. What begins within that time before the task is chosen to go is
	// interrupted as without protection.
	Every time.Duration
}

// Run protects this task while busy says so, until ctx ends.
func Run(ctx context.Context, c Config, busy func() bool, log *slog.Logger) error {
	if c.AgentURI == "" || c.Every <= 0 {
		return errors.New("task protection: no ECS_AGENT_URI: is this a task of Amazon ECS?")
	}
	client := &http.Client{Timeout: 5 * time.Second}
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	var protected bool
	var until time.Time
	for {
		want := busy()
		if want != protected || want && time.Until(until) < Expiry/2 {
			if err := set(ctx, client, c.AgentURI, want); err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "task protection was not changed; it is tried again", "protect", want, "error", err)
			} else {
				protected, until = want, time.Now().Add(Expiry)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func set(ctx context.Context, client *http.Client, agent string, protect bool) error {
	body := map[string]any{"ProtectionEnabled": protect}
	if protect {
		body["ExpiresInMinutes"] = int(Expiry / time.Minute)
	}
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, agent+"/task-protection/v1/state", bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("task protection: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("task protection: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("task protection: %w", err)
	}
	var failed struct{ Failure, Error any }
	if jsonErr := json.Unmarshal(answer, &failed); jsonErr != nil || resp.StatusCode != http.StatusOK || failed.Failure != nil || failed.Error != nil {
		return fmt.Errorf("task protection: the agent answered %s: %.300s", resp.Status, answer)
	}
	return nil
}
