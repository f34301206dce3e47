package main

import (
	"context"
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/internal/service"
)

// base is what every service is wired from.
type base struct {
	backends
	log *slog.Logger
	reg *prometheus.Registry

	// Set by openDatabase.
	db   *postgres.DB
	maps *roads

	closers []func()
}

// openBase opens the backends on AWS. Whoever gets a base closes it.
func openBase(ctx context.Context, logs *logFlags, aws *awsFlags) (*base, error) {
	log, err := logs.logger()
	if err != nil {
		return nil, err
	}
	p := &base{log: log, reg: service.NewRegistry()}
	b, closeBackends, err := aws.open(ctx, log, p.reg)
	if err != nil {
		return nil, err
	}
	p.backends, p.closers = b, append(p.closers, closeBackends)
	return p, nil
}

// openWithDatabase is openBase with the database, for service.
func openWithDatabase(ctx context.Context, logs *logFlags, aws *awsFlags, database databaseFlags, service string) (*base, error) {
	p, err := openBase(ctx, logs, aws)
	if err != nil {
		return nil, err
	}
	if err := p.openDatabase(ctx, database, service, 0); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// connections is how many connections a process has beside those of its flushes, of which each may wait with one while a replay is swapped.
const connections = 12

// maxConnections is what the embedded PostgreSQL, which takes 64 of all, can give to one.
const maxConnections = 48

// openDatabase opens the database, brings its schema up to date, and reads which map is in use. So many flushes are under way at once.
func (p *base) openDatabase(ctx context.Context, database databaseFlags, service string, flushes int) error {
	cfg, err := database.config(ctx, service)
	if err != nil {
		return err
	}
	cfg.MaxConns = int32(min(connections+flushes, maxConnections))
	db, err := postgres.Open(ctx, cfg, p.log)
	if err != nil {
		return err
	}
	p.db, p.closers = db, append(p.closers, db.Close)
	if err := database.upToDate(ctx, db); err != nil {
		return err
	}
	p.maps = newRoads(p.objects, p.log)
	return p.maps.refresh(ctx)
}

// health watches what the base has opened.
func (p *base) health() *service.Health {
	h := service.NewHealth()
	if p.db != nil {
		h.Add("database", p.db.Ping)
	}
	return h
}

// deps are those of a service that offers health and metrics only.
func (p *base) deps(h *service.Health) service.Deps {
	return service.Deps{Handler: noRoutes(), Logger: p.log, Gatherer: p.reg, Health: h}
}

// close closes what was opened, last things first.
func (p *base) close() {
	for _, closer := range slices.Backward(p.closers) {
		closer()
	}
}
