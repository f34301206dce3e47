package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/keyring"
)

// identity proves who sends, and hides who it was; and it keeps webhooks' secrets.
type identity struct {
	verifier *credential.Verifier
	ring     *keyring.Ring
	sealer   *keyring.Sealer
}

// identityFlags find the keys of a service on AWS.
type identityFlags struct {
	JWTKeys    []string `name:"jwt-keys" env:"CARASSO_JWT_KEYS" help:"Public Ed25519 keys (PEM) that credentials are signed with: files, or the keys themselves."`
	MasterKey  string   `env:"CARASSO_MASTER_KEY" help:"Master key of the pseudonyms: 32 bytes in base64."`
	TokenCache int      `default:"131072" help:"How many verified tokens are remembered (about 200 bytes each)."`
}

// oidcFlags let people come with tokens of an OpenID Connect provider, beside those of `carasso token`.
type oidcFlags struct {
	OIDCIssuer     string            `name:"oidc-issuer" env:"CARASSO_OIDC_ISSUER" help:"Issuer URL of an OpenID Connect provider whose tokens the management API accepts too."`
	OIDCAudience   string            `name:"oidc-audience" env:"CARASSO_OIDC_AUDIENCE" help:"Audience that its tokens must be for."`
	OIDCRolesClaim string            `name:"oidc-roles-claim" default:"roles" env:"CARASSO_OIDC_ROLES_CLAIM" help:"Claim with the roles; dots lead into objects, as in realm_access.roles."`
	OIDCRoles      map[string]string `name:"oidc-roles" env:"CARASSO_OIDC_ROLES" help:"Which of its values is which role, as in road-ops=operator;root=admin. None: analyst, operator and admin by these names."`
}

// people is who may use the management API.
func (f oidcFlags) people(id identity) (credential.Authenticator, error) {
	if f.OIDCIssuer == "" {
		return id.verifier, nil
	}
	cfg := credential.OIDCConfig{Issuer: f.OIDCIssuer, Audience: f.OIDCAudience, RolesClaim: f.OIDCRolesClaim}
	for value, role := range f.OIDCRoles {
		if cfg.Roles == nil {
			cfg.Roles = map[string]credential.Role{}
		}
		cfg.Roles[value] = credential.Role(role)
	}
	oidc, err := credential.NewOIDC(cfg)
	if err != nil {
		return nil, err
	}
	return credential.NewPeople(id.verifier, oidc), nil
}

func (f identityFlags) open(live keyring.LiveStore, log *slog.Logger) (identity, error) {
	if len(f.JWTKeys) == 0 {
		return identity{}, errors.New("no key to verify credentials with: set CARASSO_JWT_KEYS or --jwt-keys to files with public keys")
	}
	var keys []ed25519.PublicKey
	for _, path := range f.JWTKeys {
		key, err := readPublic(strings.TrimSpace(path))
		if err != nil {
			return identity{}, err
		}
		keys = append(keys, key)
	}
	master, err := parseMaster(f.MasterKey)
	if err != nil {
		return identity{}, err
	}
	return newIdentity(keys, f.TokenCache, master, live, log)
}

func parseMaster(key string) ([keyring.KeySize]byte, error) {
	if key == "" {
		return [keyring.KeySize]byte{}, errors.New("no master key: set CARASSO_MASTER_KEY to 32 random bytes in base64, the same for all services (`openssl rand -base64 32`)")
	}
	return keyring.ParseMaster(key)
}

const (
	pemBegin = "-----BEGIN PUBLIC KEY-----"
	pemEnd   = "-----END PUBLIC KEY-----"
)

// readPublic takes a file's name or, where there are no files to put keys in, the key itself; also without its line breaks, which Beanstalk's
// environment can't hold.
func readPublic(s string) (ed25519.PublicKey, error) {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, "-----BEGIN ") {
		return credential.LoadPublic(s)
	}
	if body, ok := strings.CutPrefix(s, pemBegin); ok && !strings.Contains(s, "\n") {
		body, _ = strings.CutSuffix(body, pemEnd)
		s = pemBegin + "\n" + strings.TrimSpace(body) + "\n" + pemEnd + "\n"
	}
	key, err := credential.ParsePublic([]byte(s))
	if err != nil {
		return nil, fmt.Errorf("CARASSO_JWT_KEYS or --jwt-keys: %w", err)
	}
	return key, nil
}

func newIdentity(keys []ed25519.PublicKey, tokens int, master [keyring.KeySize]byte, live keyring.LiveStore, log *slog.Logger) (identity, error) {
	verifier, err := credential.NewVerifier(keys, tokens, nil)
	if err != nil {
		return identity{}, err
	}
	ring, err := keyring.New(keyring.Deps{Master: master, Store: live, Logger: log})
	if err != nil {
		return identity{}, err
	}
	sealer, err := newSealer(master)
	return identity{verifier: verifier, ring: ring, sealer: sealer}, err
}

// embeddedIdentity uses the keys of the data folder, which are made if missing.
func embeddedIdentity(data string, live keyring.LiveStore, log *slog.Logger) (identity, *credential.Issuer, error) {
	private, err := credential.LoadOrCreate(keysDir(data))
	if err != nil {
		return identity{}, nil, fmt.Errorf("keys: %w", err)
	}
	issuer, err := credential.NewIssuer(private, nil)
	if err != nil {
		return identity{}, nil, err
	}
	master, err := keyring.LoadOrCreateMaster(keysDir(data))
	if err != nil {
		return identity{}, nil, fmt.Errorf("keys: %w", err)
	}
	public, ok := private.Public().(ed25519.PublicKey)
	if !ok {
		return identity{}, nil, errors.New("keys: not an Ed25519 key")
	}
	id, err := newIdentity([]ed25519.PublicKey{public}, 262144, master, live, log)
	return id, issuer, err
}

// run keeps the day keys fresh until ctx ends.
func (id identity) run(ctx context.Context) error {
	id.ring.Run(ctx)
	return nil
}
