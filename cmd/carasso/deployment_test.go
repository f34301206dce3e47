package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/carasso/carasso/internal/awsclient"
	"github.com/carasso/carasso/internal/service"
)

// container is one of a task definition in infrastructure's templates.
type container struct {
	Name        string
	Command     []string
	StopTimeout int
	Environment []struct {
		Name  string
		Value any // text, or what only AWS knows
	}
	Secrets []struct{ Name string }
}

func readTemplate(t *testing.T, target, stack string) (resources map[string]struct {
	Type       string
	Properties json.RawMessage
},
) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../infra/templates", target, stack+".template.json"))
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct {
			Type       string
			Properties json.RawMessage
		}
	}
	if err := json.Unmarshal(b, &template); err != nil {
		t.Fatal(err)
	}
	return template.Resources
}

// TestDeployment holds the tasks of infrastructure's templates against this binary: each command takes its environment, all
// that is required is there, nothing is set that nobody reads, and a task has the time to stop that it may need.
func TestDeployment(t *testing.T) {
	// Not parallel: it sets the environment, which the parser reads.
	seen := 0
	for _, stack := range []string{"Carasso-Platform", "Carasso-Services"} {
		for _, r := range readTemplate(t, "fargate", stack) {
			if r.Type != "AWS::ECS::TaskDefinition" {
				continue
			}
			var task struct{ ContainerDefinitions []container }
			if err := json.Unmarshal(r.Properties, &task); err != nil {
				t.Fatal(err)
			}
			for i := range task.ContainerDefinitions {
				seen++
				t.Run(task.ContainerDefinitions[i].Name, func(t *testing.T) { checkContainer(t, &task.ContainerDefinitions[i]) })
			}
		}
	}
	if seen != 5 {
		t.Errorf("%d tasks, want the four services and the migration", seen)
	}
}

func checkContainer(t *testing.T, c *container) {
	t.Helper()
	lameDuck := time.Duration(0)
	set := map[string]bool{}
	for _, v := range c.Environment {
		value, ok := v.Value.(string)
		if !ok {
			value = "known to AWS"
		}
		if v.Name == "CARASSO_LAME_DUCK" {
			lameDuck, _ = time.ParseDuration(value)
		}
		set[v.Name] = true
		t.Setenv(v.Name, value)
	}
	for _, s := range c.Secrets {
		set[s.Name] = true
		t.Setenv(s.Name, "secret")
	}
	parser, err := kong.New(&cli{}, kong.Vars(simulateVars()))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse(c.Command)
	if err != nil {
		t.Fatalf("carasso %s: %v", strings.Join(c.Command, " "), err)
	}
	for _, f := range parsed.Flags() {
		for _, name := range f.Envs {
			delete(set, name)
		}
	}
	for name := range set {
		if strings.HasPrefix(name, "CARASSO_") {
			t.Errorf("carasso %s reads no %s", strings.Join(c.Command, " "), name)
		}
	}
	if c.Name == "migrate" {
		return
	}
	// Drain and shutdown, then what runs beside.
	if need := lameDuck + 2*service.DefaultConfig().DrainTimeout + 20*time.Second; time.Duration(c.StopTimeout)*time.Second < need {
		t.Errorf("is killed after %d s, but may need %v to stop", c.StopTimeout, need)
	}
}

// TestDeployedBalancer: it closes connections that carry nothing before services do, which would cut off a request on its way.
func TestDeployedBalancer(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"fargate", "beanstalk"} {
		idle := time.Duration(0)
		for _, r := range readTemplate(t, target, "Carasso-Services") {
			if r.Type != "AWS::ElasticLoadBalancingV2::LoadBalancer" {
				continue
			}
			var p struct {
				LoadBalancerAttributes []struct {
					Key   string
					Value any // text, or what only AWS knows
				}
			}
			if err := json.Unmarshal(r.Properties, &p); err != nil {
				t.Fatal(err)
			}
			for _, a := range p.LoadBalancerAttributes {
				if s, _ := a.Value.(string); a.Key == "idle_timeout.timeout_seconds" {
					idle, _ = time.ParseDuration(s + "s")
				}
			}
		}
		if limit := service.DefaultConfig().IdleTimeout - 10*time.Second; idle <= 0 || idle > limit {
			t.Errorf("%s: the load balancer closes idle connections after %v, want at most %v", target, idle, limit)
		}
	}
}

// TestDeployedQueueAndTable: the queue, and the table's attributes, are as the adapters expect them.
func TestDeployedQueueAndTable(t *testing.T) {
	t.Parallel()
	names := awsclient.DefaultNames()
	for id, r := range readTemplate(t, "fargate", "Carasso-Data") {
		var p struct {
			VisibilityTimeout, MessageRetentionPeriod, MaximumMessageSize int
			RedrivePolicy                                                 struct{ MaxReceiveCount int }
			KeySchema                                                     []struct{ AttributeName string }
			TimeToLiveSpecification                                       struct{ AttributeName string }
		}
		if err := json.Unmarshal(r.Properties, &p); err != nil {
			continue // of another shape: neither
		}
		switch r.Type {
		case "AWS::SQS::Queue":
			have := fmt.Sprint(time.Duration(p.MessageRetentionPeriod)*time.Second, p.MaximumMessageSize)
			if want := fmt.Sprint(names.Retention, names.MaxMessageBytes); have != want {
				t.Errorf("%s: retention and size %s, want %s", id, have, want)
			}
			if v := time.Duration(p.VisibilityTimeout) * time.Second; v < names.Visibility || v <= queueVisibility {
				t.Errorf("%s: visibility %v, want at least %v", id, v, names.Visibility)
			}
			if strings.HasPrefix(id, "Envelopes") && p.RedrivePolicy.MaxReceiveCount != names.MaxReceive {
				t.Errorf("%s: dead after %d, want %d", id, p.RedrivePolicy.MaxReceiveCount, names.MaxReceive)
			}
		case "AWS::DynamoDB::Table":
			if len(p.KeySchema) != 1 || p.KeySchema[0].AttributeName != awsclient.TableKey || p.TimeToLiveSpecification.AttributeName != awsclient.TableTTL {
				t.Errorf("%s: %+v", id, p)
			}
		}
	}
}
