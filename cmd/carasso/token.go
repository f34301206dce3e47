package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/carasso/carasso/internal/credential"
)

// tokenCmd prints a signed JWT.
type tokenCmd struct {
	Vehicle string        `xor:"kind" help:"For one vehicle, by its id."`
	Gateway string        `xor:"kind" help:"For a maker's gateway, which may speak for many vehicles, by its name."`
	Role    string        `xor:"kind" help:"For the management API: analyst, operator or admin."`
	User    string        `default:"cli" help:"With --role: who it is for; shows in the audit log."`
	TTL     time.Duration `name:"ttl" default:"24h" help:"How long it is valid."`
	Keys    keyFlags      `embed:""`
}

// keyFlags find the key that signs credentials.
type keyFlags struct {
	Data string `default:"carasso-data" env:"CARASSO_DATA" help:"Data folder; its keys/jwt.key signs, and is made if missing."`
	Key  string `env:"CARASSO_JWT_KEY" help:"Private Ed25519 key (PEM) to sign with, in place of the data folder's."`
}

func (k keyFlags) issuer() (*credential.Issuer, error) {
	if k.Key != "" {
		key, err := credential.LoadPrivate(k.Key)
		if err != nil {
			return nil, fmt.Errorf("signing key: %w", err)
		}
		return credential.NewIssuer(key, nil)
	}
	key, err := credential.LoadOrCreate(keysDir(k.Data))
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return credential.NewIssuer(key, nil)
}

func keysDir(data string) string { return filepath.Join(data, "keys") }

// Run implements the subcommand.
func (c *tokenCmd) Run() error {
	issuer, err := c.Keys.issuer()
	if err != nil {
		return err
	}
	var token string
	switch {
	case c.Vehicle != "":
		token, err = issuer.Vehicle(c.Vehicle, c.TTL)
	case c.Gateway != "":
		token, err = issuer.Gateway(c.Gateway, c.TTL)
	case c.Role != "":
		role := credential.Role(c.Role)
		if !credential.Admin.Includes(role) {
			return fmt.Errorf("--role %s: want analyst, operator or admin", c.Role)
		}
		token, err = issuer.Role(c.User, role, c.TTL)
	default:
		return errors.New("say for whom: --vehicle ID, --gateway NAME or --role analyst|operator|admin")
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(os.Stdout, token)
	return err
}
