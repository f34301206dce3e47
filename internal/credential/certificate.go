package credential

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"
)

// URI names of a client certificate's subject (RFC 5280, 4.2.1.6).
const (
	vehicleURN = "urn:carasso:vehicle:"
	gatewayURN = "urn:carasso:gateway:"
)

// fromTLS is the identity in the verified client certificate: the one URI SAN that
// starts with urn:carasso:. An unverified certificate proves nothing.
func fromTLS(state *tls.ConnectionState) (Identity, error) {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return Identity{}, fmt.Errorf("%w: no bearer token and no verified client certificate", ErrInvalid)
	}
	var id Identity
	for _, u := range state.VerifiedChains[0][0].URIs {
		found, ok, err := fromURN(u.String())
		switch {
		case err != nil:
			return Identity{}, err
		case !ok:
			continue
		case id.Kind != KindNone:
			return Identity{}, fmt.Errorf("%w: the client certificate names several subjects", ErrInvalid)
		}
		id = found
	}
	if id.Kind == KindNone {
		return Identity{}, fmt.Errorf("%w: the client certificate names no vehicle or gateway", ErrInvalid)
	}
	return id, nil
}

func fromURN(urn string) (id Identity, ok bool, err error) {
	var escaped string
	if escaped, ok = strings.CutPrefix(urn, vehicleURN); ok {
		id.Kind = KindVehicle
	} else if escaped, ok = strings.CutPrefix(urn, gatewayURN); ok {
		id.Kind = KindGateway
	} else {
		return Identity{}, false, nil
	}
	if id.Subject, err = url.PathUnescape(escaped); err != nil {
		return Identity{}, false, fmt.Errorf("%w: the client certificate's name is not a URN", ErrInvalid)
	}
	if err := id.validate(); err != nil {
		return Identity{}, false, fmt.Errorf("%w: client certificate: %s", ErrInvalid, err.Error())
	}
	return id, true, nil
}

// VehicleURN is the URI SAN of a vehicle's client certificate.
func VehicleURN(id string) *url.URL { return urn(vehicleURN, id) }

// GatewayURN is the URI SAN of a gateway's client certificate.
func GatewayURN(name string) *url.URL { return urn(gatewayURN, name) }

func urn(prefix, name string) *url.URL {
	opaque := strings.TrimPrefix(prefix, "urn:") + url.PathEscape(name)
	return &url.URL{Scheme: "urn", Opaque: opaque}
}
