// Package awsclient makes the AWS clients that the adapters work with, meters what they would be
// billed, and provisions the resources that they use.
package awsclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/prometheus/client_golang/prometheus"
)

// Config tunes the clients. The zero value has the defaults.
type Config struct {
	// MaxAttempts bounds how often a request is sent, the first time included; default 4.
	MaxAttempts int
	// MaxConns bounds the connections to one host, and so the requests under way; default 128.
	MaxConns int
	// ConnectTimeout bounds TCP connect and TLS handshake, each; default 3 s.
	ConnectTimeout time.Duration
	// ResponseTimeout bounds the wait for a response's header. It has to exceed SQS's longest
	// poll, 20 s; default 30 s.
	ResponseTimeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.MaxAttempts == 0 {
		c.MaxAttempts = 4
	}
	if c.MaxConns == 0 {
		c.MaxConns = 128
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 3 * time.Second
	}
	if c.ResponseTimeout == 0 {
		c.ResponseTimeout = 30 * time.Second
	}
	return c
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.MaxAttempts < 1 || c.MaxAttempts > 20:
		return fmt.Errorf("awsclient: MaxAttempts is %d, want 1 to 20", c.MaxAttempts)
	case c.MaxConns < 1:
		return fmt.Errorf("awsclient: MaxConns is %d, want at least 1", c.MaxConns)
	case c.ConnectTimeout < 0:
		return fmt.Errorf("awsclient: ConnectTimeout is %v, want a positive time", c.ConnectTimeout)
	case c.ResponseTimeout <= 20*time.Second:
		return fmt.Errorf("awsclient: ResponseTimeout is %v, want more than 20s, the longest poll", c.ResponseTimeout)
	}
	return nil
}

// Clients makes the services' clients, which share connections, credentials and the meter.
// It is safe for concurrent use.
type Clients struct {
	// Meter counts what the clients do.
	Meter *Meter

	cfg       aws.Config
	pathStyle bool
	transport *http.Transport
}

// Load reads region, credentials and endpoints the way every AWS tool does: from the environment
// (AWS_REGION, AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3, …), the shared files, or the
// machine's role. With an endpoint of its own, S3 is addressed path-style, since http://bucket.127.0.0.1
// does not resolve. A registerer gets the meter's metrics; nil leaves them out.
func Load(ctx context.Context, c Config, reg prometheus.Registerer) (*Clients, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithHTTPClient(awshttp.NewBuildableClient()),
		config.WithRetryMode(aws.RetryModeStandard),
		config.WithRetryMaxAttempts(c.MaxAttempts))
	if err != nil {
		return nil, fmt.Errorf("awsclient: load configuration: %w", err)
	}
	if cfg.Region == "" {
		return nil, errors.New("awsclient: no region: set AWS_REGION, for example to eu-central-1")
	}
	// The loaded client has the certificates of AWS_CA_BUNDLE; as a plain one its connections can be closed.
	loaded, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		return nil, fmt.Errorf("awsclient: the SDK made a %T as its HTTP client", cfg.HTTPClient)
	}
	transport := loaded.GetTransport()
	c.tune(transport)
	cfg.HTTPClient = &http.Client{Transport: transport, CheckRedirect: noRedirect}
	meter := newMeter()
	if reg != nil {
		if err := reg.Register(meter); err != nil {
			return nil, fmt.Errorf("awsclient: register metrics: %w", err)
		}
	}
	cfg.APIOptions = append(cfg.APIOptions, meter.install)
	return &Clients{
		Meter:     meter,
		cfg:       cfg,
		pathStyle: cfg.BaseEndpoint != nil || os.Getenv("AWS_ENDPOINT_URL_S3") != "",
		transport: transport,
	}, nil
}

func (c Config) tune(t *http.Transport) {
	t.DialContext = (&net.Dialer{Timeout: c.ConnectTimeout, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = c.ConnectTimeout
	t.ResponseHeaderTimeout = c.ResponseTimeout
	t.MaxConnsPerHost = c.MaxConns
	t.MaxIdleConnsPerHost = c.MaxConns
	t.MaxIdleConns = 3 * c.MaxConns
	t.IdleConnTimeout = 50 * time.Second // below the minute after which AWS closes them
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Region is the region that requests go to.
func (c *Clients) Region() string { return c.cfg.Region }

// SQS is a client of Amazon SQS.
func (c *Clients) SQS() *sqs.Client { return sqs.NewFromConfig(c.cfg) }

// S3 is a client of Amazon S3.
func (c *Clients) S3() *s3.Client {
	return s3.NewFromConfig(c.cfg, func(o *s3.Options) { o.UsePathStyle = c.pathStyle })
}

// DynamoDB is a client of Amazon DynamoDB.
func (c *Clients) DynamoDB() *dynamodb.Client { return dynamodb.NewFromConfig(c.cfg) }

// Close closes idle connections. The clients may still be used.
func (c *Clients) Close() { c.transport.CloseIdleConnections() }
