package check

import (
	"slices"
	"strconv"
	"strings"
)

// fargate: tasks and services as they must be.
func (r *report) fargate(sizes Sizes) {
	for _, name := range []string{"Receiver", "Worker", "Management", "Jobs", "Migrate"} {
		t, ok := r.must("AWS::ECS::TaskDefinition", name+"Task")
		if !ok {
			continue
		}
		r.is(t, "ARM64", "RuntimePlatform", "CpuArchitecture")
		r.is(t, "FARGATE", "RequiresCompatibilities", 0)
		r.is(t, strings.ToLower(name), "ContainerDefinitions", 0, "Command", 0)
		r.is(t, true, "ContainerDefinitions", 0, "ReadonlyRootFilesystem")
		r.is(t, "65532", "ContainerDefinitions", 0, "User")
		r.is(t, "awslogs", "ContainerDefinitions", 0, "LogConfiguration", "LogDriver")
		for _, v := range List(t.At("ContainerDefinitions", 0, "Environment")) {
			if n, _ := at(v, "Name").(string); strings.Contains(n, "MASTER") || strings.Contains(n, "PASSWORD") {
				r.fault(t.ID, "%s is not a secret", n)
			}
		}
		for role, of := range map[string]string{"TaskRoleArn": name + "Role", "ExecutionRoleArn": name + "Execution"} {
			if !strings.Contains(text(t.At(role)), of) {
				r.fault(t.ID, "%s is not %s", role, of)
			}
		}
		if name == "Migrate" {
			continue
		}
		r.is(t, sizes.StopTimeout, "ContainerDefinitions", 0, "StopTimeout")
		r.is(t, sizes.ServicePort, "ContainerDefinitions", 0, "PortMappings", 0, "ContainerPort")
		if !strings.Contains(text(t.At("ContainerDefinitions", 0, "HealthCheck")), "healthcheck") {
			r.fault(t.ID, "is not looked after")
		}
		s, ok := r.must("AWS::ECS::Service", name+"Service")
		if !ok {
			continue
		}
		r.is(s, "DISABLED", "NetworkConfiguration", "AwsvpcConfiguration", "AssignPublicIp")
		r.is(s, true, "DeploymentConfiguration", "DeploymentCircuitBreaker", "Enable")
		r.is(s, true, "DeploymentConfiguration", "DeploymentCircuitBreaker", "Rollback")
		least, most := 100, 200
		if name == "Worker" {
			least, most = 50, 100 // more of them than the database has connections for
		}
		// By default ECS tries to rebalance a new service, which it can't within 100 %.
		r.is(s, map[bool]string{true: "ENABLED", false: "DISABLED"}[name == "Receiver" || name == "Management"], "AvailabilityZoneRebalancing")
		r.is(s, least, "DeploymentConfiguration", "MinimumHealthyPercent")
		r.is(s, most, "DeploymentConfiguration", "MaximumPercent")
		if subnets := text(s.At("NetworkConfiguration", "AwsvpcConfiguration", "Subnets")); !strings.Contains(subnets, "Vpc"+strings.ToLower(name)+"Subnet") {
			r.fault(s.ID, "runs in others' subnets: %s", subnets)
		}
		if groups := text(s.At("NetworkConfiguration", "AwsvpcConfiguration", "SecurityGroups")); !strings.Contains(groups, name+"Group") {
			r.fault(s.ID, "has another's security group")
		}
		if name != "Receiver" && name != "Management" {
			continue
		}
		if !strings.Contains(text(s.At("LoadBalancers")), name+"Targets") {
			r.fault(s.ID, "is behind no load balancer")
		}
		r.is(s, sizes.ServicePort, "LoadBalancers", 0, "ContainerPort")
		r.is(s, 60, "HealthCheckGracePeriodSeconds")
		if len(List(s.DependsOn)) == 0 {
			r.fault(s.ID, "may be made before its targets are behind the load balancer, which ECS refuses")
		}
	}
	if j, ok := r.t.Named("AWS::ECS::TaskDefinition", "JobsTask"); ok && !strings.Contains(text(j.Properties), "CARASSO_TASK_PROTECTION") {
		r.fault(j.ID, "jobs are not protected")
	}
	if j, ok := r.t.Named("AWS::ECS::TaskDefinition", "JobsTask"); ok {
		mount, volume := j.At("ContainerDefinitions", 0, "MountPoints", 0), j.At("Volumes", 0, "Name")
		if volume == nil || at(mount, "SourceVolume") != volume || at(mount, "ContainerPath") != "/tmp" || at(mount, "ReadOnly") != false {
			r.fault(j.ID, "has no room for temporary files, which releases want")
		}
	}
	for name, secret := range map[string]string{"Receiver": "CARASSO_MASTER_KEY", "Management": "CARASSO_MASTER_KEY", "Jobs": "CARASSO_MASTER_KEY", "Migrate": "PGPASSWORD"} {
		t, _ := r.t.Named("AWS::ECS::TaskDefinition", name+"Task")
		if !slices.ContainsFunc(List(t.At("ContainerDefinitions", 0, "Secrets")), func(s any) bool { return at(s, "Name") == secret }) {
			r.fault(name+"Task", "is not given %s", secret)
		}
	}
	if c, ok := r.must("AWS::ECS::Cluster", "Cluster"); ok {
		r.is(c, "enabled", "ClusterSettings", 0, "Value") // Container Insights: RunningTaskCount
	}
	if i, ok := r.must("AWS::ECR::Repository", "Images"); ok {
		r.is(i, "IMMUTABLE", "ImageTagMutability")
		r.is(i, true, "ImageScanningConfiguration", "ScanOnPush")
		if i.Policy != "Delete" || i.At("EmptyOnDelete") != true {
			r.fault(i.ID, "stays, and is in the way of the next of its name")
		}
	}
}

