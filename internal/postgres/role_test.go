package postgres

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/pgtest"
)

// A services' role that owns the schema, made by another user; a service waits meanwhile, and comes with a password that
// is asked for at each connection.
func TestServicesRole(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	log := slog.New(slog.DiscardHandler)
	const role = "carasso_services"
	asked := make(chan string, 100)
	service, err := Open(t.Context(), Config{URL: url, Role: "", Password: func(_ context.Context, address, user string) (string, error) {
		select {
		case asked <- address + " " + user:
		default:
		}
		return "token", nil
	}}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	ready := make(chan error, 1)
	go func() { ready <- service.AwaitSchema(t.Context()) }()

	for turn := range 2 { // a deployment does it each time
		if err := PrepareRole(t.Context(), Config{URL: url}, role, false); err != nil {
			t.Fatal(err)
		}
		db, err := Open(t.Context(), Config{URL: url, Role: role}, log)
		if err != nil {
			t.Fatal(err)
		}
		if turn == 0 {
			select {
			case err := <-ready:
				t.Fatalf("a service did not wait for the schema: %v", err)
			default:
			}
		}
		err = db.Migrate(t.Context())
		if n := count(t, db, `SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner <> $1`, role); n != 0 {
			t.Errorf("%d tables are not the role's", n)
		}
		db.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	if got := <-asked; !strings.Contains(got, " ") {
		t.Errorf("asked for the password of %q", got)
	}
}

// Where services log in with RDS's tokens, whoever makes their role must not become a member of it: RDS would take no password of it any more.
// The role migrates by itself then.
func TestServicesRoleWithTokens(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := openAt(t, url)
	const role = "carasso_tokens"
	if err := PrepareRole(t.Context(), Config{URL: url}, role, true); err == nil || !strings.Contains(err.Error(), rdsIAM) {
		t.Errorf("a server without RDS's IAM: %v", err)
	}
	if _, err := db.pool.Exec(t.Context(), "CREATE ROLE "+rdsIAM); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := PrepareRole(t.Context(), Config{URL: url}, role, true); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, db, "SELECT count(*) FROM pg_auth_members WHERE roleid = $1::regrole AND member = current_user::regrole", role); n != 0 {
		t.Error("who made the role is a member of it")
	}
	if n := count(t, db, "SELECT count(*) FROM pg_auth_members WHERE roleid = $1::regrole AND member = $2::regrole", rdsIAM, role); n != 1 {
		t.Error("the role can't log in with tokens")
	}
	as, err := Open(t.Context(), Config{URL: url, User: role, Password: func(context.Context, string, string) (string, error) { return "token", nil }}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer as.Close()
	if err := as.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner = $1", role); n == 0 {
		t.Error("the role owns nothing")
	}
}

func TestAwaitSchemaEnds(t *testing.T) {
	t.Parallel()
	db := openAt(t, pgtest.New(t))
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	if err := db.AwaitSchema(ctx); err == nil || !strings.Contains(err.Error(), "carasso migrate") {
		t.Errorf("an empty database: %v", err)
	}
	gone, err := Open(t.Context(), Config{URL: "postgres://nobody@127.0.0.1:1/x"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	ctx, cancel = context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	if err := gone.AwaitSchema(ctx); err == nil || strings.Contains(err.Error(), "carasso migrate") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("a database that is away: %v", err)
	}
}
