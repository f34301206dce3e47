package check

import "fmt"

// Fault is something that must not be.
type Fault struct{ Rule, Where, What string }

func (f Fault) String() string { return f.Rule + ": " + f.Where + ": " + f.What }

// report collects faults.
type report struct {
	t      Templates
	rule   string
	faults []Fault
}

func (r *report) fault(where, format string, args ...any) {
	r.faults = append(r.faults, Fault{r.rule, where, fmt.Sprintf(format, args...)})
}

// must finds the one resource, or reports that it is missing.
func (r *report) must(kind, prefix string) (Resource, bool) {
	found, ok := r.t.Named(kind, prefix)
	if !ok {
		r.fault(prefix, "there is no %s of that name", kind)
	}
	return found, ok
}

// is wants a value at a path.
func (r *report) is(x Resource, want any, path ...any) {
	if n, ok := want.(int); ok {
		want = float64(n)
	}
	if got := x.At(path...); got != want {
		r.fault(x.ID, "%v is %v, want %v", path, text(got), text(want))
	}
}

// Sizes are the numbers that the product fixes.
type Sizes struct {
	AllowedBacklog                                     float64
	MinWorkers, MaxWorkers, MinReceivers, MaxReceivers int
	MaxReceive, RequestsPerTarget, ServicePort         int
	WorkerCPU                                          int // per cent
	Visibility, StopTimeout, Retention, FirstSurge     int // seconds
	LongestFlush                                       int
	BalancerIdle                                       int // seconds until a connection that carries nothing is closed
}

// All are the faults of a target's templates.
func All(t Templates, target string, sizes Sizes, metrics Metrics, runbook string) []Fault {
	r := &report{t: t}
	for _, rule := range []struct {
		name string
		f    func()
	}{
		{"references", r.references},
		{"wiring", func() { r.wiring(target) }},
		{"network", func() { r.network(target) }},
		{"reach", func() { r.reach(sizes.ServicePort) }},
		{"people", r.people},
		{"attached", r.attached},
		{"queue", func() { r.queue(sizes) }},
		{"buckets", r.buckets},
		{"live store", r.live},
		{"database", r.database},
		{"archive", r.archive},
		{"delivery", r.delivery},
		{"ingress", func() { r.ingress(sizes) }},
		{"secrets", r.secrets},
		{"roles", func() { r.roles(target) }},
		{"wildcards", r.wildcards},
		{"watch", func() { r.watch(metrics, runbook) }},
	} {
		r.rule = rule.name
		rule.f()
	}
	if target == "fargate" {
		r.rule = "services"
		r.fargate(sizes)
		r.rule = "scaling"
		r.scaling(sizes)
	} else {
		r.rule = "beanstalk"
		r.beanstalk()
	}
	return r.faults
}
