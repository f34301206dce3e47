package awsclient

import (
	"cmp"
	"context"
	"slices"
	"sync"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

// Usage is what one operation has been used for since the start.
type Usage struct {
	Service   string  // "SQS", "S3" or "DynamoDB"
	Operation string  // as in the API: "SendMessageBatch"
	Requests  int64   // sent over the wire, repetitions included
	Class     string  // what is billed: "request", "put", "get", "free", "write_unit" or "read_unit"
	Units     float64 // how much of it
}

// Meter counts requests and billed units at the SDK's boundary: what the bill would say, whichever
// emulator answers. The units are the price lists': for SQS a request per started 64 KiB of payload, for
// S3 requests of the PUT class (PUT, COPY, POST, LIST) and of the GET class, for DynamoDB write and read
// request units. It is a prometheus.Collector and safe for concurrent use.
type Meter struct {
	mu    sync.Mutex
	usage map[key]*Usage

	requests, units *prometheus.Desc
}

type key struct{ service, operation string }

func newMeter() *Meter {
	return &Meter{
		usage: map[key]*Usage{},
		requests: prometheus.NewDesc("carasso_aws_requests_total",
			"Requests sent to AWS, repetitions included.", []string{"service", "operation"}, nil),
		units: prometheus.NewDesc("carasso_aws_billed_units_total",
			"What AWS would bill: SQS requests of 64 KiB, S3 requests by class, DynamoDB request units.",
			[]string{"service", "operation", "class"}, nil),
	}
}

// Snapshot is the usage so far, ordered by service and operation.
func (m *Meter) Snapshot() []Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Usage, 0, len(m.usage))
	for _, u := range m.usage {
		all = append(all, *u)
	}
	slices.SortFunc(all, func(a, b Usage) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation))
	})
	return all
}

// Describe implements prometheus.Collector.
func (m *Meter) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.requests
	ch <- m.units
}

// Collect implements prometheus.Collector.
func (m *Meter) Collect(ch chan<- prometheus.Metric) {
	for _, u := range m.Snapshot() {
		ch <- prometheus.MustNewConstMetric(m.requests, prometheus.CounterValue, float64(u.Requests), u.Service, u.Operation)
		ch <- prometheus.MustNewConstMetric(m.units, prometheus.CounterValue, u.Units, u.Service, u.Operation, u.Class)
	}
}

// install adds the meter to an operation's middleware. It stands outermost, where input and
// output are typed, and learns from the metadata how often the request was sent.
func (m *Meter) install(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("CarassoMeter",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
			middleware.InitializeOutput, middleware.Metadata, error,
		) {
			ended := ctx.Err() != nil // then nothing goes out, though the SDK reports an attempt
			out, md, err := next.HandleInitialize(ctx, in)
			attempts := sent(md, err)
			if ended || attempts == 0 {
				return out, md, err
			}
			// Only the last attempt has an output; the others are billed by their input.
			class, units := price(in.Parameters, out.Result)
			if attempts > 1 {
				_, failed := price(in.Parameters, nil)
				units += failed * float64(attempts-1)
			}
			m.add(awsmiddleware.GetServiceID(ctx), awsmiddleware.GetOperationName(ctx), attempts, class, units)
			return out, md, err
		}), middleware.Before)
}

// sent is how often the request went out: none if it failed before the first attempt.
func sent(md middleware.Metadata, err error) int64 {
	results, ok := retry.GetAttemptResults(md)
	if !ok {
		if err != nil {
			return 0
		}
		return 1
	}
	return int64(len(results.Results))
}

func (m *Meter) add(service, operation string, requests int64, class string, units float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := key{service, operation}
	u := m.usage[k]
	if u == nil {
		u = &Usage{Service: service, Operation: operation, Class: class}
		m.usage[k] = u
	}
	u.Requests += requests
	u.Units += units
}
