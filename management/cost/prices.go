// Package cost reckons what the pipeline costs on AWS, from counted units and a dated list of prices. It is pure: what it
// is given is all that counts, so that the same model serves live counts, measurements and plans.
package cost

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
)

//go:embed prices.json
var pricesJSON []byte

// Prices are list prices of one region, in US dollars.
type Prices struct {
	SQSMillionRequests float64 `json:"sqs_million_requests"` // standard queue; each started 64 KiB of a payload is a request
	S3ThousandPuts     float64 `json:"s3_thousand_puts"`     // PUT, COPY, POST, LIST
	S3ThousandGets     float64 `json:"s3_thousand_gets"`     // GET and all others
	S3GBMonth          float64 `json:"s3_gb_month"`          // standard, first 50 TB
	DynamoMillionWRU   float64 `json:"dynamodb_million_write_units"`
	DynamoMillionRRU   float64 `json:"dynamodb_million_read_units"`
	RDSInstanceHour    float64 `json:"rds_instance_hour"` // Assumptions.RDSInstance, PostgreSQL, two zones
	RDSGBMonth         float64 `json:"rds_gb_month"`      // gp3, two zones
	FargateVCPUHour    float64 `json:"fargate_arm_vcpu_hour"`
	FargateGBHour      float64 `json:"fargate_arm_gb_hour"`
	EgressGB           float64 `json:"egress_gb"` // to the internet, first 10 TB a month
}

// PriceList is a dated list of prices by region.
type PriceList struct {
	AsOf    string            `json:"as_of"` // ISO 8601 date
	Source  string            `json:"source"`
	Regions map[string]Prices `json:"regions"`
}

// List is the price list that comes with this program.
func List() (PriceList, error) {
	var l PriceList
	if err := json.Unmarshal(pricesJSON, &l); err != nil {
		return l, fmt.Errorf("price list: %w", err)
	}
	return l, nil
}

// RegionNames are the regions that have prices, sorted.
func (l PriceList) RegionNames() []string {
	names := make([]string, 0, len(l.Regions))
	for name := range l.Regions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
