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

	// What only a plan of a whole deployment reckons with.
	EgressTiers     []Tier  `json:"egress_tiers"` // to the internet
	S3Tiers         []Tier  `json:"s3_tiers"`     // standard storage, a month
	DynamoGBMonth   float64 `json:"dynamodb_gb_month"`
	CloudFrontTiers []Tier  `json:"cloudfront_tiers"` // to the internet, from Europe and North America
	CloudFrontTenK  float64 `json:"cloudfront_ten_thousand_requests"`
	ALBHour         float64 `json:"alb_hour"`
	ALBUnitHour     float64 `json:"alb_lcu_hour"`
	WAFMillion      float64 `json:"waf_million_requests"`
	WAFMonth        float64 `json:"waf_acl_month"`
	WAFRuleMonth    float64 `json:"waf_rule_month"`
	EndpointHour    float64 `json:"endpoint_hour"` // interface endpoint, each zone
	EndpointGB      float64 `json:"endpoint_gb"`
	NATHour         float64 `json:"nat_hour"`
	AddressHour     float64 `json:"public_ipv4_hour"`
	LogsGB          float64 `json:"logs_gb"` // ingested
	MetricMonth     float64 `json:"metric_month"`
	AlarmMonth      float64 `json:"alarm_month"`
	DashboardMonth  float64 `json:"dashboard_month"`
	KeyMonth        float64 `json:"key_month"`
	SecretMonth     float64 `json:"secret_month"`
}

// Tier is a price a GB for the next so many of a month; without a number, for all that follow.
type Tier struct {
	GB  float64 `json:"gb,omitempty"`
	USD float64 `json:"usd"`
}

// tiered is the price of an amount.
func tiered(gb float64, tiers []Tier) (usd float64) {
	for _, t := range tiers {
		n := gb
		if t.GB > 0 {
			n = min(gb, t.GB)
		}
		usd += n * t.USD
		gb -= n
	}
	return usd
}

// PriceList is a dated list of prices by region.
type PriceList struct {
	AsOf    string            `json:"as_of"` // ISO 8601 date
	Source  string            `json:"source"`
	Checked []string          `json:"checked"` // what was checked against what, and what was not
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
