package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/carasso/carasso/management/cost"
)

// costCmd reckons a month's bill.
type costCmd struct {
	Vehicles float64       `default:"100000" help:"Vehicles of the fleet, whether they drive or not."`
	Profile  string        `default:"commuter" enum:"commuter,delivery,taxi,always" help:"When they drive: ${enum}."`
	Tiles    float64       `default:"0" help:"Tiles of zoom 14 with roads in their area: 300 for Andorra, 150,000 for Germany; 0: as many as vehicles, from 300 to 150,000."`
	Pass     time.Duration `default:"15s" help:"Between passes of the projector, as of worker's --project-interval."`
	Readers  float64       `default:"1" help:"Share of the driving cars that keep a map of their own fresh."`
	Region   string        `default:"eu-central-1" enum:"eu-central-1,us-east-1" help:"Prices of this region: ${enum}."`
	Format   string        `default:"table" enum:"table,markdown,json" help:"How it is printed: ${enum}."`
	Sheets   bool          `help:"Print the three sheets of infra/ (1,000, 100,000 and 10 million vehicles) as markdown, whatever the other flags say."`
}

// Run prints the bill.
func (c *costCmd) Run() error {
	if c.Sheets {
		return costSheets(os.Stdout)
	}
	s, err := c.sheet()
	if err != nil {
		return err
	}
	switch c.Format {
	case "json":
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(s.doc())
	case "markdown":
		_, err = io.WriteString(os.Stdout, s.markdown())
	default:
		_, err = io.WriteString(os.Stdout, s.table())
	}
	return err
}

// tilesOf is how many tiles vehicles drive in unless it is said: from Andorra's to Germany's.
func tilesOf(vehicles float64) float64 { return min(max(vehicles, 300), 150_000) }

// costSheet is a plan with its bill.
type costSheet struct {
	plan   cost.Plan
	prices cost.PriceList
	region string
	month  cost.Month
	bill   cost.Bill
}

func (c *costCmd) sheet() (*costSheet, error) {
	profile, err := cost.ProfileOf(c.Profile)
	if err != nil {
		return nil, err
	}
	prices, err := cost.List()
	if err != nil {
		return nil, err
	}
	if !(c.Readers >= 0 && c.Readers <= 1) {
		return nil, fmt.Errorf("--readers: expected 0 to 1, found %v", c.Readers)
	}
	if c.Pass < time.Second || c.Pass > time.Hour {
		return nil, fmt.Errorf("--pass: expected 1s to 1h, found %s", c.Pass)
	}
	s := &costSheet{prices: prices, region: c.Region}
	s.plan = cost.Plan{
		Vehicles: c.Vehicles, Profile: profile, Tiles: cmp.Or(c.Tiles, tilesOf(c.Vehicles)),
		Counted: counted(), Deployment: cost.DefaultDeployment(),
	}
	s.plan.Deployment.Readers, s.plan.Deployment.PassS = c.Readers, c.Pass.Seconds()
	if err := s.plan.Validate(); err != nil {
		return nil, err
	}
	region := prices.Regions[c.Region]
	s.month, s.bill = s.plan.Estimate(&region)
	return s, nil
}

// facts are what the bill stands on, one a line.
func (s *costSheet) facts() []string {
	m, pl := &s.month, &s.plan
	facts := []string{
		fmt.Sprintf("%s vehicles (%s: %.2f h a day each, %.1f %% at once in the peak), in %s tiles of zoom 14; %.0f %% of those that drive read the map",
			thousands(pl.Vehicles), pl.Profile.Name, m.HoursADay, 100*pl.Profile.Peak(), thousands(pl.Tiles), 100*pl.Deployment.Readers),
		fmt.Sprintf("%s million samples in %s million batches, %s batches/s in the peak; %s million km",
			thousands(m.Samples/1e6), thousands(m.Batches/1e6), thousands(m.PeakBatches), thousands(m.Kilometres/1e6)),
		fmt.Sprintf("tasks in the peak: %.0f receivers, %.0f workers, %.0f management, %.0f jobs; PostgreSQL: %.0f × %.0f processors, %s GB",
			m.Receivers.Peak, m.Workers.Peak, m.Management.Peak, m.Jobs.Peak, m.Databases, m.DatabaseVCPU, thousands(m.DatabaseGB)),
	}
	if beyond := m.Beyond(); len(beyond) > 0 {
		facts = append(facts, "beyond what infra/ allows as it is: "+strings.Join(beyond, "; "))
	}
	return facts
}

func (s *costSheet) sums() []string {
	b := &s.bill
	shares := b.ByService()
	var most []string
	for _, sh := range shares[:min(3, len(shares))] {
		most = append(most, fmt.Sprintf("%s %.0f %% (most of it %s)", sh.Service, 100*sh.Share, sh.Most.Item))
	}
	return []string{
		fmt.Sprintf("%s USD a month, of which %s without any vehicle", thousands(b.USD), thousands(b.USD-b.Variable)),
		fmt.Sprintf("%s USD a vehicle and month, %s a million samples, %s per 1,000 km; without what is fixed %s, %s and %s",
			usd(b.USD/s.plan.Vehicles), usd(b.PerMillionSamples(b.USD)), usd(b.PerThousandKM(b.USD)),
			usd(b.Variable/s.plan.Vehicles), usd(b.PerMillionSamples(b.Variable)), usd(b.PerThousandKM(b.Variable))),
		"what dominates: " + strings.Join(most, ", "),
	}
}

