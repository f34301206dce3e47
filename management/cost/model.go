package cost

import "time"

// Usage is what was counted, or is planned, in some time: the model's input. Units are those of the bill.
type Usage struct {
	SQSRequests     float64 // of started 64 KiB
	S3Puts          float64
	S3Gets          float64
	DynamoWrites    float64 // write request units: per started KiB
	DynamoReads     float64 // read request units: per started 4 KiB
	StoredBytes     float64 // that came to stay in the object store
	EgressBytes     float64 // answers to cars and people
	CPUSeconds      float64 // of all services together, the database apart
	Samples         float64 // that count
	DistanceKM      float64 // driven, as far as the samples tell; 0 if unknown
	Period          time.Duration
	CountedCompute  bool // CPUSeconds was counted; otherwise compute is left out
	CountedTransfer bool // EgressBytes was counted
}

// Add adds what was counted in the same time elsewhere.
func (u *Usage) Add(o Usage) {
	u.SQSRequests += o.SQSRequests
	u.S3Puts += o.S3Puts
	u.S3Gets += o.S3Gets
	u.DynamoWrites += o.DynamoWrites
	u.DynamoReads += o.DynamoReads
	u.StoredBytes += o.StoredBytes
	u.EgressBytes += o.EgressBytes
	u.CPUSeconds += o.CPUSeconds
	u.CountedCompute = u.CountedCompute || o.CountedCompute
	u.CountedTransfer = u.CountedTransfer || o.CountedTransfer
}

// Assumptions are what can't be counted.
type Assumptions struct {
	// Utilisation is how busy rented processors are on average: for each CPU second 1/Utilisation are paid.
	Utilisation float64 `json:"utilisation"`
	// GBPerVCPU is the memory rented with each processor.
	GBPerVCPU float64 `json:"gb_per_vcpu"`
	// RetentionMonths is how long what is stored stays: all of that is charged to the sample that caused it.
	RetentionMonths float64 `json:"retention_months"`
	// RDSInstance runs whatever the load; RDSGB is its storage.
	RDSInstance string  `json:"rds_instance"`
	RDSGB       float64 `json:"rds_gb"`
	// MetresPerSample is used where no distance was counted: 50 km/h at a sample a second.
	MetresPerSample float64 `json:"metres_per_sample"`
}

// DefaultAssumptions are the documented defaults.
func DefaultAssumptions() Assumptions {
	return Assumptions{
		Utilisation: 0.5, GBPerVCPU: 2, RetentionMonths: 13, RDSInstance: "db.m6g.large, two zones", RDSGB: 200, MetresPerSample: 50 / 3.6,
	}
}

// Line is one line of the bill.
type Line struct {
	Service string  `json:"service"`
	Item    string  `json:"item"`
	Units   float64 `json:"units"`
	Unit    string  `json:"unit"`
	USD     float64 `json:"usd"`
	// Fixed costs the same whatever the load.
	Fixed bool `json:"fixed"`
}

// Bill is what a Usage costs.
type Bill struct {
	Lines     []Line
	USD       float64 // all lines
	Variable  float64 // those that follow the load
	Samples   float64
	Kilometre float64
	Estimated bool // the distance is assumed
}

const (
	gb            = 1e9
	secondsAnHour = 3600
	hoursAMonth   = 730
)

// Estimate is the bill of a usage.
func Estimate(u Usage, p Prices, a Assumptions) Bill {
	hours := u.Period.Hours()
	cpuHours := u.CPUSeconds / secondsAnHour / a.Utilisation
	b := Bill{Samples: u.Samples, Kilometre: u.DistanceKM, Lines: []Line{
		{Service: "SQS", Item: "requests of 64 KiB", Units: u.SQSRequests, Unit: "requests", USD: u.SQSRequests / 1e6 * p.SQSMillionRequests},
		{Service: "S3", Item: "PUT", Units: u.S3Puts, Unit: "requests", USD: u.S3Puts / 1e3 * p.S3ThousandPuts},
		{Service: "S3", Item: "GET", Units: u.S3Gets, Unit: "requests", USD: u.S3Gets / 1e3 * p.S3ThousandGets},
		{Service: "S3", Item: "storage of what came to stay, for as long as it stays", Units: u.StoredBytes / gb * a.RetentionMonths, Unit: "GB-months", USD: u.StoredBytes / gb * a.RetentionMonths * p.S3GBMonth},
		{Service: "DynamoDB", Item: "writes", Units: u.DynamoWrites, Unit: "write units", USD: u.DynamoWrites / 1e6 * p.DynamoMillionWRU},
		{Service: "DynamoDB", Item: "reads", Units: u.DynamoReads, Unit: "read units", USD: u.DynamoReads / 1e6 * p.DynamoMillionRRU},
	}}
	if u.CountedCompute {
		b.Lines = append(
			b.Lines,
			Line{Service: "Fargate", Item: "ARM processors", Units: cpuHours, Unit: "vCPU-hours", USD: cpuHours * p.FargateVCPUHour},
			Line{Service: "Fargate", Item: "memory", Units: cpuHours * a.GBPerVCPU, Unit: "GB-hours", USD: cpuHours * a.GBPerVCPU * p.FargateGBHour},
		)
	}
	if u.CountedTransfer {
		b.Lines = append(b.Lines, Line{Service: "Data transfer", Item: "to the internet", Units: u.EgressBytes / gb, Unit: "GB", USD: u.EgressBytes / gb * p.EgressGB})
	}
	b.Lines = append(
		b.Lines,
		Line{Service: "RDS", Item: a.RDSInstance, Units: hours, Unit: "hours", USD: hours * p.RDSInstanceHour, Fixed: true},
		Line{Service: "RDS", Item: "storage", Units: a.RDSGB * hours / hoursAMonth, Unit: "GB-months", USD: a.RDSGB * hours / hoursAMonth * p.RDSGBMonth, Fixed: true},
	)
	for _, l := range b.Lines {
		b.USD += l.USD
		if !l.Fixed {
			b.Variable += l.USD
		}
	}
	if b.Kilometre == 0 {
		b.Kilometre, b.Estimated = u.Samples*a.MetresPerSample/1000, true
	}
	return b
}

// PerMillionSamples is a sum of the bill by its samples; 0 without any.
func (b *Bill) PerMillionSamples(usd float64) float64 { return ratio(usd*1e6, b.Samples) }

// PerThousandKM is a sum of the bill by its distance; 0 without any.
func (b *Bill) PerThousandKM(usd float64) float64 { return ratio(usd*1e3, b.Kilometre) }

func ratio(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return a / b
}
