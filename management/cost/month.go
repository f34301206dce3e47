package cost

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/carasso/carasso/internal/scaling"
)

// Plan is a fleet and what it is served by.
type Plan struct {
	Vehicles   float64
	Profile    Profile
	Tiles      float64 // of zoom 14 with roads, in the area that the vehicles drive in
	Counted    Counted
	Deployment Deployment
}

// Validate names what is wrong.
func (pl *Plan) Validate() error {
	if !(pl.Vehicles >= 1 && pl.Vehicles <= 1e9) {
		return fmt.Errorf("vehicles: expected 1 to 1,000,000,000, found %v", pl.Vehicles)
	}
	if !(pl.Tiles >= 1 && pl.Tiles <= 1<<28) {
		return fmt.Errorf("tiles: expected 1 to %d, as many as there are of zoom 14, found %v", 1<<28, pl.Tiles)
	}
	return nil
}

// Month is what a plan uses in a month.
type Month struct {
	HoursADay     float64 `json:"hours_a_day"`
	PeakDriving   float64 `json:"peak_driving"`
	PeakBatches   float64 `json:"peak_batches"`
	Batches       float64 `json:"batches"`
	Samples       float64 `json:"samples"`
	Kilometres    float64 `json:"kilometres"`
	Envelopes     float64 `json:"envelopes"`
	SQSRequests   float64 `json:"sqs_requests"`
	ArchivePuts   float64 `json:"archive_puts"`
	TilePuts      float64 `json:"tile_puts"`
	S3Gets        float64 `json:"s3_gets"`
	LiveWrites    float64 `json:"live_writes"`
	LiveReads     float64 `json:"live_reads"`
	Deltas        float64 `json:"deltas"`
	MapTiles      float64 `json:"map_tiles"`
	Receivers     Tasks   `json:"receivers"`
	Workers       Tasks   `json:"workers"`
	Management    Tasks   `json:"management"`
	Jobs          Tasks   `json:"jobs"`
	ArchiveGB     float64 `json:"archive_gb"` // kept
	AccessLogGB   float64 `json:"access_log_gb"`
	EgressGB      float64 `json:"egress_gb"`
	CloudFrontGB  float64 `json:"cloud_front_gb"`
	BalancerUnits float64 `json:"balancer_units"` // hours of a load balancer's capacity unit
	EndpointGB    float64 `json:"endpoint_gb"`
	DatabaseVCPU  float64 `json:"database_vcpu"` // of each
	Databases     float64 `json:"databases"`
	DatabaseGB    float64 `json:"database_gb"` // of all together
}

// Tasks of a service in a month.
type Tasks struct {
	Hours float64 `json:"hours"`
	Peak  float64 `json:"peak"`
	VCPU  float64 `json:"vcpu"`
	GiB   float64 `json:"gib"`
}

// Use reckons what the plan uses, hour by hour of a day.
func (pl *Plan) Use() Month {
	c, d := &pl.Counted, &pl.Deployment
	m := Month{
		HoursADay: pl.Profile.HoursADay(), PeakDriving: pl.Vehicles * pl.Profile.Peak(),
		Receivers: Tasks{VCPU: scaling.ReceiverVCPU, GiB: scaling.ReceiverGiB}, Workers: Tasks{VCPU: scaling.WorkerVCPU, GiB: scaling.WorkerGiB},
		Management: Tasks{VCPU: scaling.ManagementVCPU, GiB: scaling.ManagementGiB},
		Jobs:       Tasks{Hours: scaling.JobTasks * hoursAMonth, Peak: scaling.JobTasks, VCPU: scaling.JobsVCPU, GiB: scaling.JobsGiB},
	}
	for _, share := range pl.Profile.Driving {
		pl.hour(&m, pl.Vehicles*share)
	}
	m.Kilometres = m.Samples * d.MetresPerSample / 1000
	m.ArchiveGB = m.Samples * c.ArchiveBytes / gb * d.ArchiveMonths
	m.AccessLogGB = (m.Batches + m.Deltas) * d.AccessLogBytes / gb
	m.EgressGB = (m.Batches*d.AnswerBytes + m.Deltas/max(d.DeltasAnHour, 1)*c.DeltaBytesPerCarHour) / gb
	m.CloudFrontGB = m.MapTiles / max(d.MapTilesAnHour, 1) * c.MapBytesPerCarHour / gb
	m.EndpointGB = m.Samples * 2 * c.QueueBytes / gb // into the queue and out of it

	vcpu := m.PeakBatches * c.SamplesPerBatch / 1e6 * c.DatabaseCPU / d.DatabaseBusy
	m.Databases = max(1, math.Ceil(vcpu/d.DatabaseMaxVCPU))
	m.DatabaseVCPU = 2
	for m.DatabaseVCPU < min(vcpu, d.DatabaseMaxVCPU) {
		m.DatabaseVCPU *= 2
	}
	daily := m.Batches / d.DaysAMonth
	m.DatabaseGB = max(d.DatabaseMinGB*m.Databases,
		(daily*d.ClaimBytes*d.ClaimDays+daily*c.SamplesPerBatch/1e6*d.AggregateBytes*d.AggregateDays)/gb)
	return m
}

