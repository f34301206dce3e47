package problem

import "net/http"

// Kind is a class of problems. Its slug and status are part of the public contract
// and never change.
type Kind uint8

// The kinds.
const (
	Internal           Kind = iota // 500, nothing that the client could do
	InvalidBatch                   // 400, the batch breaks the wire contract
	InvalidRequest                 // 400, parameters or body of any other request
	Unauthorized                   // 401, no credential or one that does not verify
	Forbidden                      // 403, the credential does not allow this
	NotFound                       // 404
	MethodNotAllowed               // 405
	RequestTimeout                 // 408, the body did not arrive in time
	Conflict                       // 409, the state of the resource does not allow this
	TooLarge                       // 413, before or after decompression
	UnsupportedMedia               // 415, media type or content encoding
	OutsideTimeWindow              // 422, too old or too far in the future
	RateLimited                    // 429, this vehicle sends too often
	Overloaded                     // 503, too much is in flight
	QueueUnavailable               // 503, the queue does not accept
	Draining                       // 503, this instance is shutting down
	ServiceUnavailable             // 503, any other dependency
	kinds
)

// String is the slug: the last part of the type URI.
func (k Kind) String() string { return k.row().slug }

// Type is the stable URI that clients branch on.
func (k Kind) Type() string { return Base + k.row().slug }

// Title is the same short text for every problem of the kind.
func (k Kind) Title() string { return k.row().title }

// Status is the HTTP status code.
func (k Kind) Status() int { return k.row().status }

type row struct {
	slug   string
	title  string
	status int
}

func (k Kind) row() row {
	if k >= kinds {
		k = Internal
	}
	return rows[k]
}

var rows = [kinds]row{
	Internal:           {"internal", "Internal error", http.StatusInternalServerError},
	InvalidBatch:       {"invalid-batch", "The batch is invalid", http.StatusBadRequest},
	InvalidRequest:     {"invalid-request", "The request is invalid", http.StatusBadRequest},
	Unauthorized:       {"unauthorized", "A valid credential is required", http.StatusUnauthorized},
	Forbidden:          {"forbidden", "The credential does not allow this", http.StatusForbidden},
	NotFound:           {"not-found", "There is no such resource", http.StatusNotFound},
	MethodNotAllowed:   {"method-not-allowed", "The resource does not support this method", http.StatusMethodNotAllowed},
	RequestTimeout:     {"request-timeout", "The request body did not arrive in time", http.StatusRequestTimeout},
	Conflict:           {"conflict", "The state of the resource does not allow this", http.StatusConflict},
	TooLarge:           {"too-large", "The request body is too large", http.StatusRequestEntityTooLarge},
	UnsupportedMedia:   {"unsupported-media", "The media type or content encoding is not supported", http.StatusUnsupportedMediaType},
	OutsideTimeWindow:  {"outside-time-window", "The batch is outside the accepted time window", http.StatusUnprocessableEntity},
	RateLimited:        {"rate-limited", "This vehicle sends too often", http.StatusTooManyRequests},
	Overloaded:         {"overloaded", "Too much is in flight", http.StatusServiceUnavailable},
	QueueUnavailable:   {"queue-unavailable", "The queue does not accept batches now", http.StatusServiceUnavailable},
	Draining:           {"draining", "This instance is shutting down", http.StatusServiceUnavailable},
	ServiceUnavailable: {"service-unavailable", "The service cannot answer now", http.StatusServiceUnavailable},
}
