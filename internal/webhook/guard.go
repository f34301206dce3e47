package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
)

// Guard says where deliveries may go: by default to public addresses over HTTPS only, so that who may subscribe can't reach
// what only this server can (server-side request forgery). The zero value is the strict one.
type Guard struct {
	AllowHTTP    bool // plain HTTP too
	AllowPrivate bool // any address: for development
}

// errAddress is wrapped when an address is denied.
var errAddress = errors.New("the address is not a public one")

// CheckURL tells what is wrong with a webhook's URL. Names are resolved only when a delivery dials: see Control.
func (g Guard) CheckURL(raw string) (*url.URL, error) {
	if len(raw) > MaxURL {
		return nil, fmt.Errorf("it is longer than %d bytes", MaxURL)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("it is no URL")
	}
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !g.AllowHTTP):
		return nil, errors.New("its scheme is not https")
	case u.Hostname() == "":
		return nil, errors.New("it has no host")
	case u.User != nil:
		return nil, errors.New("it holds a user name or password")
	case strings.Contains(raw, "#"):
		return nil, errors.New("it has a fragment")
	case strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return nil, errors.New("it has blanks or control characters")
	}
	if p := u.Port(); p != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return nil, errors.New("its port is not from 1 to 65535")
		}
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		if err := g.check(addr); err != nil {
			return nil, err
		}
	} else if !g.AllowPrivate && (host == "localhost" || strings.HasSuffix(host, ".localhost")) {
		return nil, errAddress
	}
	return u, nil
}

// Control is a net.Dialer's. It sees the address that is about to be connected to, after names are resolved: so neither a name with
// a private address, nor one that changes between two look-ups (DNS rebinding), gets past it.
func (g Guard) Control(network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("network %s is not TCP", network)
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &net.AddrError{Err: "not an address", Addr: address}
	}
	return g.check(ap.Addr())
}

func (g Guard) check(a netip.Addr) error {
	if g.AllowPrivate {
		return nil
	}
	if !public(a) {
		return fmt.Errorf("%s: %w", a.WithZone(""), errAddress)
	}
	return nil
}

// public reports whether an address is one of the open internet by IANA's registries of special-purpose addresses (RFC 6890).
// Of IPv6 all but global unicast (2000::/3) is denied, and of that what embeds an IPv4 address.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if a.Zone() != "" || !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	denied := special6[:]
	if a.Is4() {
		denied = special4[:]
	} else if !global6.Contains(a) {
		return false
	}
	for _, p := range denied {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

var (
	global6  = netip.MustParsePrefix("2000::/3")
	special4 = [...]netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),        // this network
		netip.MustParsePrefix("100.64.0.0/10"),    // carriers' NAT; some clouds' metadata
		netip.MustParsePrefix("192.0.0.0/24"),     // protocol assignments
		netip.MustParsePrefix("192.0.2.0/24"),     // documentation
		netip.MustParsePrefix("192.88.99.0/24"),   // 6to4 relays
		netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks
		netip.MustParsePrefix("198.51.100.0/24"),  // documentation
		netip.MustParsePrefix("203.0.113.0/24"),   // documentation
		netip.MustParsePrefix("240.0.0.0/4"),      // reserved
		netip.MustParsePrefix("168.63.129.16/32"), // Azure's platform, reachable from inside only
	}
	special6 = [...]netip.Prefix{
		netip.MustParsePrefix("2001::/23"),     // protocol assignments; Teredo
		netip.MustParsePrefix("2001:db8::/32"), // documentation
		netip.MustParsePrefix("2002::/16"),     // 6to4
		netip.MustParsePrefix("3fff::/20"),     // documentation
	}
)
