package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/carasso/carasso/internal/awsclient"
	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/fleet"
	"github.com/carasso/carasso/internal/keyring"
	"github.com/carasso/carasso/internal/pgserver"
	"github.com/carasso/carasso/internal/s3"
	"github.com/carasso/carasso/mapdata"
)

// An emulator takes a fraction of AWS's load. So this phase runs at a twentieth of the rate
// with all waits twenty times as long: envelopes and flushes are as full, and passes of
// the projector as rare per sample, as at 10,000 batches/s.
const (
	billRate    = 500 // batches/s
	billStretch = 20
	billFor     = time.Minute
)

// bill runs the AWS mode against the endpoint in the environment and reads the meter at the
// SDK's boundary.
func (b *bench) bill(ctx context.Context) (_ string, err error) {
	data := filepath.Join(b.dir, "aws")
	var master [keyring.KeySize]byte
	if _, err := rand.Read(master[:]); err != nil {
		return "", err
	}
	private, err := credential.LoadOrCreate(keysDir(data)) // also writes the public half
	if err != nil {
		return "", err
	}
	issuer, err := credential.NewIssuer(private, nil)
	if err != nil {
		return "", err
	}
	pg, err := pgserver.Start(ctx, pgserver.Config{DataDir: filepath.Join(b.dir, "aws-postgres"), Logger: b.log})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, pg.Stop(context.WithoutCancel(ctx))) }()
	if err := pg.CreateDatabase(ctx, databaseName); err != nil {
		return "", err
	}
	env := []string{
		"CARASSO_DATABASE_URL=" + pg.URL(databaseName),
		"CARASSO_MASTER_KEY=" + base64.StdEncoding.EncodeToString(master[:]),
		"CARASSO_JWT_KEYS=" + filepath.Join(keysDir(data), credential.PublicFile),
	}
	resources, err := b.provisionForBill(ctx)
	if err != nil {
		return "", err
	}
	for _, kv := range resources.Environment() {
		env = append(env, kv[0]+"="+kv[1])
	}

	var services []*child
	defer func() {
		for _, s := range services {
			err = errors.Join(err, s.stop())
		}
	}()
	run := func(args ...string) (*child, error) {
		addr, err := loopback(ctx)
		if err != nil {
			return nil, err
		}
		s, err := startChild(ctx, addr, env, append(args, "--listen", addr)...)
		if err == nil {
			services = append(services, s)
		}
		return s, err
	}
	stretched := func(d time.Duration) string { return (d * billStretch).String() }
	rx, err := run("receiver", "--linger", stretched(40*time.Millisecond))
	if err != nil {
		return "", err
	}
	wk, err := run("worker", "--flush-interval", stretched(500*time.Millisecond), "--project-interval", stretched(15*time.Second))
	if err != nil {
		return "", err
	}
	mg, err := run("management")
	if err != nil {
		return "", err
	}

	idle := billed(ctx, rx, wk)
	operator, err := fleetDeps(b.network, issuer)
	if err != nil {
		return "", err
	}
	operator.Logger = b.log
	cfg := fleet.DefaultConfig()
	cfg.Target, cfg.Management = rx.url, mg.url
	cfg.Vehicles, cfg.Duration, cfg.VerifyTimeout = billRate*10, billFor, 5*time.Minute
	report, err := fleet.Run(ctx, cfg, operator)
	if err != nil {
		_ = report.WriteTable(b.out)
		return "", err
	}
	used := billed(ctx, rx, wk)
	var rows [][2]string
	for _, what := range slices.Sorted(maps.Keys(used)) {
		if n := used[what] - idle[what]; n > 0 {
			rows = append(rows, [2]string{what, fmt.Sprintf("%.1f", n/float64(report.Samples)*1e6)})
		}
	}
	return tabulate(fmt.Sprintf("Billed by AWS per million samples (at the SDK's boundary, %.0f batches/s for %s, all waits %d times as long: as full as at %d batches/s)",
		report.AcceptedPerSecond(), billFor, billStretch, billRate*billStretch), rows), nil
}

func (b *bench) provisionForBill(ctx context.Context) (awsclient.Resources, error) {
	clients, err := awsclient.Load(ctx, awsclient.Config{}, nil)
	if err != nil {
		return awsclient.Resources{}, err
	}
	defer clients.Close()
	names := awsclient.DefaultNames()
	unique := "bench-" + strings.ToLower(rand.Text()[:10])
	names.Queue, names.DeadQueue, names.Bucket, names.Table = unique, unique+"-dead", unique, unique
	resources, err := awsclient.Provision(ctx, clients, names)
	if err != nil {
		return resources, err
	}
	store, err := s3.New(clients.S3(), s3.Config{Bucket: unique})
	if err != nil {
		return resources, err
	}
	_, err = mapdata.ImportFile(ctx, b.Map, store, mapdata.ImportOptions{})
	return resources, err
}

// billed adds up what services were billed, by service, operation and class.
func billed(ctx context.Context, services ...*child) map[string]float64 {
	sum := map[string]float64{}
	for _, s := range services {
		for labels, n := range s.metrics(ctx, "carasso_aws_billed_units_total") {
			sum[describe(labels)] += n
		}
	}
	return sum
}

// describe turns {class="put",operation="PutObject",service="S3"} into "S3 PutObject, put".
func describe(labels string) string {
	v := map[string]string{}
	for pair := range strings.SplitSeq(strings.Trim(labels, "{}"), ",") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			v[key] = strings.Trim(value, `"`)
		}
	}
	return fmt.Sprintf("%s %s, %s", v["service"], v["operation"], v["class"])
}