// hour adds one hour of each day of the month.
func (pl *Plan) hour(m *Month, driving float64) {
	c, d := &pl.Counted, &pl.Deployment
	seconds := d.DaysAMonth * secondsAnHour
	batches := driving / c.SamplesPerBatch // a second, at a sample a second
	millions := batches * c.SamplesPerBatch / 1e6
	m.PeakBatches = max(m.PeakBatches, batches)
	m.Batches += batches * seconds
	m.Samples += batches * c.SamplesPerBatch * seconds

	tasks := func(t *Tasks, n, least float64) float64 {
		n = max(math.Ceil(n-1e-9), least)
		t.Hours += n * d.DaysAMonth
		t.Peak = max(t.Peak, n)
		return n
	}
	full := 1e6 / c.SamplesPerBatch / c.SQSSends // batches in a full envelope
	receivers := tasks(&m.Receivers, batches/scaling.ReceiverRequestsPerS, scaling.MinReceivers)
	workers := tasks(&m.Workers, batches/full/scaling.MinEnvelopesPerS/d.TargetBusy, scaling.MinTasks)

	// With several receivers, or little to do, envelopes are sent before they are full, and so are flushes.
	each := min(full, 1+d.LingerS*batches/receivers)
	envelopes := batches / each
	m.Envelopes += envelopes * seconds
	tens := envelopes / 10 // receiving and deleting take up to ten at once
	m.SQSRequests += seconds * (max(envelopes, millions*c.SQSSends) + max(tens, millions*c.SQSReceives) + max(tens, millions*c.SQSDeletes) + millions*c.SQSVisibility)
	m.ArchivePuts += seconds * max(millions*c.S3Puts, min(envelopes, workers*d.Pipelines/d.FlushS))
	m.S3Gets += seconds * millions * c.S3Gets

	tiles := pl.TilesPerS(driving)
	m.TilePuts += tiles * (d.PutsATile + d.Overviews) * seconds
	status := min(driving/d.StatusEveryS, d.StatusPerReceiverS*receivers)
	m.LiveWrites += (tiles*(1+d.Overviews) + status) * seconds

	deltas := driving * d.Readers * d.DeltasAnHour / secondsAnHour
	m.Deltas += deltas * seconds
	m.MapTiles += driving * d.Readers * d.MapTilesAnHour / secondsAnHour * seconds
	m.LiveReads += (tiles*(1+d.Overviews) + status + deltas*d.DeltaReads) * seconds
	m.S3Gets += deltas * d.DeltaReads * seconds
	tasks(&m.Management, deltas*d.DeltaCPUS/scaling.ManagementVCPU/d.TargetBusy, scaling.MinManagement)

	// A capacity unit is 3,000 connections, 1 GB an hour or 25 new connections a second: the greatest counts. Cars keep theirs
	// open, one to the receiver and one to management; a drive takes half an hour.
	bytes := batches*(c.SamplesPerBatch*c.BodyBytes+d.AnswerBytes) + deltas/max(d.DeltasAnHour, 1)*c.DeltaBytesPerCarHour
	units := max(driving*(1+d.Readers)/3000, bytes*secondsAnHour/gb, driving*(1+d.Readers)/1800/25)
	m.BalancerUnits += units * d.DaysAMonth
}