// scaling: the policies, with the product's numbers.
func (r *report) scaling(sizes Sizes) {
	for name, bounds := range map[string][2]int{"Worker": {sizes.MinWorkers, sizes.MaxWorkers}, "Receiver": {sizes.MinReceivers, sizes.MaxReceivers}} {
		if t, ok := r.must("AWS::ApplicationAutoScaling::ScalableTarget", name+"Count"); ok {
			r.is(t, bounds[0], "MinCapacity")
			r.is(t, bounds[1], "MaxCapacity")
		}
	}
	const policy = "AWS::ApplicationAutoScaling::ScalingPolicy"
	if b, ok := r.must(policy, "WorkerBacklog"); ok {
		path := []any{"TargetTrackingScalingPolicyConfiguration"}
		r.is(b, sizes.AllowedBacklog, append(path, "TargetValue")...)
		r.backlog(b)
		if out, in := b.At(append(path, "ScaleOutCooldown")...), b.At(append(path, "ScaleInCooldown")...); out == nil || in == nil || out.(float64) >= in.(float64) {
			r.fault(b.ID, "takes away as fast as it adds: %v, %v", out, in)
		}
	}
	if p, ok := r.must(policy, "WorkerProcessor"); ok {
		r.is(p, sizes.WorkerCPU, "TargetTrackingScalingPolicyConfiguration", "TargetValue")
		r.is(p, "ECSServiceAverageCPUUtilization", "TargetTrackingScalingPolicyConfiguration", "PredefinedMetricSpecification", "PredefinedMetricType")
	}
	if s, ok := r.must(policy, "WorkerSurge"); ok {
		r.is(s, "PercentChangeInCapacity", "StepScalingPolicyConfiguration", "AdjustmentType")
		r.is(s, "Maximum", "StepScalingPolicyConfiguration", "MetricAggregationType")
		r.steps(s)
		if a, ok := r.must("AWS::CloudWatch::Alarm", "WorkerSurgeAlarm"); ok {
			r.is(a, "ApproximateAgeOfOldestMessage", "MetricName")
			r.is(a, "AWS/SQS", "Namespace")
			r.is(a, sizes.FirstSurge, "Threshold")
			if !strings.Contains(text(a.At("AlarmActions")), "WorkerSurge") {
				r.fault(a.ID, "adds no workers")
			}
		}
	}
	for _, name := range []string{"ReceiverProcessor", "ManagementProcessor"} {
		if p, ok := r.must(policy, name); ok {
			r.is(p, "ECSServiceAverageCPUUtilization", "TargetTrackingScalingPolicyConfiguration", "PredefinedMetricSpecification", "PredefinedMetricType")
		}
	}
	for _, name := range ofTasks {
		r.must("AWS::CloudWatch::Alarm", name)
	}
	if q, ok := r.must(policy, "ReceiverRequests"); ok {
		r.is(q, sizes.RequestsPerTarget, "TargetTrackingScalingPolicyConfiguration", "TargetValue")
		r.is(q, "ALBRequestCountPerTarget", "TargetTrackingScalingPolicyConfiguration", "PredefinedMetricSpecification", "PredefinedMetricType")
		// app/name/id/targetgroup/name/id
		label := text(q.At("TargetTrackingScalingPolicyConfiguration", "PredefinedMetricSpecification", "ResourceLabel"))
		balancer, group := strings.Index(label, `"LoadBalancerFullName"]},"/",{`), strings.Index(label, `"TargetGroupFullName"]`)
		if balancer < 0 || group < balancer || !strings.Contains(label, "ReceiverTargets") {
			r.fault(q.ID, "is labelled %s", label)
		}
	}
}

