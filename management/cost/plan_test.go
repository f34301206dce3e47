package cost

import (
	"math"
	"strings"
	"testing"
)

// flat is a profile in which the same share drives all day.
func flat(share float64) Profile {
	p := Profile{Name: "flat"}
	for i := range p.Driving {
		p.Driving[i] = share
	}
	return p
}

func testPlan(vehicles float64, p Profile) Plan {
	return Plan{
		Vehicles: vehicles, Profile: p, Tiles: 1000,
		Counted: Counted{
			SamplesPerBatch: 10, SQSSends: 250, SQSReceives: 300, SQSVisibility: 50, SQSDeletes: 40, S3Puts: 40, S3Gets: 100,
			DatabaseCPU: 2.5, BodyBytes: 25, QueueBytes: 15, ArchiveBytes: 10, DeltaBytesPerCarHour: 100e3, MapBytesPerCarHour: 200e3,
		},
		Deployment: DefaultDeployment(),
	}
}

const monthS = 730 * 3600.0

func wanted(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*math.Abs(want)+1e-12 {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// 100,000 vehicles of which all drive: 10,000 batches a second. 4 receivers (3,000 each) gather 1 + 0.04 × 2,500 = 101 batches, full
// envelopes would hold 400. 10,000/400 = 25 full ones a second are one worker's 25 at 60 %: 2 workers.
func TestUse(t *testing.T) {
	pl := testPlan(100_000, flat(1))
	m := pl.Use()
	wanted(t, "hours a day", m.HoursADay, 24)
	wanted(t, "samples", m.Samples, 100_000*monthS)
	wanted(t, "batches", m.Batches, 10_000*monthS)
	wanted(t, "receivers", m.Receivers.Peak, 4)
	wanted(t, "receivers' hours", m.Receivers.Hours, 4*730)
	wanted(t, "workers", m.Workers.Peak, 2)
	envelopes := 10_000.0 / 101
	wanted(t, "envelopes", m.Envelopes, envelopes*monthS)
	// Sends: 99 a second, more than 0.1 × 250; receives by the bytes, 0.1 × 300, and renewals, 0.1 × 50; deletes in tens.
	wanted(t, "SQS requests", m.SQSRequests, (envelopes+30+5+envelopes/10)*monthS)
	// 2 workers × 2 pipelines / 0.5 s = 8 a second; by the bytes 4.
	wanted(t, "archive PUTs", m.ArchivePuts, 8*monthS)
	// 100 vehicles a tile: each is published in each pass, as two objects, with a third of a tile of overviews.
	wanted(t, "tile PUTs", m.TilePuts, 1000*7.0/3/15*monthS)
	// A status each 600 s of each: 166.7 a second.
	wanted(t, "live writes", m.LiveWrites, (1000*4.0/3/15+100_000/600.0)*monthS)
	// A delta a minute of each vehicle.
	wanted(t, "deltas", m.Deltas, 100_000/60.0*monthS)
	wanted(t, "archive", m.ArchiveGB, 100_000*monthS*10/1e9*430/30.4)
	wanted(t, "egress", m.EgressGB, (10_000*250*monthS+100_000*100e3*730)/1e9)
	// Connections: 2 × 100,000 / 3,000 = 66.7 units; bytes: (10,000 × 500 + 100,000/3600 × 100e3) × 3600 = 28 GB an hour; new: 4.4.
	wanted(t, "balancer units", m.BalancerUnits, 200_000/3000.0*730)
	// 1,667 deltas a second take 1.67 processors: of half of one each at 60 %, 5.6 tasks.
	wanted(t, "management", m.Management.Peak, 6)
	// 0.1 × 2.5 / 0.5 = 0.5 processors: the smallest has 2.
	wanted(t, "processors", m.DatabaseVCPU*m.Databases, 2)
	// Claims 864 M a day × 120 B × 8 days; aggregates 8,640 M samples × 2.5 B × 35 days.
	wanted(t, "database", m.DatabaseGB, 864e6*120*8/1e9+8640*2.5e6*35/1e9)
	if got := m.Beyond(); len(got) != 1 || !strings.HasPrefix(got[0], "6 management") {
		t.Errorf("%q", got)
	}
}

// Half the time nothing drives: half the load, and at least the least of all tasks.
func TestUseByHours(t *testing.T) {
	p := flat(0)
	for i := range 12 {
		p.Driving[i] = 1
	}
	pl := testPlan(100_000, p)
	m := pl.Use()
	wanted(t, "samples", m.Samples, 100_000*monthS/2)
	wanted(t, "receivers' hours", m.Receivers.Hours, 4*365+3*365)
	wanted(t, "peak", m.PeakBatches, 10_000)
}

// The whole bill of a fleet that never drives is what is fixed, and storage that is rented anyway.
func TestIdleBill(t *testing.T) {
	pl := testPlan(1000, flat(0))
	_, b := pl.Estimate(testPrices())
	fargate := 730 * (3*(0.04+2*0.004) + 2*(0.04+4*0.004) + 2*(0.02+2*0.004) + 2*(0.04+4*0.004))
	fixed := fargate + 0.03*730 + 5 + 4 + 6*3*730*0.01 + 730*0.05 + 4*730*0.005 + 250*0.3 + 30*0.1 + 6 + 1 + 4*0.4
	wanted(t, "fixed", b.USD-b.Variable, fixed)
	anyway := 730*0.4 + 200*0.3 + 12*0.5 + (1000*300+1000*800)/1e9*0.25
	wanted(t, "variable", b.Variable, anyway)
	if b.PerMillionSamples(b.USD) != 0 {
		t.Error("a price for nothing")
	}
}

func testPrices() *Prices {
	return &Prices{
		SQSMillionRequests: 0.4, S3ThousandPuts: 0.005, S3ThousandGets: 0.0004, DynamoMillionWRU: 0.6, DynamoMillionRRU: 0.1,
		RDSInstanceHour: 0.4, RDSGBMonth: 0.3, FargateVCPUHour: 0.04, FargateGBHour: 0.004,
		EgressTiers: []Tier{{10, 0.09}, {0, 0.05}}, S3Tiers: []Tier{{0, 0.02}}, CloudFrontTiers: []Tier{{0, 0.08}}, CloudFrontTenK: 0.01,
		DynamoGBMonth: 0.25, ALBHour: 0.03, ALBUnitHour: 0.008, WAFMillion: 0.6, WAFMonth: 5, WAFRuleMonth: 1, EndpointHour: 0.01, EndpointGB: 0.01,
		NATHour: 0.05, AddressHour: 0.005, LogsGB: 0.5, MetricMonth: 0.3, AlarmMonth: 0.1, DashboardMonth: 3, KeyMonth: 1, SecretMonth: 0.4,
	}
}

// Of the busy fleet: some lines by hand, and that all add up.
func TestBusyBill(t *testing.T) {
	pl := testPlan(100_000, flat(1))
	m, b := pl.Estimate(testPrices())
	find := func(service, item string) float64 {
		for _, l := range b.Lines {
			if l.Service == service && strings.HasPrefix(l.Item, item) {
				return l.USD
			}
		}
		t.Fatalf("no line %s, %s", service, item)
		return 0
	}
	wanted(t, "WAF", find("WAF", "requests"), (10_000+100_000/60.0)*monthS/1e6*0.6)
	wanted(t, "SQS", find("SQS", ""), m.SQSRequests/1e6*0.4)
	wanted(t, "balancer", find("Load balancer", "capacity"), 200_000/3000.0*730*0.008)
	wanted(t, "egress", find("Data transfer", ""), 10*0.09+(m.EgressGB-10)*0.05)
	wanted(t, "receivers", find("Fargate", "receivers, more"), 730*(0.04+2*0.004))
	wanted(t, "queue's traffic", find("Endpoints", "queue"), 100_000*monthS*2*15/1e9*0.01)
	var sum, shares float64
	for _, l := range b.Lines {
		sum += l.USD
	}
	for _, s := range b.ByService() {
		shares += s.USD
	}
	wanted(t, "lines", sum, b.USD)
	wanted(t, "services", shares, b.USD)
	if first := b.ByService()[0]; first.Service != "WAF" || first.Most.Item != "requests" {
		t.Errorf("%+v dominates", first)
	}
	wanted(t, "per million samples", b.PerMillionSamples(b.USD), b.USD*1e6/(100_000*monthS))
}

func TestTiered(t *testing.T) {
	tiers := []Tier{{10, 3}, {10, 2}, {0, 1}}
	for gb, want := range map[float64]float64{0: 0, 4: 12, 10: 30, 15: 40, 25: 55} {
		wanted(t, "tiered", tiered(gb, tiers), want)
	}
}

// A vehicle for every other tile: 0.15 on its busiest segment at once. Of 0.15 × (1 + 300/90) = 0.65 in the window, 3 or more with
// probability 1 - e^-0.65 (1 + 0.65 + 0.21125); of 0.15 × (1 + 15/90) = 0.175 since the last pass, one or more.
func TestTilesPerS(t *testing.T) {
	pl := testPlan(500, flat(1))
	want := 1000 * (1 - math.Exp(-0.65)*1.86125) * (1 - math.Exp(-0.175)) / 15
	wanted(t, "tiles", pl.TilesPerS(500), want)
	wanted(t, "of nobody", pl.TilesPerS(0), 0)
	wanted(t, "of very many", pl.TilesPerS(1e9), 1000.0/15)
}

func TestPoissonBelow(t *testing.T) {
	wanted(t, "mean 0", poissonBelow(3, 0), 1)
	wanted(t, "mean 2", poissonBelow(3, 2), 5*math.Exp(-2))
}

func TestProfiles(t *testing.T) {
	for _, p := range Profiles() {
		if got, err := ProfileOf(p.Name); err != nil || got.Name != p.Name {
			t.Errorf("%s: %v", p.Name, err)
		}
		for h, share := range p.Driving {
			if share < 0 || share > 1 {
				t.Errorf("%s at %d: %v", p.Name, h, share)
			}
		}
	}
	if p, _ := ProfileOf("commuter"); math.Abs(p.HoursADay()-1.1353) > 1e-9 || p.Peak() != 0.13 {
		t.Errorf("commuters drive %v hours, %v at once", p.HoursADay(), p.Peak())
	}
	if _, err := ProfileOf("tram"); err == nil {
		t.Error("an unknown profile is found")
	}
	for _, pl := range []Plan{{}, {Vehicles: math.NaN(), Tiles: 1}, {Vehicles: 1, Tiles: 1e9}} {
		if pl.Validate() == nil {
			t.Errorf("%v vehicles in %v tiles are accepted", pl.Vehicles, pl.Tiles)
		}
	}
}

func TestPlansPricesAreComplete(t *testing.T) {
	l, err := List()
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Checked) == 0 {
		t.Error("nothing says what was checked")
	}
	for name, p := range l.Regions {
		for i, v := range []float64{
			p.DynamoGBMonth, p.CloudFrontTenK, p.ALBHour, p.ALBUnitHour, p.WAFMillion, p.WAFMonth, p.WAFRuleMonth, p.EndpointHour, p.EndpointGB,
			p.NATHour, p.AddressHour, p.LogsGB, p.MetricMonth, p.AlarmMonth, p.DashboardMonth, p.KeyMonth, p.SecretMonth,
		} {
			if v <= 0 || v > 10 {
				t.Errorf("%s: price %d is %v", name, i, v)
			}
		}
		for _, tiers := range [][]Tier{p.EgressTiers, p.S3Tiers, p.CloudFrontTiers} {
			if len(tiers) == 0 || tiers[len(tiers)-1].GB != 0 {
				t.Fatalf("%s: tiers without an end: %v", name, tiers)
			}
			for i := 1; i < len(tiers); i++ {
				if tiers[i].USD >= tiers[i-1].USD || tiers[i-1].GB <= 0 {
					t.Errorf("%s: tiers %v", name, tiers)
				}
			}
		}
		if p.EgressTiers[0].USD != p.EgressGB || p.S3Tiers[0].USD != p.S3GBMonth {
			t.Errorf("%s: first tiers differ from the prices without tiers", name)
		}
	}
}
