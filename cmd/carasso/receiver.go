package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/emf"
	"github.com/carasso/carasso/internal/service"
	"github.com/carasso/carasso/internal/usage"
	"github.com/carasso/carasso/internal/vehiclestatus"
	"github.com/carasso/carasso/receiver"
)

// receiverFlags tune a receiver; embedded mode has them too.
type receiverFlags struct {
	RateBatches float64       `default:"2" help:"Batches a second that one vehicle may send for long; beyond: 429."`
	RateBurst   int           `default:"30" help:"Batches that one vehicle may send at once."`
	Linger      time.Duration `default:"40ms" help:"How long an envelope waits for more batches before it is sent."`
	InFlight    int64         `default:"64" help:"MiB of batches that may be in flight; beyond: 503."`
}

func (f receiverFlags) config() receiver.Config {
	cfg := receiver.DefaultConfig()
	cfg.RateBatches, cfg.RateBurst = f.RateBatches, f.RateBurst
	cfg.Linger, cfg.MaxBytesInFlight = f.Linger, f.InFlight<<20
	return cfg
}

// newNotebook wires what receivers note about vehicles; it runs beside the receiver.
func newNotebook(p *base, id identity) (*vehiclestatus.Notebook, error) {
	return vehiclestatus.New(vehiclestatus.Config{}, vehiclestatus.Deps{Store: p.live, Hasher: id.ring, Logger: p.log, Registerer: p.reg})
}

// newReceiver wires a receiver; the same in both modes.
func newReceiver(cfg receiver.Config, p *base, id identity, notes receiver.Notes) (*receiver.Receiver, error) {
	return receiver.New(cfg, receiver.Deps{
		Queue: p.queue, Ring: id.ring, Auth: id.verifier, Notes: notes, Logger: p.log, Registerer: p.reg,
	})
}

// serverFlags say where a service listens.
type serverFlags struct {
	Listen   string        `default:"127.0.0.1:8080" env:"CARASSO_LISTEN" help:"Address to listen on; port 0 picks a free one."`
	TLSCert  string        `env:"CARASSO_TLS_CERT" help:"Certificate chain (PEM); with --tls-key the service speaks TLS."`
	TLSKey   string        `env:"CARASSO_TLS_KEY" help:"Private key of the certificate."`
	ClientCA string        `env:"CARASSO_CLIENT_CA" help:"CA certificates (PEM) that vehicles' client certificates are verified against (mTLS)."`
	Pprof    string        `env:"CARASSO_PPROF" help:"Loopback address to serve Go profiles on (net/http/pprof); empty: nowhere."`
	Metrics  string        `default:"" enum:",emf" env:"CARASSO_METRICS" help:"Where metrics go besides /metrics: emf, to standard output for CloudWatch."`
	LameDuck time.Duration `default:"0s" env:"CARASSO_LAME_DUCK" help:"How long requests are still accepted after readiness went false, for load balancers to notice."`
}

func (f serverFlags) config() service.Config {
	cfg := service.DefaultConfig()
	cfg.Listen, cfg.LameDuck = f.Listen, f.LameDuck
	return cfg
}

// emit writes the metrics of service where they are to go.
func (f serverFlags) emit(p *base, service string) func(context.Context, string) error {
	if f.Metrics != "emf" {
		return beside(func(context.Context) error { return nil })
	}
	return beside(emf.New(service, p.reg, os.Stdout, p.log).Run)
}

// tls is nil for plain HTTP.
func (f serverFlags) tls() (*tls.Config, error) {
	if f.TLSCert == "" && f.TLSKey == "" && f.ClientCA == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(f.TLSCert, f.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert and --tls-key: %w", err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if f.ClientCA != "" {
		pem, err := os.ReadFile(f.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("--client-ca: %w", err)
		}
		cfg.ClientCAs = x509.NewCertPool()
		if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--client-ca: no certificate in %s", f.ClientCA)
		}
		cfg.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return cfg, nil
}

// receiverCmd is the receiver as a service of its own.
type receiverCmd struct {
	serverFlags   `embed:""`
	receiverFlags `embed:""`
	AWS           awsFlags      `embed:""`
	Identity      identityFlags `embed:""`
	CertHeader    string        `name:"client-cert-header" env:"CARASSO_CLIENT_CERT_HEADER" help:"Header in which a load balancer passes the client certificate on that it has verified; only it may reach the service."`
}

// Run implements the subcommand.
func (c *receiverCmd) Run(ctx context.Context, logs *logFlags) error {
	p, err := openBase(ctx, logs, &c.AWS)
	if err != nil {
		return err
	}
	defer p.close()
	id, err := c.Identity.open(p.live, p.log)
	if err != nil {
		return err
	}
	notes, err := newNotebook(p, id)
	if err != nil {
		return err
	}
	rc, err := newReceiver(c.receiverFlags.config(), p, id, notes)
	if err != nil {
		return err
	}
	health := p.health()
	health.Add("receiver", rc.Ready)
	health.Add("keys", id.ring.Ready)
	deps := p.deps(health)
	deps.Handler, deps.Drain = rc.Routes(), []func(context.Context) error{rc.Shutdown}
	if c.CertHeader != "" {
		deps.Handler = credential.Forwarded(c.CertHeader, deps.Handler)
	}
	return serve(ctx, c.serverFlags, deps, c.emit(p, "receiver"), beside(id.run), beside(notes.Run), beside(usage.NewRecorder(p.live, 0, p.log, p.used, processor).Run))
}

// serve listens, and runs the service and what runs beside it until ctx ends; what runs
// beside is given the service's base URL, and stops after the service has drained.
func serve(ctx context.Context, flags serverFlags, deps service.Deps, beside ...func(ctx context.Context, url string) error) error {
	tlsConfig, err := flags.tls()
	if err != nil {
		return err
	}
	deps.TLS = tlsConfig
	server, err := service.New(ctx, flags.config(), deps)
	if err != nil {
		return err
	}
	url := "http://" + server.Addr()
	if tlsConfig != nil {
		url = "https://" + server.Addr()
	}
	deps.Logger.InfoContext(ctx, "listening", "url", url)

	if flags.Pprof != "" {
		stopProfiles, err := serveProfiles(ctx, flags.Pprof)
		if err != nil {
			return errors.Join(err, server.Close())
		}
		defer stopProfiles()
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, gctx := errgroup.WithContext(background)
	for _, run := range beside {
		g.Go(func() error { return run(gctx, url) })
	}
	// A failure beside ends the service too.
	serveCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(gctx, cancel)()
	err = server.Run(serveCtx)
	stop()
	return errors.Join(err, g.Wait())
}

// beside adapts a background task that needs no address.
func beside(run func(context.Context) error) func(context.Context, string) error {
	return func(ctx context.Context, _ string) error { return run(ctx) }
}

// chain serves the first handler's paths under prefix, and the second's elsewhere.
func chain(path string, first, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == path {
			first.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// noRoutes answers everything with 404: for services that offer health and metrics only.
func noRoutes() http.Handler { return http.NotFoundHandler() }