// steps begin at the alarm's threshold, which their bounds are counted from, leave no gap and have no end; each adds more than the one before.
func (r *report) steps(s Resource) {
	steps := List(s.At("StepScalingPolicyConfiguration", "StepAdjustments"))
	if len(steps) != 3 {
		r.fault(s.ID, "%d steps", len(steps))
	}
	var from, adds any = 0.0, 0.0
	for _, step := range steps {
		more, _ := at(step, "ScalingAdjustment").(float64)
		if at(step, "MetricIntervalLowerBound") != from || more <= adds.(float64) {
			r.fault(s.ID, "a step that does not begin at %v and add more than %v %%: %s", from, adds, text(step))
		}
		from, adds = at(step, "MetricIntervalUpperBound"), more
	}
	if from != nil {
		r.fault(s.ID, "nothing is added beyond %v s", from)
	}
}

// backlog: envelopes, waiting and in flight, a running task.
func (r *report) backlog(p Resource) {
	want := map[string]string{"visible": "AWS/SQS ApproximateNumberOfMessagesVisible", "flying": "AWS/SQS ApproximateNumberOfMessagesNotVisible", "running": "ECS/ContainerInsights RunningTaskCount"}
	expression := ""
	for _, m := range List(p.At("TargetTrackingScalingPolicyConfiguration", "CustomizedMetricSpecification", "Metrics")) {
		id, _ := at(m, "Id").(string)
		if e, ok := at(m, "Expression").(string); ok {
			expression = e
			continue
		}
		have := strings.Trim(text(at(m, "MetricStat", "Metric", "Namespace")), `"`) + " " + strings.Trim(text(at(m, "MetricStat", "Metric", "MetricName")), `"`)
		if want[id] != have {
			r.fault(p.ID, "%s is %s, want %s", id, have, want[id])
		}
		delete(want, id)
	}
	if len(want) > 0 || expression != "(visible + flying) / IF(running > 0, running, 1)" {
		r.fault(p.ID, "backlog per task is %q without %v", expression, want)
	}
}

