package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// rdsIAM is the role on Amazon RDS whose members log in with IAM's tokens.
const rdsIAM = "rds_iam"

// PrepareRole makes sure that services can log in as role, and that it may own the schema. It connects as c says, which must be a user
// who may make roles, and may be repeated. With tokens the role logs in through RDS's IAM alone, and c's user does not become a
// member of it: RDS takes no password of a member, however indirect, of rds_iam.
func PrepareRole(ctx context.Context, c Config, role string, tokens bool) (err error) {
	if err := c.Validate(); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, c.URL)
	if err != nil {
		return wrap("connect to prepare the services' role", err)
	}
	defer func() { err = errors.Join(err, wrap("end the connection", conn.Close(context.WithoutCancel(ctx)))) }()
	var database string
	var exists, iam bool
	err = conn.QueryRow(ctx, `SELECT current_database(), EXISTS (SELECT FROM pg_roles WHERE rolname = $1), EXISTS (SELECT FROM pg_roles WHERE rolname = $2)`,
		role, rdsIAM).Scan(&database, &exists, &iam)
	if err != nil {
		return wrap("look for the services' role", err)
	}
	if tokens && !iam {
		return errors.New("the database has no role " + rdsIAM + ": IAM authentication is for Amazon RDS, and off unless the instance enables it")
	}
	name := pgx.Identifier{role}.Sanitize()
	var statements []string
	if !exists {
		statements = append(statements, "CREATE ROLE "+name+" LOGIN")
	}
	if tokens {
		statements = append(statements, "GRANT "+rdsIAM+" TO "+name)
	} else {
		statements = append(statements, "GRANT "+name+" TO CURRENT_USER") // to act as it
	}
	statements = append(statements,
		"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE "+pgx.Identifier{database}.Sanitize()+" TO "+name,
		"GRANT CREATE, USAGE ON SCHEMA public TO "+name)
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(ctx, s); err != nil {
				return wrap("prepare the services' role "+role, err)
			}
		}
		return nil
	})
}
