package main

import (
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	cw "github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssnssubscriptions"

	"github.com/carasso/carasso/internal/emf/selection"
)

// watch are alarms and dashboards. An alarm's id is its entry in RUNBOOK.md.
type watch struct {
	stack     awscdk.Stack
	operators awssns.Topic
	d         *data
	balancer  *string // its full name
	cluster   *string // nil without ECS
}

func newWatch(app awscdk.App, c Config, d *data, p *platform, i *ingress, props *awscdk.StackProps) {
	w := &watch{stack: awscdk.NewStack(app, str("Carasso-Watch"), props), d: d, balancer: i.balancer.LoadBalancerFullName()}
	if c.Target == Fargate {
		w.cluster = p.cluster.ClusterName()
	}
	// Not under our key: the key would have to let CloudWatch use it, and where it does not, alarms are lost without a word. They name no vehicle.
	w.operators = awssns.NewTopic(w.stack, str("Operators"), &awssns.TopicProps{DisplayName: str("Carasso's alarms"), EnforceSSL: yes()})
	w.operators.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid: str("Alarms"), Actions: strs("sns:Publish"), Resources: strs(*w.operators.TopicArn()),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(str("cloudwatch.amazonaws.com"), nil)},
		Conditions: &map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": w.stack.Account()}},
	}))
	if c.AlarmEmail != "" {
		w.operators.AddSubscription(awssnssubscriptions.NewEmailSubscription(str(c.AlarmEmail), nil))
	}
	w.alarms(i)
	w.dashboards()
}

// metric is one that is looked at.
type metric struct {
	namespace, name string
	dimensions      [][2]*string
	stat            string
}

func ours(service, name, stat string, labels ...string) metric {
	m := metric{selection.Namespace, name, [][2]*string{{str(selection.Service), str(service)}}, stat}
	for pair := range slices.Chunk(labels, 2) {
		m.dimensions = append(m.dimensions, [2]*string{str(pair[0]), str(pair[1])})
	}
	return m
}

func (w *watch) queue(q *string, name string) metric {
	return metric{"AWS/SQS", name, [][2]*string{{str("QueueName"), q}}, "Maximum"}
}

func (w *watch) front(name, stat string) metric {
	return metric{"AWS/ApplicationELB", name, [][2]*string{{str("LoadBalancer"), w.balancer}}, stat}
}

// ready is how many targets of a group get requests, as the load balancer's node says that knows of most.
func (w *watch) ready(g elb.ApplicationTargetGroup) metric {
	return metric{"AWS/ApplicationELB", "HealthyHostCount", [][2]*string{{str("TargetGroup"), g.TargetGroupFullName()}, {str("LoadBalancer"), w.balancer}}, "Maximum"}
}

func (w *watch) postgres(name, stat string) metric {
	return metric{"AWS/RDS", name, [][2]*string{{str("DBInstanceIdentifier"), w.d.database.Ref()}}, stat}
}

func (w *watch) tasks(service string) metric {
	return metric{"ECS/ContainerInsights", "RunningTaskCount", [][2]*string{{str("ClusterName"), w.cluster}, {str("ServiceName"), str("carasso-" + service)}}, "Maximum"}
}

func (w *watch) use(service, name string) metric {
	return metric{"AWS/ECS", name, [][2]*string{{str("ClusterName"), w.cluster}, {str("ServiceName"), str("carasso-" + service)}}, "Average"}
}

const (
	above   = "GreaterThanThreshold"
	atLeast = "GreaterThanOrEqualToThreshold"
	below   = "LessThanThreshold"
)

