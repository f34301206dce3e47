package check

import (
	"encoding/json"
	"strings"

	"github.com/carasso/carasso/internal/emf/selection"
)

// Metrics are those that the binary emits, by name.
type Metrics map[string]selection.Metric

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
		if !alarms[name] && !strings.Contains(name, " ") && name != "WorkersAtMost" && name != "ReceiversAtMost" {
			r.fault(name, "the runbook has an entry for no alarm")
		}
	}
	for _, name := range []string{"Portal", "Architecture"} {
		if d, ok := r.must("AWS::CloudWatch::Dashboard", name); ok {
			r.dashboard(d, metrics)
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
		if !known[full+" "+n] {
			r.fault(where, "%s %s is no metric that AWS has", full, n)
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

// known are AWS's metrics that are used, checked against its documentation.
var known = map[string]bool{
	"AWS/SQS ApproximateNumberOfMessagesVisible": true, "AWS/SQS ApproximateNumberOfMessagesNotVisible": true, "AWS/SQS ApproximateAgeOfOldestMessage": true,
	"AWS/ApplicationELB RequestCount": true, "AWS/ApplicationELB HTTPCode_Target_5XX_Count": true, "AWS/ApplicationELB HTTPCode_ELB_5XX_Count": true,
	"AWS/ApplicationELB TargetResponseTime": true, "AWS/ApplicationELB HealthyHostCount": true,
	"AWS/RDS CPUUtilization": true, "AWS/RDS FreeStorageSpace": true, "AWS/RDS DatabaseConnections": true, "AWS/RDS WriteIOPS": true, "AWS/RDS ReadIOPS": true,
	"AWS/DynamoDB ConsumedWriteCapacityUnits": true, "AWS/DynamoDB ConsumedReadCapacityUnits": true,
	"ECS/ContainerInsights RunningTaskCount": true, "AWS/ECS CPUUtilization": true, "AWS/ECS MemoryUtilization": true,
	"AWS/WAFV2 BlockedRequests": true,
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
