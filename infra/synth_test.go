package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/carasso/carasso/infra/check"
)

var update = flag.Bool("update", false, "write templates/ anew")

func TestMain(m *testing.M) {
	code := m.Run()
	jsii.Close()
	os.Exit(code)
}

// reviewed is the configuration of the committed templates: everything that can be there is.
func reviewed(target string) Config {
	return Config{
		Target: target, Region: "eu-central-1", Zones: []string{"eu-central-1a", "eu-central-1b", "eu-central-1c"},
		Domain: "carasso.example.com", ClientCA: "testdata/ca.pem", Gateways: []string{"192.0.2.0/24"},
		AlarmEmail: "operators@example.com", DatabaseClass: databaseClass, DatabaseGB: databaseGB,
		DockerPlatform: dockerPlatform,
	}
}

// context is what cdk.json says, without what depends on the machine.
func context(t *testing.T) *map[string]any {
	t.Helper()
	var file struct{ Context map[string]any }
	readJSON(t, "cdk.json", &file)
	file.Context["aws:cdk:version-reporting"] = false
	file.Context["aws:cdk:enable-path-metadata"] = false
	file.Context["aws:cdk:enable-asset-metadata"] = false
	return &file.Context
}

// TestTemplates holds the committed templates, which the other tests check and people review, against what the program
// makes.
func TestTemplates(t *testing.T) {
	for _, target := range []string{Fargate, Beanstalk} {
		t.Run(target, func(t *testing.T) {
			out := t.TempDir()
			c := reviewed(target)
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			app := awscdk.NewApp(&awscdk.AppProps{Outdir: &out, Context: context(t), AnalyticsReporting: no()})
			newStacks(app, c)
			app.Synth(nil)
			made := glob(t, filepath.Join(out, "*.template.json"))
			dir := filepath.Join("templates", target)
			if *update {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				for name, body := range made {
					if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			committed := glob(t, filepath.Join(dir, "*.template.json"))
			for name, body := range made {
				if string(body) != string(committed[name]) {
					t.Errorf("%s/%s is not what the program makes: make infra-templates, then read the difference", dir, name)
				}
			}
			for name := range committed {
				if made[name] == nil {
					t.Errorf("%s/%s: the program makes no such stack any more", dir, name)
				}
			}
		})
	}
}

// What nobody chose is not there, and the rest is made all the same.
func TestDefaults(t *testing.T) {
	for _, target := range []string{Fargate, Beanstalk} {
		t.Run(target, func(t *testing.T) {
			out, values := t.TempDir(), context(t)
			(*values)["target"] = target
			app := awscdk.NewApp(&awscdk.AppProps{Outdir: &out, Context: values, AnalyticsReporting: no()})
			c, err := newConfig(app)
			if err != nil {
				t.Fatal(err)
			}
			newStacks(app, c)
			app.Synth(nil)
			made, err := check.Load(os.DirFS(out))
			if err != nil {
				t.Fatal(err)
			}
			for _, kind := range []string{"AWS::ElasticLoadBalancingV2::TrustStore", "AWS::WAFv2::IPSet", "AWS::SNS::Subscription"} {
				if n := len(made.Of(kind)); n != 0 {
					t.Errorf("%d of %s", n, kind)
				}
			}
			runbook, err := os.ReadFile("RUNBOOK.md")
			if err != nil {
				t.Fatal(err)
			}
			unchosen := []string{"Mtls", "MtlsMetrics", "Operators", "Firewall"} // and nothing else may be missing
			for _, f := range check.All(made, target, sizes(), emitted(), string(runbook)) {
				if !slices.Contains(unchosen, strings.TrimRight(f.Where, "0123456789ABCDEF")) {
					t.Errorf("%s", f)
				}
			}
			if n := len(made.Of("AWS::ElasticLoadBalancingV2::Listener")); n != 1 {
				t.Errorf("%d listeners, want that for TLS", n)
			}
			for _, g := range made.Of("AWS::EC2::SecurityGroup") {
				for _, rule := range check.List(g.At("SecurityGroupIngress")) {
					if m, _ := rule.(map[string]any); m["CidrIp"] == "0.0.0.0/0" && m["FromPort"] != 443.0 {
						t.Errorf("%s is open at %v", g.ID, m["FromPort"])
					}
				}
			}
			if target == Fargate && len(made.Of("AWS::ECS::Service")) != 4 || target == Beanstalk && len(made.Of("AWS::ElasticBeanstalk::Environment")) != 4 {
				t.Error("services are missing")
			}
		})
	}
}

func glob(t *testing.T, pattern string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, p := range paths {
		if all[filepath.Base(p)], err = os.ReadFile(p); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
