package main

import (
	"context"
	"fmt"
	"log/slog"

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
func (f databaseFlags) config(ctx context.Context, service string) (cfg postgres.Config, err error) {
	cfg = postgres.Config{URL: f.DatabaseURL, ApplicationName: "carasso-" + service}
	if f.Auth == "iam" {
		cfg.Password, err = databaseTokens(ctx)
	}
	return cfg, err
}

// databaseTokens are the passwords of AWS's IAM.
func databaseTokens(ctx context.Context) (func(ctx context.Context, address, user string) (string, error), error) {
	clients, err := awsclient.Load(ctx, awsclient.Config{}, nil)
	if err != nil {
		return nil, fmt.Errorf("aws: %w", err)
	}
	return clients.DatabaseToken, nil
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
	AppRole     string `env:"CARASSO_APP_ROLE" help:"Role that services log in as; made if missing, and owner of the schema."`
	Auth        string `name:"database-auth" default:"url" enum:"url,iam" env:"CARASSO_DATABASE_AUTH" help:"How that role logs in: as the URL says, or with tokens of AWS's IAM."`
}

// Run implements the subcommand.
func (c *migrateCmd) Run(ctx context.Context, logs *logFlags) error {
	log, err := logs.logger()
	if err != nil {
		return err
	}
	cfg := postgres.Config{URL: c.DatabaseURL, ApplicationName: "carasso-migrate"}
	if c.AppRole == "" {
		return migrate(ctx, cfg, log)
	}
	if c.Auth != "iam" {
		if err := postgres.PrepareRole(ctx, cfg, c.AppRole, false); err != nil {
			return err
		}
		cfg.Role = c.AppRole
		return migrate(ctx, cfg, log)
	}
	as := cfg
	as.User = c.AppRole
	if as.Password, err = databaseTokens(ctx); err != nil {
		return err
	}
	// The role exists but for the first time. So its maker's password is needed once only.
	if err := reach(ctx, as, log); err != nil {
		log.InfoContext(ctx, "the services' role can't log in yet", "role", c.AppRole, "error", err)
		if err := postgres.PrepareRole(ctx, cfg, c.AppRole, true); err != nil {
			return err
		}
	}
	return migrate(ctx, as, log)
}

func migrate(ctx context.Context, cfg postgres.Config, log *slog.Logger) error {
	db, err := postgres.Open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(ctx)
}

// reach tells why nobody can log in, if so.
func reach(ctx context.Context, cfg postgres.Config, log *slog.Logger) error {
	db, err := postgres.Open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Ping(ctx)
}
