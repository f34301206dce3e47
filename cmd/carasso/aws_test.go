package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/emf/selection"
	"github.com/carasso/carasso/internal/pgserver"
)

// awsStack is receiver, two workers and management and jobs as processes of their own, on LocalStack
// and a PostgreSQL of the test's.
type awsStack struct {
	managed
	env         []string
	pg          *pgserver.Server
	pgConfig    pgserver.Config
	receiverURL string
	receiver    *process
	workers     []*process
	services    []*process
}

func newAWSStack(t *testing.T) *awsStack {
	t.Helper()
	if os.Getenv("AWS_ENDPOINT_URL") == "" {
		t.Fatal("AWS_ENDPOINT_URL is not set: this test needs a LocalStack. Run `make test`, " +
			"or `localstack/host.sh start && eval \"$(localstack/host.sh env)\"`")
	}
	s := &awsStack{managed: managed{t: t, data: dataDir(t)}}
	s.pgConfig = pgserver.Config{DataDir: filepath.Join(s.data, "postgres"), Logger: slog.New(slog.DiscardHandler)}
	s.startPostgres()
	t.Cleanup(func() { s.stopPostgres() })
	if err := s.pg.CreateDatabase(t.Context(), databaseName); err != nil {
		t.Fatal(err)
	}
	master := make([]byte, 32)
	if _, err := rand.Read(master); err != nil {
		t.Fatal(err)
	}
	s.env = []string{
		"CARASSO_DATA=" + s.data,
		"CARASSO_DATABASE_URL=" + s.pg.URL(databaseName),
		"CARASSO_MASTER_KEY=" + base64.StdEncoding.EncodeToString(master),
		"CARASSO_JWT_KEYS=" + filepath.Join(keysDir(s.data), "jwt.pub"),
		"CARASSO_METRICS=emf",
	}
	output(t, s.env, "token", "--role", "operator") // makes the keys
	name := "e2e-" + strings.ToLower(rand.Text()[:10])
	for line := range strings.Lines(output(t, s.env, "provision", "--queue", name, "--dead-queue", name+"-dead", "--bucket", name, "--table", name)) {
		if key, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "="); ok {
			s.env = append(s.env, key+"="+strings.Trim(value, `"'`))
		}
	}
	file, err := findMap("")
	if err != nil {
		t.Fatal(err)
	}
	output(t, s.env, "map", "import", file)

	s.receiver, s.receiverURL = s.service("receiver")
	_, management := s.service("management")
	s.addr = strings.TrimPrefix(management, "http://")
	s.service("jobs")
	for range 2 {
		w, _ := s.service("worker")
		s.workers = append(s.workers, w)
	}
	return s
}

func (s *awsStack) service(name string) (p *process, url string) {
	s.t.Helper()
	addr := freePort(s.t)
	p = start(s.t, s.env, name, "--listen", addr)
	s.services = append(s.services, p)
	p.ready("http://"+addr, time.Minute)
	return p, "http://" + addr
}

func (s *awsStack) startPostgres() {
	s.t.Helper()
	pg, err := pgserver.Start(s.t.Context(), s.pgConfig)
	if err != nil {
		s.t.Fatal(err)
	}
	s.pg = pg
}

func (s *awsStack) stopPostgres() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.pg.Stop(ctx); err != nil {
		s.t.Errorf("stop PostgreSQL: %v", err)
	}
}

// toldCloudWatch expects of each kind of service that it told all that dashboards and alarms are made of.
func (s *awsStack) toldCloudWatch() {
	s.t.Helper()
	told := map[string]string{}
	for _, p := range s.services {
		told[p.name] += p.out.String()
	}
	for name, out := range told {
		if !strings.Contains(out, `"Namespace":"`+selection.Namespace+`"`) {
			s.t.Errorf("%s told CloudWatch nothing in minutes", name)
		}
	}
	for _, m := range selection.Metrics() {
		for _, service := range m.Services {
			if !strings.Contains(told[service], `"`+m.Name+`":`) {
				s.t.Errorf("%s did not tell CloudWatch of %s", service, m.Name)
			}
		}
	}
}

// On LocalStack, with a worker killed and the database away for 30 s under load: the receiver
// keeps accepting, the other worker catches up, and the fleet finds everything it was told
// is accepted, once. Then every kind of job runs over what is there.
func TestAWSStack(t *testing.T) {
	t.Parallel()
	s := newAWSStack(t)
	f := start(t, s.env, "fleet", "--target", s.receiverURL, "--management", s.url(),
		"--vehicles", "500", "--duration", "50s", "--verify-for", "5m")
	time.Sleep(8 * time.Second) // some load first
	s.workers[0].kill()
	s.stopPostgres()
	time.Sleep(30 * time.Second)
	s.startPostgres()
	f.finish(7 * time.Minute)
	s.everyJob()
	if out := f.out.String(); strings.Contains(out, "rejected for good: 5") {
		t.Errorf("the receiver depended on the database:\n%s", out)
	}
	s.workers[1].terminate(time.Minute)
	s.receiver.terminate(time.Minute)
	s.toldCloudWatch()
	for _, p := range s.services {
		if strings.Contains(p.out.String(), "are not registered") {
			t.Errorf("%s lacks metrics that it should tell CloudWatch:\n%s", p.name, p.out.String())
		}
	}
}
