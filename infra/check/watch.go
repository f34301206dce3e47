package check

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/carasso/carasso/internal/emf/selection"
)

// Metrics are those that the binary emits, by name.
type Metrics map[string]selection.Metric

// ofTasks are the alarms that there are only where tasks are counted: on ECS.
var ofTasks = []string{"WorkersAtMost", "ReceiversAtMost", "NoReceivers", "NoManagement"}

// watch: every alarm is told to somebody and has its entry in the runbook; alarms and dashboards look at metrics that exist,
// with the dimensions that they have.
func (r *report) watch(metrics Metrics, runbook string) {
	entries := map[string]bool{}
	for line := range strings.Lines(runbook) {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			entries[strings.TrimSpace(name)] = true
		}
	}
	alarms := map[string]bool{}
	for _, a := range r.t.Of("AWS::CloudWatch::Alarm") {
		if a.ID == "WorkerSurgeAlarm" {
			continue // scales, tells nobody
		}
		alarms[a.ID] = true
		if !entries[a.ID] {
			r.fault(a.ID, "has no entry in the runbook")
		}
		if !strings.Contains(text(a.At("AlarmActions")), "Operators") {
			r.fault(a.ID, "is told to nobody")
		}
		queries := []any{a.Properties}
		for _, m := range List(a.At("Metrics")) {
			queries = append(queries, at(m, "MetricStat", "Metric"))
		}
		for _, q := range queries {
			dimensions := []string{}
			for _, d := range List(at(q, "Dimensions")) {
				dimensions = append(dimensions, strings.Trim(text(at(d, "Name")), `"`))
			}
			r.metric(a.ID, at(q, "Namespace"), at(q, "MetricName"), dimensions, metrics)
		}
	}
	for _, name := range []string{
		"DeadLetters", "QueueAge", "ServerErrors", "FreshnessHazards", "FreshnessSpeeds", "DatabaseProcessor", "DatabaseStorage", "DatabaseConnections", "LedgerGap", "NoJobs",
	} {
		if !alarms[name] {
			r.fault(name, "there is no such alarm")
		}
	}
	for name := range entries {
		if !alarms[name] && !strings.Contains(name, " ") && !slices.Contains(ofTasks, name) {
			r.fault(name, "the runbook has an entry for no alarm")
		}
	}
	r.outage()
	for _, name := range []string{"Portal", "Architecture"} {
		if d, ok := r.must("AWS::CloudWatch::Dashboard", name); ok {
			r.dashboard(d, metrics)
		}
	}
}

// outage: when no target is left the load balancer tells nothing but its own errors. That has to ring, too.
func (r *report) outage() {
	a, ok := r.must("AWS::CloudWatch::Alarm", "ServerErrors")
	if !ok {
		return
	}
	for _, m := range List(a.At("Metrics")) {
		if e, ok := at(m, "Expression").(string); ok && (!strings.Contains(e, "/ SUM([requests, balancer])") || strings.Contains(e, "FILL(")) {
			r.fault(a.ID, "is silent when nobody answers at all: %s", e)
		}
	}
}

// metric: ours must be emitted, with those dimensions; of AWS's only a few are used, which are listed.
func (r *report) metric(where string, namespace, name any, dimensions []string, metrics Metrics) {
	if name == nil {
		return
	}
	n, _ := name.(string)
	if namespace != selection.Namespace {
		full, _ := namespace.(string)
		if want, have := known[full+" "+n], strings.Join(dimensions, ","); want == "" {
			r.fault(where, "%s %s is no metric that AWS has", full, n)
		} else if want != have {
			r.fault(where, "%s %s has the dimensions %s, not %s", full, n, want, have)
		}
		return
	}
	m, ok := metrics[n]
	if !ok {
		r.fault(where, "the binary emits no %s", n)
		return
	}
	want := append([]string{selection.Service}, m.By...)
	if strings.Join(want, ",") != strings.Join(dimensions, ",") {
		r.fault(where, "%s has the dimensions %v, not %v", n, want, dimensions)
	}
}

// known are AWS's metrics that are used, and their dimensions, checked against its documentation.
var known = map[string]string{
	"AWS/SQS ApproximateNumberOfMessagesVisible": "QueueName", "AWS/SQS ApproximateNumberOfMessagesNotVisible": "QueueName", "AWS/SQS ApproximateAgeOfOldestMessage": "QueueName",
	"AWS/ApplicationELB RequestCount": "LoadBalancer", "AWS/ApplicationELB HTTPCode_Target_5XX_Count": "LoadBalancer", "AWS/ApplicationELB HTTPCode_ELB_5XX_Count": "LoadBalancer",
	"AWS/ApplicationELB HealthyHostCount": "TargetGroup,LoadBalancer",
	"AWS/RDS CPUUtilization":              "DBInstanceIdentifier", "AWS/RDS FreeStorageSpace": "DBInstanceIdentifier", "AWS/RDS DatabaseConnections": "DBInstanceIdentifier",
	"AWS/RDS WriteIOPS": "DBInstanceIdentifier", "AWS/RDS ReadIOPS": "DBInstanceIdentifier",
	"AWS/DynamoDB ConsumedWriteCapacityUnits": "TableName", "AWS/DynamoDB ConsumedReadCapacityUnits": "TableName",
	"ECS/ContainerInsights RunningTaskCount": "ClusterName,ServiceName", "AWS/ECS CPUUtilization": "ClusterName,ServiceName", "AWS/ECS MemoryUtilization": "ClusterName,ServiceName",
}

// dashboard: a body that is JSON, with metrics that exist.
func (r *report) dashboard(d Resource, metrics Metrics) {
	var body struct {
		Widgets []struct {
			Properties struct{ Metrics [][]any }
		}
	}
	if err := json.Unmarshal([]byte(joined(d.At("DashboardBody"))), &body); err != nil {
		r.fault(d.ID, "is not JSON: %v", err)
		return
	}
	drawn := 0
	for _, w := range body.Widgets {
		for _, m := range w.Properties.Metrics {
			if len(m) < 2 {
				continue // an expression
			}
			drawn++
			var dimensions []string
			for i := 2; i < len(m); i += 2 {
				if s, ok := m[i].(string); ok {
					dimensions = append(dimensions, s)
				}
			}
			r.metric(d.ID, m[0], m[1], dimensions, metrics)
		}
	}
	if drawn < 8 {
		r.fault(d.ID, "draws %d metrics", drawn)
	}
}

// joined is the text of a Fn::Join, with something in place of what only AWS knows.
func joined(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var b strings.Builder
	for _, p := range List(at(v, "Fn::Join", 1)) {
		if s, ok := p.(string); ok {
			b.WriteString(s)
		} else {
			b.WriteString("x")
		}
	}
	return b.String()
}