// alarms, each for minutes on end.
func (w *watch) alarms(i *ingress) {
	w.alarm("DeadLetters", "Envelopes failed five times and wait for a worker to bury them in quarantine", w.queue(w.d.dead.QueueName(), "ApproximateNumberOfMessagesVisible"), above, 0, 1, "notBreaching")
	w.alarm("QueueAge", "What cars sent waits for longer than the surge's scaling should need", w.queue(w.d.queue.QueueName(), "ApproximateAgeOfOldestMessage"), above, 300, 3, "notBreaching")
	w.alarm("FreshnessHazards", "Hazards reach cars late", ours(worker, "carasso_projector_freshness_seconds", "p95", "layer", "hazards"), above, 30, 5, "notBreaching")
	w.alarm("FreshnessSpeeds", "Speeds reach cars late", ours(worker, "carasso_projector_freshness_seconds", "p95", "layer", "speeds"), above, 60, 10, "notBreaching")
	w.alarm("SendErrors", "Receivers can't reach the queue; cars are told to come again", ours(receiver, "carasso_receiver_send_errors_total", "Sum"), above, 10, 3, "notBreaching")
	w.alarm("WorkerPanics", "A bug was caught; its envelope is in quarantine", ours(worker, "carasso_worker_panics_total", "Sum"), above, 0, 1, "notBreaching")
	w.alarm("DatabaseProcessor", "PostgreSQL is busy", w.postgres("CPUUtilization", "Average"), above, 80, 10, "missing")
	w.alarm("DatabaseStorage", "PostgreSQL's disk is nearly full, though it grows by itself", w.postgres("FreeStorageSpace", "Minimum"), below, 20<<30, 5, "missing")
	w.alarm("DatabaseConnections", "PostgreSQL is nearly out of connections", w.postgres("DatabaseConnections", "Maximum"), above, maxConnections*8/10, 5, "missing")
	w.alarm("LedgerGap", "Batches acknowledged more than an hour ago are missing, or nobody looks", ours(jobs, "carasso_ledger_missing_batches", "Maximum"), above, 0, 15, "breaching")
	w.alarm("NoJobs", "Nobody carries jobs out; partitions run out in two days", ours(management, "carasso_job_processes", "Minimum"), below, 1, 5, "notBreaching")
	if w.cluster != nil {
		w.alarm("WorkersAtMost", "As many workers as there may be", w.tasks(worker), atLeast, maxWorkers, 10, "notBreaching")
		w.alarm("ReceiversAtMost", "As many receivers as there may be", w.tasks(receiver), atLeast, maxReceivers, 10, "notBreaching")
		w.alarm("NoReceivers", "No receiver is ready: cars are answered 503", w.ready(i.receiver), below, 1, 3, "breaching")
		w.alarm("NoManagement", "No management is ready: neither portal nor changes of the map are answered", w.ready(i.management), below, 1, 3, "breaching")
	}
	w.serverErrors()
}

func (w *watch) alarm(id, about string, m metric, comparison string, threshold, minutes float64, missing string) {
	p := w.common(about, comparison, threshold, minutes, missing)
	p.Namespace, p.MetricName, p.Period = str(m.namespace), str(m.name), num(60)
	if m.stat[0] == 'p' {
		p.ExtendedStatistic = str(m.stat)
	} else {
		p.Statistic = str(m.stat)
	}
	p.Dimensions = m.alarmDimensions()
	cw.NewCfnAlarm(w.stack, str(id), p)
}

func (w *watch) common(about, comparison string, threshold, minutes float64, missing string) *cw.CfnAlarmProps {
	topic := []any{w.operators.TopicArn()}
	return &cw.CfnAlarmProps{
		AlarmDescription: str(about + ". See infra/RUNBOOK.md."), ComparisonOperator: str(comparison), Threshold: num(threshold),
		EvaluationPeriods: num(minutes), DatapointsToAlarm: num(minutes), TreatMissingData: str(missing),
		AlarmActions: &topic, OkActions: &topic,
	}
}

func (m metric) alarmDimensions() *[]any {
	var all []any
	for _, d := range m.dimensions {
		all = append(all, &cw.CfnAlarm_DimensionProperty{Name: d[0], Value: d[1]})
	}
	return &all
}

// serverErrors: the share of requests that failed on our side, from one in a hundred on and ten a minute. The load balancer tells only what is
// not zero, and counts as requests only what it found a target for: when there is none, nothing but its own errors is told. A sum of a list
// passes over who says nothing, as filling in, which wants one point at least, does not.
func (w *watch) serverErrors() {
	query := func(id string, m metric) any {
		return &cw.CfnAlarm_MetricDataQueryProperty{Id: str(id), ReturnData: no(), MetricStat: &cw.CfnAlarm_MetricStatProperty{
			Period: num(60), Stat: str(m.stat), Metric: &cw.CfnAlarm_MetricProperty{Namespace: str(m.namespace), MetricName: str(m.name), Dimensions: m.alarmDimensions()},
		}}
	}
	p := w.common("Cars or people are answered 5xx", above, 1, 3, "notBreaching")
	p.Metrics = &[]any{
		query("service", w.front("HTTPCode_Target_5XX_Count", "Sum")), query("balancer", w.front("HTTPCode_ELB_5XX_Count", "Sum")), query("requests", w.front("RequestCount", "Sum")),
		&cw.CfnAlarm_MetricDataQueryProperty{
			Id: str("percent"), ReturnData: yes(), Label: str("Requests that failed, %"),
			Expression: str("IF(SUM([service, balancer]) > 10, 100 * SUM([service, balancer]) / SUM([requests, balancer]), 0)"),
		},
	}
	cw.NewCfnAlarm(w.stack, str("ServerErrors"), p)
}
