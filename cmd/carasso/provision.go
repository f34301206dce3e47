package main

import (
	"context"
	"fmt"
	"os"

	"github.com/carasso/carasso/internal/awsclient"
	"github.com/carasso/carasso/internal/postgres"
)

// provisionCmd makes what the services need, for emulators and trials.
type provisionCmd struct {
	Queue       string `default:"carasso-batches" help:"Name of the queue."`
	DeadQueue   string `default:"carasso-dead" help:"Name of its dead-letter queue."`
	Bucket      string `default:"carasso-data" env:"CARASSO_BUCKET" help:"Name of the bucket."`
	Table       string `default:"carasso-live" env:"CARASSO_TABLE" help:"Name of the table."`
	DatabaseURL string `env:"CARASSO_DATABASE_URL" help:"PostgreSQL to migrate; left alone if empty."`
}

// Run implements the subcommand. It prints the environment that the services read.
func (c *provisionCmd) Run(ctx context.Context, logs *logFlags) error {
	log, err := logs.logger()
	if err != nil {
		return err
	}
	clients, err := awsclient.Load(ctx, awsclient.Config{}, nil)
	if err != nil {
		return fmt.Errorf("aws: %w", err)
	}
	defer clients.Close()
	names := awsclient.DefaultNames()
	names.Queue, names.DeadQueue, names.Bucket, names.Table = c.Queue, c.DeadQueue, c.Bucket, c.Table
	made, err := awsclient.Provision(ctx, clients, names)
	if err != nil {
		return err
	}
	if c.DatabaseURL != "" {
		db, err := postgres.Open(ctx, postgres.Config{URL: c.DatabaseURL, ApplicationName: "carasso-provision"}, log)
		if err != nil {
			return err
		}
		defer db.Close()
		if err := db.Migrate(ctx); err != nil {
			return err
		}
	}
	for _, kv := range made.Environment() {
		if _, err := fmt.Fprintf(os.Stdout, "export %s=%q\n", kv[0], kv[1]); err != nil {
			return err
		}
	}
	return nil
}
