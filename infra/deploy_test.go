package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// account is a made-up one: cdk, aws, docker and go that write down what they are asked, and of which one may fail.
type account struct {
	dir, log string
	env      []string
}

// fake notes the call, and fails when the call holds $FAIL. Anything asked of AWS has an answer, but for what holds $NOTHING.
const fake = `#!/bin/bash
all="$*"
[[ "$all" == *--password-stdin* ]] && cat >/dev/null
echo "${0##*/} $* [$AWS_REGION]" >>"$LOG"
if [ -n "$FAIL" ] && [[ "$*" == *$FAIL* ]]; then exit 1; fi
if [ -n "$NOTHING" ] && [[ "$*" == *$NOTHING* ]]; then echo None; exit; fi
case "$*" in
  *OutputKey==*) q=${all#*OutputKey==\'}; echo "the-${q%%\'*}/of-it" ;;
  *ResourceType==*) q=${all#*ResourceType==\'AWS::}; echo "the-${q%%\'*}" ;;
  *list-resource-record-sets*) echo '{"Changes": [{"Action": "DELETE"}]}' ;;
  *exitCode*) echo "${EXIT:-0}" ;;
  *taskArn*) echo the-task ;;
esac
`

func newAccount(t *testing.T, env ...string) account {
	t.Helper()
	dir := t.TempDir()
	a := account{dir: dir, log: filepath.Join(dir, "log")}
	for _, name := range []string{"cdk", "aws", "docker", "go"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(fake), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"jwt.pub": "the key\n", "andorra.osm.pbf": "a map"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.env = append([]string{
		"PATH=" + dir + ":" + os.Getenv("PATH"), "LOG=" + a.log, "CDK=" + filepath.Join(dir, "cdk"), "FAIL=", "NOTHING=", "EXIT=0",
		"TAG=v1", "JWT_PUBLIC_KEY=jwt.pub", "AWS_REGION=us-east-1",
	}, env...)
	return a
}

// deploy runs the script from the account's folder; calls are what it did.
func (a account) deploy(t *testing.T, args ...string) (calls []string, output string, err error) {
	t.Helper()
	script, err := filepath.Abs("deploy")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), script, args...)
	cmd.Dir, cmd.Env = a.dir, a.env
	out, err := cmd.CombinedOutput()
	b, readErr := os.ReadFile(a.log)
	if readErr != nil && !os.IsNotExist(readErr) {
		t.Fatal(readErr)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n"), string(out), err
}

// follow wants these calls among calls, in this order.
func follow(t *testing.T, calls []string, want ...string) {
	t.Helper()
	all := strings.Join(calls, "\n")
	for _, w := range want {
		_, after, ok := strings.Cut(all, w)
		if !ok {
			t.Fatalf("no %q, or not in this order:\n%s", w, strings.Join(calls, "\n"))
		}
		all = after
	}
}

// TestDeploy: the three commands of the README, and those beside, do what they say in this order, in the region of the stacks.
func TestDeploy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args, want []string
	}{
		"base":  {[]string{"base"}, []string{"cdk deploy Carasso-Network Carasso-Data Carasso-Platform --parameters Carasso-Platform:ImageTag=v1 -c domain=a.example -c region=eu-west-1"}},
		"image": {[]string{"image"}, []string{"docker login --username AWS --password-stdin the-Repository", "docker buildx build --platform linux/arm64 --provenance=false"}},
		"all": {nil, []string{
			"cdk deploy Carasso-Network Carasso-Data Carasso-Platform", "aws ecs run-task", "--task-definition the-MigrationTask", "subnets=[the-MigrationSubnets", "aws ecs wait", "exitCode",
			"cdk deploy Carasso-Services Carasso-Watch --parameters Carasso-Services:ImageTag=v1 --parameters Carasso-Services:JwtPublicKey=the key -c domain=a.example",
		}},
		"map":      {[]string{"map", "andorra.osm.pbf"}, []string{"go run ./cmd/carasso map import --bucket the-Bucket/of-it --tile-bucket the-TileBucket/of-it /"}},
		"down":     {[]string{"down"}, []string{"modify-load-balancer-attributes --load-balancer-arn the-ElasticLoadBalancingV2::LoadBalancer", "Value=false", "cdk destroy Carasso-Watch Carasso-Services"}},
		"down all": {[]string{"down", "all"}, []string{"change-resource-record-sets --hosted-zone-id the-Route53::HostedZone", "DELETE", "modify-db-instance --db-instance-identifier the-RDS::DBInstance --no-deletion-protection", "cdk destroy Carasso-Platform Carasso-Data Carasso-Network"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls, out, err := newAccount(t, "CDK_CONTEXT=-c domain=a.example -c region=eu-west-1").deploy(t, c.args...)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			follow(t, calls, c.want...)
			for _, call := range calls {
				if !strings.HasSuffix(call, "[eu-west-1]") {
					t.Errorf("in another region than the stacks: %s", call)
				}
			}
		})
	}
}

// TestDownAfterHalfADeployment: what was never made is not in the way of taking down the rest.
func TestDownAfterHalfADeployment(t *testing.T) {
	t.Parallel()
	for what, args := range map[string][]string{"destroy Carasso-Watch": {"down"}, "destroy Carasso-Platform": {"down", "all"}} {
		calls, out, err := newAccount(t, "NOTHING=ResourceType").deploy(t, args...)
		if err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
		follow(t, calls, what)
		for _, c := range calls {
			if strings.Contains(c, " modify-") || strings.Contains(c, " change-") {
				t.Errorf("%v changes what is not there: %s", args, c)
			}
		}
	}
}

// TestDeployStops: after a step that failed no other is taken.
func TestDeployStops(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env, not, says string
		args           []string
	}{
		"platform fails":       {"FAIL=Carasso-Platform", "run-task", "", nil},
		"no task starts":       {"NOTHING=run-task", "Carasso-Services", "no task that could be started", nil},
		"migration never ends": {"FAIL=wait", "Carasso-Services", "", nil},
		"migration fails":      {"EXIT=1", "Carasso-Services", "/carasso/migrate", nil},
		"no key":               {"JWT_PUBLIC_KEY=nowhere.pub", "Carasso-Services", "nowhere.pub", nil},
		"no tag":               {"TAG=", "cdk", "set TAG", []string{"base"}},
		"no repository":        {"NOTHING=Repository", "docker", "infra/deploy base", []string{"image"}},
		"build before login":   {"FAIL=login --username", "buildx", "", []string{"image"}},
		"still protected":      {"FAIL=modify-load-balancer", "destroy", "", []string{"down"}},
		"zone in use":          {"FAIL=change-resource", "destroy", "", []string{"down", "all"}},
		"unknown command":      {"", "cdk", "infra/deploy base", []string{"bas"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls, out, err := newAccount(t, c.env).deploy(t, c.args...)
			if err == nil {
				t.Errorf("it went well:\n%s", strings.Join(calls, "\n"))
			}
			if !strings.Contains(out, c.says) {
				t.Errorf("says %q, not %q", out, c.says)
			}
			for _, call := range calls {
				if strings.Contains(call, c.not) {
					t.Errorf("went on: %s", call)
				}
			}
		})
	}
}