// TilesPerS is how many tiles of zoom 14 are published a second while so many vehicles drive. A tile is published in a pass if it
// shows a segment (k vehicles passed its busiest one within the live window) and that changed (one has passed since the last
// pass). Vehicles are spread evenly over the tiles and pass independently.
func (pl *Plan) TilesPerS(driving float64) float64 {
	d := &pl.Deployment
	density := driving / pl.Tiles * d.MainRoad
	shown := 1 - poissonBelow(d.Vehicles, density*(1+d.LiveWindowS/d.TileSeconds))
	changed := 1 - math.Exp(-density*(1+d.PassS/d.TileSeconds))
	return pl.Tiles * shown * changed / d.PassS
}

// poissonBelow is the probability of fewer than k at a mean.
func poissonBelow(k int, mean float64) (p float64) {
	term := math.Exp(-mean)
	for i := range k {
		p += term
		term *= mean / float64(i+1)
	}
	return p
}

// Estimate is the month's bill. Fixed is what costs the same without any vehicle.
func (pl *Plan) Estimate(p *Prices) (Month, Bill) {
	m, d := pl.Use(), &pl.Deployment
	line := func(service, item string, units float64, unit string, usd float64) Line {
		return Line{Service: service, Item: item, Units: units, Unit: unit, USD: usd}
	}
	fixed := func(service, item string, units float64, unit string, each float64) Line {
		return Line{Service: service, Item: item, Units: units, Unit: unit, USD: units * each, Fixed: true}
	}
	extraTasks := max(0, (m.Receivers.Hours+m.Workers.Hours+m.Management.Hours+m.Jobs.Hours)/hoursAMonth-12)
	lines := []Line{
		line("Load balancer", "capacity units", m.BalancerUnits, "unit-hours", m.BalancerUnits*p.ALBUnitHour),
		fixed("Load balancer", "the balancer", hoursAMonth, "hours", p.ALBHour),
		line("WAF", "requests", m.Batches+m.Deltas, "requests", (m.Batches+m.Deltas)/1e6*p.WAFMillion),
		fixed("WAF", "list with its rules", 1, "month", p.WAFMonth+d.WAFRules*p.WAFRuleMonth),
		line("SQS", "requests of 64 KiB", m.SQSRequests, "requests", m.SQSRequests/1e6*p.SQSMillionRequests),
		line("S3", "PUT, archive", m.ArchivePuts, "requests", m.ArchivePuts/1e3*p.S3ThousandPuts),
		line("S3", "PUT, tiles", m.TilePuts, "requests", m.TilePuts/1e3*p.S3ThousandPuts),
		line("S3", "GET", m.S3Gets, "requests", m.S3Gets/1e3*p.S3ThousandGets),
		line("S3", "storage of the archive and access logs", m.ArchiveGB+m.AccessLogGB*3, "GB", tiered(m.ArchiveGB+m.AccessLogGB*3, p.S3Tiers)),
		line("DynamoDB", "writes: tiles' pointers, vehicles' statuses", m.LiveWrites, "write units", m.LiveWrites/1e6*p.DynamoMillionWRU),
		line("DynamoDB", "reads: those, and deltas", m.LiveReads, "read units", m.LiveReads/1e6*p.DynamoMillionRRU),
		line("DynamoDB", "storage", (pl.Vehicles*300+pl.Tiles*4*200)/gb, "GB", (pl.Vehicles*300+pl.Tiles*4*200)/gb*p.DynamoGBMonth),
		line("RDS", fmt.Sprintf("PostgreSQL, %.0f × %.0f processors, two zones", m.Databases, m.DatabaseVCPU), m.Databases*hoursAMonth, "hours",
			m.Databases*hoursAMonth*m.DatabaseVCPU/2*p.RDSInstanceHour),
		line("RDS", "storage", m.DatabaseGB, "GB", m.DatabaseGB*p.RDSGBMonth),
		line("Data transfer", "answers to cars", m.EgressGB, "GB", tiered(m.EgressGB, p.EgressTiers)),
		line("CloudFront", "map tiles to cars", m.CloudFrontGB, "GB", tiered(m.CloudFrontGB, p.CloudFrontTiers)),
		line("CloudFront", "requests", m.MapTiles, "requests", m.MapTiles/1e4*p.CloudFrontTenK),
		fixed("Endpoints", "interface endpoints", d.Endpoints*d.Zones*hoursAMonth, "hours", p.EndpointHour),
		line("Endpoints", "queue's traffic", m.EndpointGB, "GB", m.EndpointGB*p.EndpointGB),
		fixed("NAT", "beside the data path", d.NATs*hoursAMonth, "hours", p.NATHour),
		fixed("Public addresses", "balancer and NAT", (d.Zones+d.NATs)*hoursAMonth, "hours", p.AddressHour),
		fixed("CloudWatch", "metrics", d.Metrics, "metrics", p.MetricMonth),
		line("CloudWatch", "metrics of more tasks than a dozen", extraTasks*d.MetricsATask, "metrics", extraTasks*d.MetricsATask*p.MetricMonth),
		fixed("CloudWatch", "alarms", d.Alarms, "alarms", p.AlarmMonth),
		fixed("CloudWatch", "dashboards", d.Dashboards, "dashboards", p.DashboardMonth),
		line("CloudWatch", "logs", (12+extraTasks)*d.LogBytesATask/gb, "GB", (12+extraTasks)*d.LogBytesATask/gb*p.LogsGB),
		fixed("Keys and secrets", "keys", d.Keys, "keys", p.KeyMonth),
		fixed("Keys and secrets", "secrets", d.Secrets, "secrets", p.SecretMonth),
	}
	for _, t := range []struct {
		name  string
		least float64
		Tasks
	}{
		{"receivers", scaling.MinReceivers, m.Receivers},
		{"workers", scaling.MinTasks, m.Workers},
		{"management", scaling.MinManagement, m.Management},
		{"jobs", scaling.JobTasks, m.Jobs},
	} {
		each := t.VCPU*p.FargateVCPUHour + t.GiB*p.FargateGBHour
		lines = append(lines, fixed("Fargate", t.name+", the least", t.least*hoursAMonth, "task-hours", each))
		if more := t.Hours - t.least*hoursAMonth; more > 1e-6 {
			lines = append(lines, line("Fargate", t.name+", more", more, "task-hours", more*each))
		}
	}
	b := Bill{Lines: lines, Samples: m.Samples, Kilometre: m.Kilometres, Estimated: true}
	for _, l := range lines {
		b.USD += l.USD
		if !l.Fixed {
			b.Variable += l.USD
		}
	}
	return m, b
}

