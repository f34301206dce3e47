package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// healthcheckCmd asks a service whether it is ready; containers without curl use it.
type healthcheckCmd struct {
	URL string `name:"url" default:"http://127.0.0.1:8080/readyz" env:"CARASSO_HEALTH_URL" help:"Readiness address of the service."`
}

// Run implements the subcommand.
func (c *healthcheckCmd) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, http.NoBody)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck: %s answered %s", c.URL, resp.Status)
	}
	return nil
}
