package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// keysFor is how long fetched keys serve: a key that its provider withdrew is refused after that.
	keysFor = 15 * time.Minute
	// fetchPause is the least time between two fetches. Anybody can send tokens with made-up key ids: they must not
	// make this program ask its provider more often. A new key is known that much later at the latest.
	fetchPause = 30 * time.Second
	// providerTimeout bounds one fetch of discovery document and keys.
	providerTimeout = 5 * time.Second
	// maxKeyDocument bounds each of them, in bytes; maxKeys the keys.
	maxKeyDocument = 256 << 10
	maxKeys        = 64
)

// keySet holds the keys of an OpenID Connect provider: found through its discovery document, fetched when first needed,
// again when they are old or a token names an unknown one, never more often than each fetchPause, and by one
// request at a time. When a fetch fails, keys that are not older than keysFor go on serving. Safe for concurrent use.
type keySet struct {
	issuer string
	client *http.Client
	now    func() time.Time

	turn chan struct{} // held by who fetches

	mu      sync.Mutex
	keys    []webKey
	fetched time.Time // when keys were
	tried   time.Time // when a fetch last began
	failed  error     // of that fetch
}

func newKeySet(cfg OIDCConfig) *keySet {
	return &keySet{issuer: cfg.Issuer, client: cfg.Client, now: cfg.Now, turn: make(chan struct{}, 1)}
}

// get is the key of that id and algorithm. Errors are errUnknownKey or wrap ErrUnavailable.
func (s *keySet) get(ctx context.Context, kid, alg string) (any, error) {
	if key, ok := s.find(kid, alg); ok {
		return key, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	if key, ok := s.find(kid, alg); ok { // another request fetched them meanwhile
		return key, nil
	}
	if err := s.fetch(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if key, ok := s.find(kid, alg); ok {
		return key, nil
	}
	return nil, errUnknownKey
}

// find looks among keys that are not too old. A token without a key id fits if only one key can have signed it.
func (s *keySet) find(kid, alg string) (any, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now().Sub(s.fetched) >= keysFor {
		return nil, false
	}
	var found any
	n := 0
	for _, k := range s.keys {
		if k.alg == alg && (k.id == kid || kid == "") {
			found = k.key
			n++
		}
	}
	return found, n == 1
}

// fetch renews the keys unless that was tried lately; then it repeats how that ended.
func (s *keySet) fetch(ctx context.Context) error {
	now := s.now()
	s.mu.Lock()
	if !s.tried.IsZero() && now.Sub(s.tried) < fetchPause {
		defer s.mu.Unlock()
		return s.failed
	}
	s.tried = now
	s.mu.Unlock()
	// Others wait for it: it does not end with this request.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), providerTimeout)
	defer cancel()
	keys, err := s.download(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed = err; err == nil {
		s.keys, s.fetched = keys, now
	}
	return err
}

func (s *keySet) download(ctx context.Context) ([]webKey, error) {
	var discovery struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := s.read(ctx, strings.TrimSuffix(s.issuer, "/")+"/.well-known/openid-configuration", &discovery); err != nil {
		return nil, err
	}
	if discovery.Issuer != s.issuer {
		return nil, fmt.Errorf("the discovery document is of issuer %q, expected %q", discovery.Issuer, s.issuer)
	}
	if err := checkIssuerURL(discovery.Keys); err != nil {
		return nil, fmt.Errorf("jwks_uri: %w", err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := s.read(ctx, discovery.Keys, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys, expected at most %d", len(set.Keys), maxKeys)
	}
	var keys []webKey
	for _, raw := range set.Keys {
		if k, ok := parseWebKey(raw); ok { // others are for encryption, or of a kind that is not accepted
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no usable key")
	}
	return keys, nil
}

func (s *keySet) read(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", url, err)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", url, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxKeyDocument+1))
	switch {
	case err != nil:
		return fmt.Errorf("fetch %s: %w", url, err)
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("fetch %s: status %d", url, res.StatusCode)
	case len(body) > maxKeyDocument:
		return fmt.Errorf("fetch %s: more than %d bytes", url, maxKeyDocument)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("fetch %s: %w", url, err)
	}
	return nil
}