// Share is what a service costs of a bill.
type Share struct {
	Service string  `json:"service"`
	USD     float64 `json:"usd"`
	Share   float64 `json:"share"`
	// Most is its most expensive item.
	Most Line `json:"most"`
}

// ByService adds up a bill's lines; the most expensive service comes first.
func (b *Bill) ByService() []Share {
	var shares []Share
	for _, l := range b.Lines {
		i := slices.IndexFunc(shares, func(s Share) bool { return s.Service == l.Service })
		if i < 0 {
			i = len(shares)
			shares = append(shares, Share{Service: l.Service, Most: l})
		}
		s := &shares[i]
		s.USD += l.USD
		if l.USD > s.Most.USD {
			s.Most = l
		}
	}
	for i := range shares {
		shares[i].Share = ratio(shares[i].USD, b.USD)
	}
	slices.SortStableFunc(shares, func(a, b Share) int { return cmp.Compare(b.USD, a.USD) })
	return shares
}

// Beyond names what the plan needs more of than infra/ deploys.
func (m *Month) Beyond() (what []string) {
	for _, t := range []struct {
		name       string
		need, most float64
	}{
		{"receivers", m.Receivers.Peak, scaling.MaxReceivers}, {"workers", m.Workers.Peak, scaling.MaxWorkers}, {"management's tasks", m.Management.Peak, scaling.MaxManagement},
	} {
		if t.need > t.most {
			what = append(what, fmt.Sprintf("%.0f %s in the peak, where at most %.0f are allowed", t.need, t.name, t.most))
		}
	}
	if m.Databases > 1 {
		what = append(what, fmt.Sprintf("%.0f databases: more than one instance carries", m.Databases))
	} else if m.DatabaseVCPU > 2 {
		what = append(what, fmt.Sprintf("a database with %.0f processors, where db.m6g.large has 2", m.DatabaseVCPU))
	}
	return what
}
