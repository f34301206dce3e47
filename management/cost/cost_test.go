package cost

import (
	"math"
	"testing"
	"time"
)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Max(math.Abs(a), math.Abs(b)) }

func TestPriceListIsComplete(t *testing.T) {
	l, err := List()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse(time.DateOnly, l.AsOf); err != nil || l.Source == "" {
		t.Errorf("as of %q, from %q", l.AsOf, l.Source)
	}
	for _, region := range []string{"us-east-1", "eu-central-1"} {
		p, ok := l.Regions[region]
		if !ok {
			t.Fatalf("no prices for %s", region)
		}
		for i, v := range []float64{
			p.SQSMillionRequests, p.S3ThousandPuts, p.S3ThousandGets, p.S3GBMonth, p.DynamoMillionWRU, p.DynamoMillionRRU,
			p.RDSInstanceHour, p.RDSGBMonth, p.FargateVCPUHour, p.FargateGBHour, p.EgressGB,
		} {
			if v <= 0 || v > 10 {
				t.Errorf("%s: price %d is %v", region, i, v)
			}
		}
	}
}

// A bill worked out by hand.
func TestEstimate(t *testing.T) {
	p := Prices{
		SQSMillionRequests: 0.4, S3ThousandPuts: 0.005, S3ThousandGets: 0.0004, S3GBMonth: 0.02, DynamoMillionWRU: 0.6, DynamoMillionRRU: 0.1,
		RDSInstanceHour: 0.3, RDSGBMonth: 0.1, FargateVCPUHour: 0.03, FargateGBHour: 0.004, EgressGB: 0.09,
	}
	a := Assumptions{Utilisation: 0.5, GBPerVCPU: 2, RetentionMonths: 10, RDSInstance: "x", RDSGB: 73, MetresPerSample: 10}
	b := Estimate(Usage{
		SQSRequests: 5e6, S3Puts: 2000, S3Gets: 10_000, DynamoWrites: 1e6, DynamoReads: 2e6, StoredBytes: 5e9, EgressBytes: 2e9, CPUSeconds: 7200,
		Samples: 4e6, Period: 10 * time.Hour, CountedCompute: true, CountedTransfer: true,
	}, p, a)
	variable := 2.0 + 0.01 + 0.004 + 1.0 + 0.6 + 0.2 + 4*0.03 + 8*0.004 + 0.18
	fixed := 3.0 + 0.1
	if !near(b.Variable, variable) || !near(b.USD, variable+fixed) {
		t.Errorf("%v, of which %v follow the load; want %v and %v", b.USD, b.Variable, variable+fixed, variable)
	}
	if !near(b.PerMillionSamples(b.Variable), variable/4) || !near(b.PerThousandKM(b.Variable), variable/40) || !b.Estimated {
		t.Errorf("per million samples %v, per 1,000 km %v", b.PerMillionSamples(b.Variable), b.PerThousandKM(b.Variable))
	}
	var sum float64
	for _, l := range b.Lines {
		sum += l.USD
	}
	if !near(sum, b.USD) {
		t.Errorf("lines add up to %v, the bill says %v", sum, b.USD)
	}
}

func TestWhatWasNotCountedIsLeftOut(t *testing.T) {
	b := Estimate(Usage{Samples: 1e6, CPUSeconds: 1e6, EgressBytes: 1e12}, Prices{FargateVCPUHour: 1, EgressGB: 1}, DefaultAssumptions())
	if b.USD != 0 {
		t.Errorf("%v USD for what was not counted", b.USD)
	}
	if b := Estimate(Usage{}, Prices{}, DefaultAssumptions()); b.PerMillionSamples(b.USD) != 0 || b.PerThousandKM(b.USD) != 0 {
		t.Error("nothing costs something")
	}
	if b := Estimate(Usage{Samples: 10, DistanceKM: 3}, Prices{}, DefaultAssumptions()); b.Kilometre != 3 || b.Estimated {
		t.Errorf("a distance that was counted: %+v", b)
	}
}

func TestUsageAdds(t *testing.T) {
	u := Usage{SQSRequests: 1, S3Puts: 2, S3Gets: 3, DynamoWrites: 4, DynamoReads: 5, StoredBytes: 6, EgressBytes: 7, CPUSeconds: 8, CountedCompute: true}
	want := Usage{SQSRequests: 2, S3Puts: 4, S3Gets: 6, DynamoWrites: 8, DynamoReads: 10, StoredBytes: 12, EgressBytes: 14, CPUSeconds: 16, CountedCompute: true}
	if u.Add(u); u != want {
		t.Errorf("%+v, want %+v", u, want)
	}
}
