package management

import (
	"errors"
	"fmt"
	"time"

	"github.com/carasso/carasso/internal/webhook"
	"github.com/carasso/carasso/management/datex"
	"github.com/carasso/carasso/mapdata/learn"
)

// Config is how the management API behaves. Start from DefaultConfig.
type Config struct {
	// K is how many distinct vehicles must stand behind a speed that is shown. Default 3.
	K int
	// MaxRange bounds the time range of a query. Default 31 days.
	MaxRange time.Duration
	// MaxTrendRange bounds the time range of a trend. Default 400 days.
	MaxTrendRange time.Duration
	// StreetBytes bounds the memory of the index of streets, about. Default 64 MiB, for some 150,000 streets.
	StreetBytes int
	// MaxTiles bounds a query's bounding box, in map tiles of zoom 14. Default 1,024, which
	// is about 55 km by 55 km at 45° of latitude.
	MaxTiles int
	// MaxLimit bounds the features of a page. Default 10,000.
	MaxLimit int
	// QueryTimeout bounds the work behind one request. Default 15 s.
	QueryTimeout time.Duration
	// HeavyQueries is how many ledger and segment queries run at once; more wait for up to
	// QueryTimeout. Default 4.
	HeavyQueries int
	// MaxExportRows bounds the rows of a file. Default 1,000,000.
	MaxExportRows int
	// ExportTimeout bounds the time that a file may take, its client's reading included. Default 10 minutes.
	ExportTimeout time.Duration
	// Exports is how many files are written at once, each with up to two connections to the database; more wait for up to
	// QueryTimeout. Default 2.
	Exports int
	// PipelineEvery is how long an answer of /v1/pipeline is reused, so that any number of
	// portals costs the database the same. Default 500 ms.
	PipelineEvery time.Duration
	// MaxStreams bounds the open event streams. Default 64.
	MaxStreams int
	// Publisher answers for the DATEX II feed. Default datex.DefaultPublisher.
	Publisher datex.Publisher
	// Webhooks says where webhooks may lead. Default: to public addresses over HTTPS only.
	Webhooks webhook.Guard
	// WebhookSource names this deployment in events (CloudEvents source). Default urn:carasso.
	WebhookSource string
}

// DefaultConfig is the documented defaults.
func DefaultConfig() Config {
	return Config{
		K: learn.DefaultK, MaxRange: 31 * 24 * time.Hour, MaxTrendRange: 400 * 24 * time.Hour, StreetBytes: 64 << 20, MaxTiles: 1024, MaxLimit: 10_000,
		QueryTimeout: 15 * time.Second, HeavyQueries: 4, PipelineEvery: 500 * time.Millisecond, MaxStreams: 64,
		MaxExportRows: 1_000_000, ExportTimeout: 10 * time.Minute, Exports: 2,
		Publisher: datex.DefaultPublisher(), WebhookSource: webhook.DefaultConfig().Source,
	}
}

// Validate names the first field that is out of its range.
func (c Config) Validate() error {
	switch {
	case c.K < 1 || c.K > 100:
		return fmt.Errorf("k %d: expected 1 to 100", c.K)
	case c.MaxRange < time.Hour || c.MaxRange > 366*24*time.Hour:
		return fmt.Errorf("max range %v: expected 1 hour to 366 days", c.MaxRange)
	case c.MaxTrendRange < time.Hour || c.MaxTrendRange > 3660*24*time.Hour:
		return fmt.Errorf("max trend range %v: expected 1 hour to 3,660 days", c.MaxTrendRange)
	case c.StreetBytes < 1<<10:
		return fmt.Errorf("street bytes %d: expected 1 KiB or more", c.StreetBytes)
	case c.MaxTiles < 1 || c.MaxTiles > 1<<16:
		return fmt.Errorf("max tiles %d: expected 1 to 65,536", c.MaxTiles)
	case c.MaxLimit < 1 || c.MaxLimit > 100_000:
		return fmt.Errorf("max limit %d: expected 1 to 100,000", c.MaxLimit)
	case c.QueryTimeout <= 0:
		return fmt.Errorf("query timeout %v: expected more than 0", c.QueryTimeout)
	case c.HeavyQueries < 1 || c.HeavyQueries > 1000:
		return fmt.Errorf("heavy queries %d: expected 1 to 1,000", c.HeavyQueries)
	case c.MaxExportRows < 1 || c.MaxExportRows > 1_000_000_000:
		return fmt.Errorf("max export rows %d: expected 1 to 1,000,000,000", c.MaxExportRows)
	case c.ExportTimeout <= 0 || c.ExportTimeout > 24*time.Hour:
		return fmt.Errorf("export timeout %v: expected more than 0, up to a day", c.ExportTimeout)
	case c.Exports < 1 || c.Exports > 100:
		return fmt.Errorf("exports %d: expected 1 to 100", c.Exports)
	case c.PipelineEvery < 0 || c.PipelineEvery > time.Minute:
		return fmt.Errorf("pipeline every %v: expected 0 to 1 minute", c.PipelineEvery)
	case c.WebhookSource == "":
		return errors.New("webhook source: expected a URI reference")
	case c.MaxStreams < 0 || c.MaxStreams > 100_000:
		return fmt.Errorf("max streams %d: expected 0 to 100,000", c.MaxStreams)
	}
	if err := c.Publisher.Validate(); err != nil {
		return fmt.Errorf("publisher: %w", err)
	}
	return nil
}
