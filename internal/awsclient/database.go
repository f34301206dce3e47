package awsclient

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// emptyHash is the SHA-256 of nothing.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// DatabaseToken is a password for user on a database of Amazon RDS at address (host:port): a signed request that is never
// sent, good for 15 minutes. Made here as feature/rds/auth of the SDK makes it, which is a module of its own for this.
func (c *Clients) DatabaseToken(ctx context.Context, address, user string) (string, error) {
	credentials, err := c.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return "", fmt.Errorf("awsclient: credentials for the database's token: %w", err)
	}
	query := url.Values{"Action": {"connect"}, "DBUser": {user}, "X-Amz-Expires": {"900"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/?"+query.Encode(), http.NoBody)
	if err != nil {
		return "", fmt.Errorf("awsclient: token for %s: %w", address, err)
	}
	signed, _, err := v4.NewSigner().PresignHTTP(ctx, credentials, req, emptyHash, "rds-db", c.Region(), time.Now())
	if err != nil {
		return "", fmt.Errorf("awsclient: sign the database's token: %w", err)
	}
	return strings.TrimPrefix(signed, "https://"), nil
}
