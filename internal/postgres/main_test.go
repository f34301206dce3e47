package postgres

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var migrated = pgtest.Template{Migrate: func(ctx context.Context, url string) error {
	db, err := Open(ctx, Config{URL: url}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(ctx)
}}

// openTest opens a migrated database of the test's own.
func openTest(t testing.TB) *DB {
	t.Helper()
	return openAt(t, migrated.New(t))
}

func openAt(t testing.TB, url string) *DB {
	t.Helper()
	db, err := Open(t.Context(), Config{URL: url}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

func count(t testing.TB, db *DB, sql string, args ...any) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var n int64
	if err := db.pool.QueryRow(ctx, sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func isPermanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}
