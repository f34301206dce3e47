package tile

import (
	"net/http"
	"net/netip"
	"strings"
)

// ConnectionOf names the host at the other end of a request's connection. Of IPv6 that is its /64, all
// of which one host may have.
func ConnectionOf(r *http.Request) string { return hostOf(r.RemoteAddr) }

// ForwardedOf names the host that the proxy in front of this service saw: the last address of
// X-Forwarded-For, which that proxy appended; what is before it the client may have made up. It is
// ConnectionOf where there is none. Only for a service that can't be reached except through one proxy
// that appends, as an AWS load balancer does.
func ForwardedOf(r *http.Request) string {
	all := r.Header.Values("X-Forwarded-For")
	if len(all) == 0 {
		return ConnectionOf(r)
	}
	last := all[len(all)-1]
	return hostOf(strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:]))
}

// hostOf is an address, with or without a port, without what one host may choose of it. What is no address is one
// host with all else that is none, so that nobody gets more by sending some.
func hostOf(text string) string {
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		port, err := netip.ParseAddrPort(text)
		if err != nil {
			return ""
		}
		a = port.Addr()
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil { // cannot be: an IPv6 address has 128 bits
		return ""
	}
	return p.String()
}
