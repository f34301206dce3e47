package postgres

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Error is a failed operation on the database.
type Error struct {
	Op  string // what was tried
	Err error
}

// Error is the operation and its cause.
func (e *Error) Error() string { return e.Op + ": " + e.Err.Error() }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Permanent tells whether the same data will fail again: the database understood and
// refused it (SQLSTATE class 22, data exception, and 23, integrity constraint
// violation). All else, such as a lost connection or a deadlock, is worth a retry.
func (e *Error) Permanent() bool {
	if errors.Is(e.Err, errBadData) {
		return true
	}
	var pg *pgconn.PgError
	if !errors.As(e.Err, &pg) || len(pg.Code) != 5 {
		return false
	}
	return pg.Code[:2] == "22" || pg.Code[:2] == "23"
}

// errBadData is wrapped where this package itself refuses values.
var errBadData = errors.New("value out of range")

func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %w", op, err)
	}
	return &Error{Op: op, Err: err}
}
