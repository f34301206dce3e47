package main

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/carasso/carasso/infra/check"
	"github.com/carasso/carasso/internal/emf/selection"
	"github.com/carasso/carasso/internal/scaling"
)

func sizes() check.Sizes {
	return check.Sizes{
		AllowedBacklog: scaling.AllowedBacklog, MinWorkers: max(minWorkers, scaling.MinWorkers), MaxWorkers: scaling.MaxWorkers,
		WorkerCPU: scaling.WorkerCPUPercent, MinReceivers: minReceivers, MaxReceivers: maxReceivers, RequestsPerTarget: requestsPerTarget, MaxReceive: 5, ServicePort: servicePort,
		Visibility: 150, StopTimeout: 90, LongestFlush: 30, Retention: 14 * 24 * 3600, FirstSurge: 3 * int(scaling.LatencyTarget.Seconds()),
		BalancerIdle: int(balancerIdle.Seconds()),
	}
}

func emitted() check.Metrics {
	all := check.Metrics{}
	for _, m := range selection.Metrics() {
		all[m.Name] = m
	}
	return all
}

func load(t *testing.T, target string) (templates check.Templates, runbook string) {
	t.Helper()
	templates, err := check.Load(os.DirFS("templates/" + target))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	return templates, string(b)
}

func TestStacks(t *testing.T) {
	t.Parallel()
	for _, target := range []string{Fargate, Beanstalk} {
		templates, runbook := load(t, target)
		for _, f := range check.All(templates, target, sizes(), emitted(), runbook) {
			t.Errorf("%s: %s", target, f)
		}
	}
}

// breakage breaks one thing in the templates, and names the rule that must notice.
type breakage struct {
	name, rule string
	do         func(t *testing.T, templates check.Templates)
}

// set changes a value in a resource; nil takes it away.
func set(kind, prefix string, value any, path ...any) func(*testing.T, check.Templates) {
	return func(t *testing.T, templates check.Templates) {
		t.Helper()
		r, ok := templates.Named(kind, prefix)
		if !ok {
			t.Fatalf("no %s %s to break", kind, prefix)
		}
		var at any = r.Properties
		for _, p := range path[:len(path)-1] {
			switch p := p.(type) {
			case string:
				at = at.(map[string]any)[p]
			case int:
				at = at.([]any)[p]
			}
		}
		name := path[len(path)-1].(string)
		parent, ok := at.(map[string]any)
		if !ok {
			t.Fatalf("%s: nothing at %v", r.ID, path)
		}
		if value == nil {
			delete(parent, name)
			return
		}
		parent[name] = value
	}
}

// remove takes a resource away.
func remove(kind, prefix string) func(*testing.T, check.Templates) {
	return func(t *testing.T, templates check.Templates) {
		t.Helper()
		r, ok := templates.Named(kind, prefix)
		if !ok {
			t.Fatalf("no %s %s to remove", kind, prefix)
		}
		delete(templates[r.Stack], r.ID)
	}
}

// replace changes text anywhere in a resource.
func replace(kind, prefix, from, to string) func(*testing.T, check.Templates) {
	return func(t *testing.T, templates check.Templates) {
		t.Helper()
		r, ok := templates.Named(kind, prefix)
		if !ok {
			t.Fatalf("no %s %s to change", kind, prefix)
		}
		before, err := json.Marshal(r.Properties)
		if err != nil {
			t.Fatal(err)
		}
		after := strings.ReplaceAll(string(before), from, to)
		if after == string(before) {
			t.Fatalf("%s: no %q in %s", r.ID, from, before)
		}
		r.Properties = nil
		if err := json.Unmarshal([]byte(after), &r.Properties); err != nil {
			t.Fatal(err)
		}
		templates[r.Stack][r.ID] = r
	}
}

