// Package postgres is the adapter to PostgreSQL: the ledger, the idempotency claims, the
// aggregates with their background folding, the outbox. Its schema is in migrations/.
//
// What workers write is insert-only, so that flushes neither wait for each other nor
// deadlock; Fold merges it at leisure. Whoever reads an aggregate sums the base table and
// its deltas in ONE statement at the default isolation level (read committed): only so
// is the sum right at every moment, because folding ends with a TRUNCATE, which a
// snapshot taken earlier would see.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says how to reach the database and how long it keeps what.
type Config struct {
	// URL is a libpq connection string. Required.
	URL string
	// MaxConns bounds the pool. Default 12. Leadership (Lead) takes connections of its own.
	MaxConns int32
	// ApplicationName shows in pg_stat_activity. Default "carasso".
	ApplicationName string
	// User logs in; URL's or PGUSER's if empty.
	User string
	// Role is set after logging in, so that what is made belongs to it; the user's own if empty.
	Role string
	// Password is asked for at each connection, for those that expire; it is given host:port and user. nil: what URL says.
	Password func(ctx context.Context, address, user string) (string, error)
	// Retention of what grows with time. Defaults: DefaultRetention.
	Retention Retention
}

// Validate names the first field outside its range.
func (c *Config) Validate() error {
	if c.URL == "" {
		return errors.New("postgres: URL must be set")
	}
	if c.MaxConns < 0 || c.MaxConns > 1000 {
		return fmt.Errorf("postgres: MaxConns %d outside 1 to 1000", c.MaxConns)
	}
	return c.Retention.validate()
}

// DB is a pool of connections. Safe for concurrent use.
type DB struct {
	pool          *pgxpool.Pool
	beforeConnect func(context.Context, *pgx.ConnConfig) error // for connections beside the pool
	retention     Retention
	log           *slog.Logger
	now           func() time.Time

	limitsExpired *atomic.Int64 // the day, since the epoch, on which learned limits were last looked through
}

// Open makes the pool. It connects lazily: Ping tells whether the database answers.
func Open(ctx context.Context, c Config, log *slog.Logger) (*DB, error) {
	c.Retention = c.Retention.withDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	pc, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("parse the database's URL: %w", err)
	}
	pc.MaxConns = c.MaxConns
	if pc.MaxConns == 0 {
		pc.MaxConns = 12
	}
	if pc.ConnConfig.ConnectTimeout == 0 {
		pc.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	if c.User != "" {
		pc.ConnConfig.User = c.User
	}
	params := pc.ConnConfig.RuntimeParams
	params["application_name"] = c.ApplicationName
	if c.ApplicationName == "" {
		params["application_name"] = "carasso"
	}
	// A client that vanished must not hold its locks for long.
	params["tcp_keepalives_idle"] = "15"
	params["lock_timeout"] = "30s"
	params["idle_in_transaction_session_timeout"] = "120s"
	params["timezone"] = "UTC"
	if c.Role != "" {
		params["role"] = c.Role
	}
	pc.BeforeConnect = c.beforeConnect
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("open the database pool: %w", err)
	}
	return &DB{pool: pool, beforeConnect: c.beforeConnect, retention: c.Retention, log: log, now: time.Now, limitsExpired: new(atomic.Int64)}, nil
}

// beforeConnect asks for the password.
func (c *Config) beforeConnect(ctx context.Context, cc *pgx.ConnConfig) error {
	if c.Password == nil {
		return nil
	}
	password, err := c.Password(ctx, net.JoinHostPort(cc.Host, strconv.Itoa(int(cc.Port))), cc.User)
	if err != nil {
		return fmt.Errorf("the database's password: %w", err)
	}
	cc.Password = password
	return nil
}

// Close waits until every connection is returned and closes them.
func (db *DB) Close() { db.pool.Close() }

// Pool is the pool itself, for the job queue, which lives in the same database.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Ping tells whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return wrap("ping the database", db.pool.Ping(ctx)) }

// inTx runs f in a transaction and commits it unless f fails.
func (db *DB) inTx(ctx context.Context, op string, f func(tx pgx.Tx) error) error {
	return wrap(op, pgx.BeginFunc(ctx, db.pool, f))
}