func (s *costSheet) origin() string {
	return fmt.Sprintf("Prices of %s, %s, without free tiers, discounts and taxes (management/cost/prices.json says what was checked); counts of %s (carasso bench). Assumptions: --format json.",
		s.region, s.prices.AsOf, s.plan.Counted.AsOf)
}

func (s *costSheet) table() string {
	var b strings.Builder
	for _, f := range s.facts() {
		b.WriteString(f + "\n")
	}
	b.WriteByte('\n')
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, sh := range s.bill.ByService() {
		_, _ = fmt.Fprintf(w, "%s\t\t\t%s USD\t%.1f %%\n", strings.ToUpper(sh.Service), thousands(sh.USD), 100*sh.Share)
		for _, l := range s.bill.Lines {
			if l.Service == sh.Service {
				_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t\n", l.Item, thousands(l.Units), l.Unit, usd(l.USD))
			}
		}
	}
	_ = w.Flush() // a strings.Builder does not fail
	b.WriteByte('\n')
	for _, f := range s.sums() {
		b.WriteString(f + "\n")
	}
	return b.String() + "\n" + s.origin() + "\n"
}

func (s *costSheet) markdown() string {
	var b strings.Builder
	for _, f := range s.facts() {
		b.WriteString("- " + f + "\n")
	}
	b.WriteString("\n| service | USD a month | share | most of it |\n|---|---:|---:|---|\n")
	for _, sh := range s.bill.ByService() {
		_, _ = fmt.Fprintf(&b, "| %s | %s | %.1f %% | %s: %s %s |\n", sh.Service, thousands(sh.USD), 100*sh.Share, sh.Most.Item, thousands(sh.Most.Units), sh.Most.Unit)
	}
	_, _ = fmt.Fprintf(&b, "| **all** | **%s** | | |\n\n", thousands(s.bill.USD))
	for _, f := range s.sums() {
		b.WriteString("- " + f + "\n")
	}
	return b.String()
}

type costSheetDoc struct {
	Vehicles          float64         `json:"vehicles"`
	Profile           cost.Profile    `json:"profile"`
	Tiles             float64         `json:"tiles"`
	Region            string          `json:"region"`
	PricesAsOf        string          `json:"prices_as_of"`
	PriceSource       string          `json:"price_source"`
	PricesChecked     []string        `json:"prices_checked"`
	Counted           cost.Counted    `json:"counted"`
	Assumptions       cost.Deployment `json:"assumptions"`
	Use               cost.Month      `json:"use"`
	Lines             []cost.Line     `json:"lines"`
	Services          []cost.Share    `json:"services"`
	USD               float64         `json:"usd"`
	FixedUSD          float64         `json:"fixed_usd"`
	PerVehicle        float64         `json:"usd_per_vehicle"`
	PerMillionSamples float64         `json:"usd_per_million_samples"`
	PerThousandKM     float64         `json:"usd_per_1000_km"`
	Beyond            []string        `json:"beyond_what_infra_allows"`
}

func (s *costSheet) doc() costSheetDoc {
	b := &s.bill
	return costSheetDoc{
		Vehicles: s.plan.Vehicles, Profile: s.plan.Profile, Tiles: s.plan.Tiles, Region: s.region,
		PricesAsOf: s.prices.AsOf, PriceSource: s.prices.Source, PricesChecked: s.prices.Checked,
		Counted: s.plan.Counted, Assumptions: s.plan.Deployment, Use: s.month, Lines: b.Lines, Services: b.ByService(),
		USD: b.USD, FixedUSD: b.USD - b.Variable, PerVehicle: b.USD / s.plan.Vehicles,
		PerMillionSamples: b.PerMillionSamples(b.USD), PerThousandKM: b.PerThousandKM(b.USD), Beyond: s.month.Beyond(),
	}
}

const sheetsMark = "<!-- made by `carasso cost --sheets`; a test compares -->"

// costSheets writes the three sheets that infra/README.md shows.
func costSheets(w io.Writer) error {
	var b strings.Builder
	b.WriteString(sheetsMark + "\n\n")
	for i, f := range []struct {
		title    string
		vehicles float64
	}{{"1,000 vehicles: a trial", 1000}, {"100,000 vehicles", 100_000}, {"10 million vehicles", 10_000_000}} {
		c := costCmd{Vehicles: f.vehicles, Profile: "commuter", Pass: 15 * time.Second, Readers: 1, Region: "eu-central-1"}
		s, err := c.sheet()
		if err != nil {
			return err
		}
		if i == 0 {
			b.WriteString(s.origin() + "\n\n")
		}
		b.WriteString("### " + f.title + "\n\n" + s.markdown() + "\n")
	}
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

// usd writes an amount with as many digits as it needs.
func usd(v float64) string {
	if math.Abs(v) >= 100 {
		return thousands(v)
	}
	if math.Abs(v) >= 0.995 {
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// thousands writes a number with separators, below 10 with a decimal.
func thousands(v float64) string {
	if v != 0 && math.Abs(v) < 9.95 {
		return fmt.Sprintf("%.2g", v)
	}
	digits := fmt.Sprintf("%.0f", math.Abs(v))
	var b strings.Builder
	if v < 0 {
		b.WriteByte('-')
	}
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
