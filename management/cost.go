package management

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/carasso/carasso/internal/usage"
	"github.com/carasso/carasso/management/cost"
)

// costEvery is how long an estimate serves.
const costEvery = 15 * time.Second

type costDoc struct {
	At          time.Time        `json:"at"`
	Region      string           `json:"region"`
	PricesAsOf  string           `json:"prices_as_of"`
	PriceSource string           `json:"price_source"`
	Assumptions cost.Assumptions `json:"assumptions"`
	LastHour    billDoc          `json:"last_hour"`
	LastDay     billDoc          `json:"last_day"`
}

type billDoc struct {
	From             time.Time   `json:"from"`
	To               time.Time   `json:"to"`
	Samples          float64     `json:"samples"`
	Kilometres       float64     `json:"km"`
	KilometresGuess  bool        `json:"km_assumed"`
	ArchivedBytes    float64     `json:"archived_bytes"`
	USD              float64     `json:"usd"`
	VariableUSD      float64     `json:"variable_usd"`
	PerMillion       float64     `json:"usd_per_million_samples"`
	PerThousandKM    float64     `json:"usd_per_1000_km"`
	VariableMillion  float64     `json:"variable_usd_per_million_samples"`
	VariableThousand float64     `json:"variable_usd_per_1000_km"`
	Lines            []cost.Line `json:"lines"`
}

// Sent is how many bytes of answers the server has written since its start.
func (s *Server) Sent() int64 { return s.sent.Load() }

// weigh counts what is answered, when it is: of streams at their end.
func (s *Server) weigh(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(ww, r)
		s.sent.Add(int64(ww.BytesWritten()))
	})
}

// counted is what was used in the last hour and day.
type counted struct {
	at        time.Time
	hour, day cost.Usage
}

// getCost estimates what the pipeline costs on AWS, from what it used lately.
func (s *Server) getCost(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "region")
	region := p.choice("region", append([]string{defaultRegion}, s.prices.RegionNames()...)...)
	if err := p.problem(); err != nil {
		return nil, err
	}
	c, err := s.counted.get(r.Context(), s.deps.Now, costEvery, s.cfg.QueryTimeout, s.count)
	if err != nil {
		return nil, err
	}
	assume := cost.DefaultAssumptions()
	prices := s.prices.Regions[region]
	return costDoc{
		At: c.at, Region: region, PricesAsOf: s.prices.AsOf, PriceSource: s.prices.Source, Assumptions: assume,
		LastHour: newBillDoc(c.at, &c.hour, cost.Estimate(c.hour, prices, assume)), LastDay: newBillDoc(c.at, &c.day, cost.Estimate(c.day, prices, assume)),
	}, nil
}

const defaultRegion = "eu-central-1"

func (s *Server) count(ctx context.Context) (c counted, err error) {
	c.at = s.deps.Now().UTC()
	if c.hour, err = s.used(ctx, c.at, time.Hour); err != nil {
		return c, err
	}
	c.day, err = s.used(ctx, c.at, 24*time.Hour)
	return c, err
}

// used is what all processes counted in a time before now, and what that archived.
func (s *Server) used(ctx context.Context, now time.Time, period time.Duration) (u cost.Usage, err error) {
	counts, err := usage.Read(ctx, s.deps.Live, now.Add(-period), now)
	if err != nil {
		return u, err
	}
	samples, bytes, err := s.deps.Store.ArchivedIn(ctx, now.Add(-period), now)
	if err != nil {
		return u, err
	}
	_, compute := counts[usage.CPUSeconds]
	_, transfer := counts[usage.EgressBytes]
	return cost.Usage{
		SQSRequests: counts[usage.SQSRequests], S3Puts: counts[usage.S3Puts], S3Gets: counts[usage.S3Gets],
		DynamoWrites: counts[usage.DynamoWrites], DynamoReads: counts[usage.DynamoReads], EgressBytes: counts[usage.EgressBytes],
		CPUSeconds: counts[usage.CPUSeconds], StoredBytes: float64(bytes), Samples: float64(samples), Period: period,
		CountedCompute: compute, CountedTransfer: transfer,
	}, nil
}

func newBillDoc(at time.Time, u *cost.Usage, b cost.Bill) billDoc {
	const digits = 6
	doc := billDoc{
		From: at.Add(-u.Period), To: at, Samples: b.Samples, Kilometres: round(b.Kilometre, 1), KilometresGuess: b.Estimated, ArchivedBytes: u.StoredBytes,
		USD: round(b.USD, digits), VariableUSD: round(b.Variable, digits),
		PerMillion: round(b.PerMillionSamples(b.USD), digits), PerThousandKM: round(b.PerThousandKM(b.USD), digits),
		VariableMillion: round(b.PerMillionSamples(b.Variable), digits), VariableThousand: round(b.PerThousandKM(b.Variable), digits),
	}
	for _, l := range b.Lines {
		l.Units, l.USD = round(l.Units, digits), round(l.USD, digits)
		doc.Lines = append(doc.Lines, l)
	}
	return doc
}
