package main

import (
	cw "github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
)

// dashboards: for the business what is learned from how much, for operators the data path from left to right.
func (w *watch) dashboards() {
	layers := []string{"speeds", "limits", "hazards"}
	freshness := func(stat string) (all []metric) {
		for _, l := range layers {
			all = append(all, ours(worker, "carasso_projector_freshness_seconds", stat, "layer", l))
		}
		return all
	}
	tiles := make([]metric, len(layers))
	for i, l := range layers {
		tiles[i] = ours(worker, "carasso_projector_tiles_total", "Sum", "layer", l)
	}
	outcomes := func(name string) (all []metric) {
		for _, o := range []string{"archived", "duplicate", "quarantined"} {
			all = append(all, ours(worker, name, "Sum", "outcome", o))
		}
		return all
	}
	w.dashboard("Portal", []chart{
		{"Samples from cars", 3600, []metric{ours(receiver, "carasso_receiver_accepted_samples_total", "Sum")}},
		{"What became of samples", 3600, outcomes("carasso_worker_samples_total")},
		{"Seconds until cars can read it (95 of 100)", 300, freshness("p95")},
		{"Tiles published", 300, tiles},
		{"Bytes archived", 3600, []metric{ours(worker, "carasso_worker_archived_bytes_total", "Sum")}},
		{"Batches missing in the ledger", 300, []metric{ours(jobs, "carasso_ledger_missing_batches", "Maximum")}},
	})
	operators := []chart{
		{"Requests and failures", 60, []metric{w.front("RequestCount", "Sum"), w.front("HTTPCode_Target_5XX_Count", "Sum"), w.front("HTTPCode_ELB_5XX_Count", "Sum")}},
		{"Answers to cars", 60, []metric{
			ours(receiver, "carasso_receiver_requests_total", "Sum", "code", "202"), ours(receiver, "carasso_receiver_requests_total", "Sum", "code", "400"),
			ours(receiver, "carasso_receiver_requests_total", "Sum", "code", "401"), ours(receiver, "carasso_receiver_requests_total", "Sum", "code", "429"),
			ours(receiver, "carasso_receiver_requests_total", "Sum", "code", "503"),
		}},
		{"Seconds until 202", 60, []metric{ours(receiver, "carasso_receiver_accept_seconds", "p50"), ours(receiver, "carasso_receiver_accept_seconds", "p99")}},
		{"Envelopes waiting and in flight, dead letters", 60, []metric{
			w.queue(w.d.queue.QueueName(), "ApproximateNumberOfMessagesVisible"), w.queue(w.d.queue.QueueName(), "ApproximateNumberOfMessagesNotVisible"),
			w.queue(w.d.dead.QueueName(), "ApproximateNumberOfMessagesVisible"),
		}},
		{"Age of the oldest envelope, of those handled", 60, []metric{w.queue(w.d.queue.QueueName(), "ApproximateAgeOfOldestMessage"), ours(worker, "carasso_worker_queue_age_seconds", "p95")}},
		{"What became of batches", 60, outcomes("carasso_worker_batches_total")},
		{"Seconds of a flush", 60, []metric{ours(worker, "carasso_worker_flush_seconds", "p50"), ours(worker, "carasso_worker_flush_seconds", "p99")}},
		{"Failures within", 60, []metric{
			ours(receiver, "carasso_receiver_send_errors_total", "Sum"), ours(worker, "carasso_worker_errors_total", "Sum"),
			ours(worker, "carasso_projector_errors_total", "Sum"), ours(worker, "carasso_housekeeping_errors_total", "Sum"), ours(worker, "carasso_worker_panics_total", "Sum"),
		}},
		{"PostgreSQL: processor", 60, []metric{w.postgres("CPUUtilization", "Average")}},
		{"PostgreSQL: connections", 60, []metric{w.postgres("DatabaseConnections", "Maximum")}},
		{"PostgreSQL: writes and reads a second", 60, []metric{w.postgres("WriteIOPS", "Average"), w.postgres("ReadIOPS", "Average")}},
		{"Live store: units", 60, []metric{
			{"AWS/DynamoDB", "ConsumedWriteCapacityUnits", [][2]*string{{str("TableName"), w.d.live.TableName()}}, "Sum"},
			{"AWS/DynamoDB", "ConsumedReadCapacityUnits", [][2]*string{{str("TableName"), w.d.live.TableName()}}, "Sum"},
		}},
		{"Management: seconds of requests", 60, []metric{ours(management, "carasso_management_request_seconds", "p95")}},
		{"Jobs: processes", 60, []metric{ours(management, "carasso_job_processes", "Minimum")}},
	}
	if w.cluster != nil {
		operators = append(operators,
			chart{"Tasks", 60, []metric{w.tasks(receiver), w.tasks(worker), w.tasks(management), w.tasks(jobs)}},
			chart{"Tasks: processor", 60, []metric{w.use(receiver, "CPUUtilization"), w.use(worker, "CPUUtilization"), w.use(jobs, "CPUUtilization")}},
			chart{"Tasks: memory", 60, []metric{w.use(receiver, "MemoryUtilization"), w.use(worker, "MemoryUtilization"), w.use(jobs, "MemoryUtilization")}},
		)
	}
	w.dashboard("Architecture", operators)
}

// chart is a line for each metric.
type chart struct {
	title   string
	period  int
	metrics []metric
}

func (w *watch) dashboard(name string, charts []chart) {
	widgets := make([]any, len(charts))
	for i, c := range charts {
		lines := make([]any, len(c.metrics))
		for j, m := range c.metrics {
			line := []any{m.namespace, m.name}
			for _, d := range m.dimensions {
				line = append(line, d[0], d[1])
			}
			lines[j] = append(line, map[string]any{"stat": m.stat})
		}
		widgets[i] = map[string]any{"type": "metric", "x": 8 * (i % 3), "y": 6 * (i / 3), "width": 8, "height": 6, "properties": map[string]any{
			"title": c.title, "view": "timeSeries", "region": *w.stack.Region(), "period": c.period, "metrics": lines,
		}}
	}
	cw.NewCfnDashboard(w.stack, str(name), &cw.CfnDashboardProps{
		DashboardName: str("Carasso-" + name), DashboardBody: w.stack.ToJsonString(map[string]any{"widgets": widgets}, nil),
	})
}
