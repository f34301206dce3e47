package main

import (
	"context"
	"fmt"

	"github.com/carasso/carasso/internal/awsclient"
	"github.com/carasso/carasso/internal/postgres"
)

// databaseFlags find PostgreSQL.
type databaseFlags struct {
	DatabaseURL string `env:"CARASSO_DATABASE_URL" required:"" help:"PostgreSQL, as a libpq connection string."`
	Auth        string `name:"database-auth" default:"url" enum:"url,iam" env:"CARASSO_DATABASE_AUTH" help:"How to log in: as the URL says, or with tokens of AWS's IAM."`
	Migrations  string `default:"run" enum:"run,wait" env:"CARASSO_MIGRATIONS" help:"What to do when the schema is older: run the migrations, or wait until carasso migrate has."`
}

// config is how service reaches the database.
func (f databaseFlags) config(ctx context.Context, service string) (postgres.Config, error) {
	cfg := postgres.Config{URL: f.DatabaseURL, ApplicationName: "carasso-" + service}
	if f.Auth != "iam" {
		return cfg, nil
	}
	clients, err := awsclient.Load(ctx, awsclient.Config{}, nil)
	if err != nil {
		return cfg, fmt.Errorf("aws: %w", err)
	}
	cfg.Password = clients.DatabaseToken
	return cfg, nil
}

// upToDate brings the schema up to date, or waits until somebody has.
func (f databaseFlags) upToDate(ctx context.Context, db *postgres.DB) error {
	if f.Migrations == "wait" {
		return db.AwaitSchema(ctx)
	}
	return db.Migrate(ctx)
}

// migrateCmd brings the database's schema up to date, once, for services that wait for it.
type migrateCmd struct {
	DatabaseURL string `env:"CARASSO_DATABASE_URL" required:"" help:"PostgreSQL, as a libpq connection string, as a user who may make roles if --app-role is given."`
	AppRole     string `env:"CARASSO_APP_ROLE" help:"Role that services log in as; made if missing, and owner of the schema. With RDS's IAM, it logs in with tokens."`
}

// Run implements the subcommand.
func (c *migrateCmd) Run(ctx context.Context, logs *logFlags) error {
	log, err := logs.logger()
	if err != nil {
		return err
	}
	cfg := postgres.Config{URL: c.DatabaseURL, ApplicationName: "carasso-migrate"}
	if c.AppRole != "" {
		if err := postgres.PrepareRole(ctx, cfg, c.AppRole); err != nil {
			return err
		}
		cfg.Role = c.AppRole
	}
	db, err := postgres.Open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(ctx)
}