// allow gives a role one more permission.
func grant(prefix, action string, resource any) func(*testing.T, check.Templates) {
	return func(t *testing.T, templates check.Templates) {
		t.Helper()
		r, ok := templates.Named("AWS::IAM::Policy", prefix+"DefaultPolicy")
		if !ok {
			t.Fatalf("no policy of %s", prefix)
		}
		document := r.Properties["PolicyDocument"].(map[string]any)
		document["Statement"] = append(document["Statement"].([]any), map[string]any{"Effect": "Allow", "Action": action, "Resource": resource})
	}
}

func breakages() []breakage {
	envelopes := map[string]any{"Fn::ImportValue": "Carasso-Data:ExportsOutputFnGetAttEnvelopesCFEC9B4BArn"}
	live := map[string]any{"Fn::ImportValue": "Carasso-Data:ExportsOutputFnGetAttLiveArn"}
	const (
		queue, bucket, table, db = "AWS::SQS::Queue", "AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::RDS::DBInstance"
		task, service            = "AWS::ECS::TaskDefinition", "AWS::ECS::Service"
		policy                   = "AWS::ApplicationAutoScaling::ScalingPolicy"
		alarm, listener          = "AWS::CloudWatch::Alarm", "AWS::ElasticLoadBalancingV2::Listener"
	)
	tracking := "TargetTrackingScalingPolicyConfiguration"
	return []breakage{
		{"database open to the world", "network", func(_ *testing.T, templates check.Templates) {
			templates["Carasso-Network"]["Hole12345678"] = check.Resource{Stack: "Carasso-Network", ID: "Hole12345678", Type: "AWS::EC2::SecurityGroupIngress", Properties: map[string]any{
				"GroupId": map[string]any{"Fn::GetAtt": []any{"DatabaseGroup12345678", "GroupId"}}, "CidrIp": "0.0.0.0/0", "FromPort": 5432.0, "ToPort": 5432.0, "IpProtocol": "tcp",
			}}
		}},
		{"subnets with public addresses", "network", set("AWS::EC2::Subnet", "VpcreceiverSubnet1Subnet", true, "MapPublicIpOnLaunch")},
		{"one zone", "network", set("AWS::EC2::Subnet", "VpcdataSubnet3Subnet", "eu-central-1a", "AvailabilityZone")},
		{"no endpoint of SQS", "network", remove("AWS::EC2::VPCEndpoint", "VpcSqs")},
		{"no endpoint of S3", "network", remove("AWS::EC2::VPCEndpoint", "VpcS3")},
		{"no dead letters", "queue", set(queue, "Envelopes", nil, "RedrivePolicy")},
		{"dead letters after one", "queue", set(queue, "Envelopes", 1.0, "RedrivePolicy", "maxReceiveCount")},
		{"short visibility", "queue", set(queue, "Envelopes", 30.0, "VisibilityTimeout")},
		{"dead letters kept a day", "queue", set(queue, "DeadLetters", 86400.0, "MessageRetentionPeriod")},
		{"queue without encryption", "queue", set(queue, "Envelopes", nil, "KmsMasterKeyId")},
		{"queue without TLS", "queue", remove("AWS::SQS::QueuePolicy", "EnvelopesPolicy")},
		{"public bucket", "buckets", set(bucket, "Raw", false, "PublicAccessBlockConfiguration", "BlockPublicPolicy")},
		{"bucket without encryption", "buckets", set(bucket, "Raw", nil, "BucketEncryption")},
		{"tiles end by age", "buckets", replace(bucket, "Tiles", `"Id":"unfinished-uploads"`, `"Id":"x","ExpirationInDays":30`)},
		{"transitions out of order", "buckets", replace(bucket, "Raw", `"TransitionInDays":35`, `"TransitionInDays":300`)},
		{"results kept for good", "buckets", replace(bucket, "Raw", `"Prefix":"athena/"`, `"Prefix":"quarantine/"`)},
		{"parameter that is no text", "database", set("AWS::RDS::DBParameterGroup", "DatabaseParameters", 950.0, "Parameters", "max_connections")},
		{"provisioned table", "live store", set(table, "Live", "PROVISIONED", "BillingMode")},
		{"no time to live", "live store", set(table, "Live", nil, "TimeToLiveSpecification")},
		{"no point in time", "live store", set(table, "Live", false, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled")},
		{"one zone for PostgreSQL", "database", set(db, "Database", false, "MultiAZ")},
		{"public PostgreSQL", "database", set(db, "Database", true, "PubliclyAccessible")},
		{"PostgreSQL without encryption", "database", set(db, "Database", false, "StorageEncrypted")},
		{"password in the template", "database", set(db, "Database", "secret", "MasterUserPassword")},
		{"PostgreSQL without TLS", "database", set("AWS::RDS::DBParameterGroup", "DatabaseParameters", "0", "Parameters", "rds.force_ssl")},
		{"archive at another place", "archive", replace("AWS::Glue::Table", "ArchiveTable", "/raw/${hour}/", "/archive/${hour}/")},
		{"all of the tiles' bucket", "delivery", replace("AWS::S3::BucketPolicy", "TilesPolicy", "/release/*", "/*")},
		{"any distribution", "delivery", func(t *testing.T, templates check.Templates) {
			t.Helper()
			r, _ := templates.Named("AWS::S3::BucketPolicy", "TilesPolicy")
			for _, s := range r.Properties["PolicyDocument"].(map[string]any)["Statement"].([]any) {
				if m := s.(map[string]any); m["Effect"] == "Allow" {
					delete(m, "Condition")
				}
			}
		}},
		{"plain HTTP", "ingress", set(listener, "Tls", "HTTP", "Protocol")},
		{"old TLS", "ingress", set(listener, "Tls", "ELBSecurityPolicy-2016-08", "SslPolicy")},
		{"another idle time", "ingress", replace("AWS::ElasticLoadBalancingV2::LoadBalancer", "Balancer", `"Value":"100"`, `"Value":"120"`)},
		{"certificates not verified", "ingress", set(listener, "Mtls", "passthrough", "MutualAuthentication", "Mode")},
		{"forged certificates", "ingress", remove("AWS::ElasticLoadBalancingV2::ListenerRule", "NoForgedCertificates")},
		{"wrong kind of targets", "ingress", set("AWS::ElasticLoadBalancingV2::TargetGroup", "ReceiverTargets", "instance", "TargetType")},
		{"no rates", "ingress", func(t *testing.T, templates check.Templates) {
			t.Helper()
			r, _ := templates.Named("AWS::WAFv2::WebACL", "Firewall")
			r.Properties["Rules"] = r.Properties["Rules"].([]any)[1:]
		}},
		{"missing header not seen", "ingress", func(t *testing.T, templates check.Templates) {
			t.Helper()
			r, _ := templates.Named("AWS::WAFv2::WebACL", "Firewall")
			rules, err := json.Marshal(r.Properties["Rules"])
			if err != nil {
				t.Fatal(err)
			}
			var changed []any
			if err := json.Unmarshal(bytes.Replace(rules, []byte(`"ComparisonOperator":"GT","FieldToMatch"`), []byte(`"ComparisonOperator":"EQ","FieldToMatch"`), 1), &changed); err != nil {
				t.Fatal(err)
			}
			r.Properties["Rules"] = changed
		}},
		{"viewer's host sent on", "delivery", set("AWS::CloudFront::CachePolicy", "Answers", "whitelist", "CachePolicyConfig", "ParametersInCacheKeyAndForwardedToOrigin", "HeadersConfig", "HeaderBehavior")},
		{"firewall beside the door", "ingress", remove("AWS::WAFv2::WebACLAssociation", "FirewallAssociation")},
		{"key that is not rotated", "secrets", set("AWS::KMS::Key", "Key", false, "EnableKeyRotation")},
		{"receiver receives", "roles", grant("ReceiverRole", "sqs:ReceiveMessage", envelopes)},
		{"worker reads day keys", "roles", grant("WorkerRole", "dynamodb:GetItem", live)},
		{"jobs read vehicles' statuses", "roles", grant("JobsRole", "dynamodb:GetItem", live)},
		{"worker deletes the archive", "roles", grant("WorkerRole", "s3:DeleteObject", "arn:aws:s3:::x/raw/*")},
		{"management sends", "roles", grant("ManagementRole", "sqs:SendMessage", envelopes)},
		{"missing objects denied", "roles", replace("AWS::IAM::Policy", "WorkerRoleDefaultPolicy", "StringLikeIfExists", "StringLike")},
		{"everything on everything", "wildcards", grant("JobsRole", "s3:*", "*")},
		{"something on everything", "wildcards", grant("JobsRole", "kms:Decrypt", "*")},
		{"killed at once", "services", set(task, "WorkerTask", 5.0, "ContainerDefinitions", 0, "StopTimeout")},
		{"writable root", "services", set(task, "ReceiverTask", false, "ContainerDefinitions", 0, "ReadonlyRootFilesystem")},
		{"no temporary files", "services", set(task, "JobsTask", nil, "Volumes")},
		{"temporary files elsewhere", "services", replace(task, "JobsTask", `"ContainerPath":"/tmp"`, `"ContainerPath":"/data"`)},
		{"another port", "services", set(task, "ReceiverTask", []any{map[string]any{"ContainerPort": 80.0}}, "ContainerDefinitions", 0, "PortMappings")},
		{"judged while it starts", "services", set(service, "ReceiverService", nil, "HealthCheckGracePeriodSeconds")},
		{"targets on another port", "ingress", set("AWS::ElasticLoadBalancingV2::TargetGroup", "ManagementTargets", 80.0, "Port")},
		{"targets that stay", "ingress", set("AWS::ElasticLoadBalancingV2::TargetGroup", "ManagementTargets", nil, "TargetGroupAttributes")},
		{"service before its listener's rule", "services", func(t *testing.T, templates check.Templates) {
			t.Helper()
			r, _ := templates.Named(service, "ReceiverService")
			r.DependsOn = nil
			templates[r.Stack][r.ID] = r
		}},
		{"x86", "services", set(task, "ReceiverTask", "X86_64", "RuntimePlatform", "CpuArchitecture")},
		{"no rollback", "services", set(service, "WorkerService", false, "DeploymentConfiguration", "DeploymentCircuitBreaker", "Rollback")},
		{"more workers than connections", "services", set(service, "WorkerService", 200.0, "DeploymentConfiguration", "MaximumPercent")},
		{"logs kept for years", "people", set("AWS::Logs::LogGroup", "RejectedLog", 731.0, "RetentionInDays")},
		{"public tasks", "services", set(service, "WorkerService", "ENABLED", "NetworkConfiguration", "AwsvpcConfiguration", "AssignPublicIp")},
		{"unprotected jobs", "services", replace(task, "JobsTask", "CARASSO_TASK_PROTECTION", "CARASSO_OTHER")},
		{"no container insights", "services", set("AWS::ECS::Cluster", "Cluster", "disabled", "ClusterSettings", 0, "Value")},
		{"another backlog", "scaling", set(policy, "WorkerBacklog", 1000.0, tracking, "TargetValue")},
		{"wrong namespace of the backlog", "scaling", replace(policy, "WorkerBacklog", "ECS/ContainerInsights", "AWS/ECS")},
		{"backlog not divided", "scaling", replace(policy, "WorkerBacklog", " / IF(running \\u003e 0, running, 1)", "")},
		{"workers by their backlog alone", "scaling", remove(policy, "WorkerProcessor")},
		{"no surge", "scaling", remove(policy, "WorkerSurge")},
		{"gap between steps", "scaling", replace(policy, "WorkerSurge", `"MetricIntervalLowerBound":30`, `"MetricIntervalLowerBound":60`)},
		{"steps that end", "scaling", replace(policy, "WorkerSurge", `"MetricIntervalLowerBound":270`, `"MetricIntervalLowerBound":270,"MetricIntervalUpperBound":900`)},
		{"label of the other group", "scaling", replace(policy, "ReceiverRequests", "ReceiverTargets", "ManagementTargets")},
		{"label the wrong way round", "scaling", replace(policy, "ReceiverRequests", `"LoadBalancerFullName"`, `"LoadBalancerArn"`)},
		{"no ceiling", "scaling", set("AWS::ApplicationAutoScaling::ScalableTarget", "WorkerCount", 5000.0, "MaxCapacity")},
		{"alarm told to nobody", "watch", set(alarm, "DeadLetters", nil, "AlarmActions")},
		{"no alarm", "watch", remove(alarm, "LedgerGap")},
		{"wrong namespace of an alarm", "watch", set(alarm, "LedgerGap", "Carraso", "Namespace")},
		{"metric that nobody emits", "watch", set(alarm, "SendErrors", "carasso_receiver_errors_total", "MetricName")},
		{"dimension that nobody emits", "watch", set(alarm, "FreshnessHazards", []any{}, "Dimensions")},
		{"dimension that AWS does not have", "watch", replace(alarm, "NoReceivers", `"Name":"TargetGroup"`, `"Name":"TargetGroupName"`)},
		{"silent without targets", "watch", replace(alarm, "ServerErrors", "SUM([requests, balancer])", "requests")},
		{"filled in from nothing", "watch", replace(alarm, "ServerErrors", "SUM([service, balancer]) \\u003e 10", "FILL(service, 0) \\u003e 10")},
		{"dashboard of another's metric", "watch", replace("AWS::CloudWatch::Dashboard", "Architecture", "carasso_worker_flush_seconds", "carasso_flush_seconds")},
		{"dashboard that is no JSON", "watch", replace("AWS::CloudWatch::Dashboard", "Portal", `\"widgets\":[`, `\"widgets\":[[`)},
	}
}

// option takes an option of an environment of Beanstalk's away.
func option(environment, name string) func(*testing.T, check.Templates) {
	return func(t *testing.T, templates check.Templates) {
		t.Helper()
		r, ok := templates.Named("AWS::ElasticBeanstalk::Environment", environment)
		if !ok {
			t.Fatalf("no environment %s", environment)
		}
		all := check.List(r.Properties["OptionSettings"])
		left := slices.DeleteFunc(slices.Clone(all), func(o any) bool { return o.(map[string]any)["OptionName"] == name })
		if len(left) == len(all) {
			t.Fatalf("%s has no option %s", environment, name)
		}
		r.Properties["OptionSettings"] = left
	}
}

// TestBeanstalkBreakages is TestBreakages for what only Beanstalk has.
func TestBeanstalkBreakages(t *testing.T) {
	t.Parallel()
	for _, b := range []breakage{
		{"open security group", "beanstalk", option("WorkerEnvironment", "DisableDefaultEC2SecurityGroup")},
		{"another group at the load balancer", "beanstalk", option("ReceiverEnvironment", "SecurityGroups")},
		{"all at once", "beanstalk", option("ManagementEnvironment", "BatchSize")},
		{"no key", "beanstalk", option("JobsEnvironment", "CARASSO_MASTER_KEY")},
		{"no firewall", "ingress", remove("AWS::WAFv2::WebACLAssociation", "FirewallAssociation")},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			templates, runbook := load(t, Beanstalk)
			b.do(t, templates)
			if !slices.ContainsFunc(check.All(templates, Beanstalk, sizes(), emitted(), runbook), func(f check.Fault) bool { return f.Rule == b.rule }) {
				t.Error("nobody noticed")
			}
		})
	}
}

// TestBreakages breaks the stack in each of these ways, and wants each noticed, by the rule that is there for it.
func TestBreakages(t *testing.T) {
	t.Parallel()
	for _, b := range breakages() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			templates, runbook := load(t, Fargate)
			b.do(t, templates)
			for _, f := range check.All(templates, Fargate, sizes(), emitted(), runbook) {
				if f.Rule == b.rule {
					return
				}
			}
			t.Errorf("nobody noticed")
		})
	}
}

func TestRunbookLacksAnEntry(t *testing.T) {
	t.Parallel()
	templates, runbook := load(t, Fargate)
	if len(check.All(templates, Fargate, sizes(), emitted(), strings.Replace(runbook, "## QueueAge", "", 1))) == 0 {
		t.Error("nobody noticed")
	}
}