// ingress: TLS, client certificates, rates, no forged certificates, no metrics for the world.
func (r *report) ingress(sizes Sizes) {
	if b, ok := r.must("AWS::ElasticLoadBalancingV2::LoadBalancer", "Balancer"); ok {
		r.is(b, "internet-facing", "Scheme")
		attributes := text(b.At("LoadBalancerAttributes"))
		if idle := `{"Key":"idle_timeout.timeout_seconds","Value":"` + strconv.Itoa(sizes.BalancerIdle) + `"}`; !strings.Contains(attributes, idle) {
			r.fault(b.ID, "keeps idle connections for another time: %s", attributes)
		}
		for _, a := range []string{"deletion_protection.enabled", "access_logs.s3.enabled", "routing.http.drop_invalid_header_fields.enabled"} {
			if !strings.Contains(attributes, `{"Key":"`+a+`","Value":"true"}`) {
				r.fault(b.ID, "%s is off", a)
			}
		}
	}
	for name, port := range map[string]int{"Tls": 443, "Mtls": 8443} {
		l, ok := r.must("AWS::ElasticLoadBalancingV2::Listener", name)
		if !ok {
			continue
		}
		r.is(l, port, "Port")
		r.is(l, "HTTPS", "Protocol")
		if p := text(l.At("SslPolicy")); !strings.Contains(p, "TLS13") {
			r.fault(l.ID, "old TLS: %s", p)
		}
		if name == "Mtls" {
			r.is(l, "verify", "MutualAuthentication", "Mode")
			if !strings.Contains(text(l.At("MutualAuthentication", "TrustStoreArn")), "ClientCAs") {
				r.fault(l.ID, "trusts no vehicles' CA")
			}
		}
	}
	if f, ok := r.must("AWS::ElasticLoadBalancingV2::ListenerRule", "NoForgedCertificates"); ok {
		r.is(f, 1, "Priority")
		r.is(f, "fixed-response", "Actions", 0, "Type")
		r.is(f, "X-Amzn-Mtls-Clientcert-Leaf", "Conditions", 0, "HttpHeaderConfig", "HttpHeaderName")
		if !strings.Contains(text(f.At("ListenerArn")), "Tls") {
			r.fault(f.ID, "does not guard the listener without client certificates")
		}
	}
	for name, listener := range map[string]string{"Metrics": "Tls", "MtlsMetrics": "Mtls"} {
		if f, ok := r.must("AWS::ElasticLoadBalancingV2::ListenerRule", name); ok {
			r.is(f, 2, "Priority")
			r.is(f, "fixed-response", "Actions", 0, "Type")
			if !strings.HasPrefix(text(f.At("ListenerArn", "Ref")), `"`+listener) || text(f.At("Conditions", 0, "PathPatternConfig", "Values")) != `["/metrics","/readyz"]` {
				r.fault(f.ID, "does not keep the world from metrics")
			}
		}
	}
	for _, g := range r.t.Of("AWS::ElasticLoadBalancingV2::TargetGroup") {
		r.is(g, "/readyz", "HealthCheckPath")
		r.is(g, sizes.ServicePort, "Port")
		if attributes := text(g.At("TargetGroupAttributes")); !strings.Contains(attributes, `{"Key":"deregistration_delay.timeout_seconds","Value":"30"}`) {
			r.fault(g.ID, "keeps targets that go for longer than services drain: %s", attributes)
		}
		if want := map[bool]string{true: "ip", false: "instance"}[strings.Contains(text(r.t["Carasso-Services"]), "AWS::ECS::Service")]; g.At("TargetType") != want {
			r.fault(g.ID, "targets are %v, want %s", g.At("TargetType"), want)
		}
	}
	acl, ok := r.must("AWS::WAFv2::WebACL", "Firewall")
	if ok {
		rates := 0
		for _, rule := range List(acl.At("Rules")) {
			if at(rule, "Statement", "RateBasedStatement", "Limit") != nil && at(rule, "Action", "Block") != nil {
				rates++
			}
		}
		if rates != 3 {
			r.fault(acl.ID, "%d rules bound rates, want 3", rates)
		}
		for _, rule := range List(acl.At("Rules")) {
			statement := text(at(rule, "Statement"))
			if at(rule, "Name") != "rate-without-credential" {
				continue
			}
			if !strings.Contains(statement, `"NotStatement":{"Statement":{"SizeConstraintStatement":{"ComparisonOperator":"GT"`) {
				r.fault(acl.ID, "does not see that a header is missing")
			}
			if !strings.Contains(statement, `"/v1/tiles"`) || !strings.Contains(statement, `"/portal/"`) {
				r.fault(acl.ID, "bounds what everybody may read as if it were an attack")
			}
		}
	}
	if a, ok := r.must("AWS::WAFv2::WebACLAssociation", "FirewallAssociation"); ok && !strings.Contains(text(a.At("ResourceArn")), "Balancer") {
		r.fault(a.ID, "is not before the load balancer")
	}
	if z, ok := r.must("AWS::Route53::HostedZone", "Zone"); ok && z.At("Name") == nil {
		r.fault(z.ID, "has no name")
	}
	if n := len(r.t.Of("AWS::Route53::RecordSet")); n != 2 {
		r.fault("Zone", "%d names, want cars and portal", n)
	}
	r.must("AWS::CertificateManager::Certificate", "Certificate")
}
