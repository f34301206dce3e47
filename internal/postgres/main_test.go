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
func openTest(tb testing.TB) *DB {
	tb.Helper()
	return openAt(tb, migrated.New(tb))
}

func openAt(tb testing.TB, url string) *DB {
	tb.Helper()
	db, err := Open(tb.Context(), Config{URL: url}, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(db.Close)
	return db
}

func count(tb testing.TB, db *DB, sql string, args ...any) int64 {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var n int64
	if err := db.pool.QueryRow(ctx, sql, args...).Scan(&n); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	return n
}

func isPermanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}
