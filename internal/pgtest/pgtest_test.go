package pgtest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestNewIsEmptyAndPrivate(t *testing.T) {
	for range 2 {
		conn := connect(t, pgtest.New(t))
		if _, err := conn.Exec(t.Context(), "create table only_here (n int)"); err != nil {
			t.Errorf("create table: %v", err)
		}
	}
}

func TestTemplateIsMigratedOnce(t *testing.T) {
	migrations := 0
	template := &pgtest.Template{Migrate: func(ctx context.Context, url string) error {
		migrations++
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		_, err = conn.Exec(ctx, "create table migrated (n int); insert into migrated values (1)")
		return err
	}}
	t.Run("tests", func(t *testing.T) {
		for range 3 {
			t.Run("test", func(t *testing.T) {
				t.Parallel()
				conn := connect(t, template.New(t))
				if _, err := conn.Exec(t.Context(), "insert into migrated values (2)"); err != nil {
					t.Fatalf("insert: %v", err)
				}
				var n int
				if err := conn.QueryRow(t.Context(), "select count(*) from migrated").Scan(&n); err != nil || n != 2 {
					t.Errorf("%d rows, %v, want 2", n, err)
				}
			})
		}
	})
	if migrations != 1 {
		t.Errorf("%d migrations, want 1", migrations)
	}
}

func TestDatabasesAreDropped(t *testing.T) {
	var url string
	t.Run("user", func(t *testing.T) {
		url = pgtest.New(t)
		if _, err := pgx.Connect(t.Context(), url); err != nil { // left open on purpose
			t.Fatalf("connect: %v", err)
		}
	})
	if conn, err := pgx.Connect(t.Context(), url); err == nil {
		_ = conn.Close(t.Context())
		t.Error("the database is still there after its test")
	}
}
