package webhook_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carasso/carasso/internal/webhook"
)

func TestGuardDeniesAddresses(t *testing.T) {
	for _, tt := range []struct {
		addr string
		ok   bool
	}{
		{"1.1.1.1", true},
		{"93.184.215.14", true},
		{"2606:2800:21f:cb07:6820:80da:af6b:8b2c", true},
		{"172.32.0.1", true},
		{"100.128.0.1", true},
		{"127.0.0.1", false},
		{"127.255.255.254", false},
		{"0.0.0.0", false},
		{"0.1.2.3", false},
		{"10.0.0.1", false},
		{"172.16.0.1", false},
		{"172.31.255.255", false},
		{"192.168.1.1", false},
		{"169.254.169.254", false},
		{"100.64.0.1", false},
		{"100.100.100.200", false},
		{"192.0.0.192", false},
		{"192.0.2.1", false},
		{"198.18.0.1", false},
		{"198.51.100.1", false},
		{"203.0.113.1", false},
		{"224.0.0.1", false},
		{"239.255.255.250", false},
		{"240.0.0.1", false},
		{"255.255.255.255", false},
		{"168.63.129.16", false},
		{"192.88.99.1", false},
		{"::", false},
		{"::1", false},
		{"fe80::1", false},
		{"fe80::1%eth0", false},
		{"fc00::1", false},
		{"fd00:ec2::254", false},
		{"ff02::1", false},
		{"fec0::1", false},
		{"::ffff:127.0.0.1", false},
		{"::ffff:10.0.0.1", false},
		{"::ffff:169.254.169.254", false},
		{"::ffff:1.1.1.1", true},
		{"::127.0.0.1", false},
		{"64:ff9b::7f00:1", false},
		{"64:ff9b:1::1", false},
		{"2002:7f00:1::", false},
		{"2001:0:7f00:1::", false},
		{"2001:db8::1", false},
		{"3fff::1", false},
		{"100::1", false},
		{"5f00::1", false},
	} {
		network := "tcp4"
		if strings.Contains(tt.addr, ":") {
			network = "tcp6"
		}
		address := net.JoinHostPort(tt.addr, "443")
		if err := (webhook.Guard{}).Control(network, address, nil); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.addr, err)
		}
		if err := (webhook.Guard{AllowPrivate: true}).Control(network, address, nil); err != nil {
			t.Errorf("%s, for development: %v", tt.addr, err)
		}
	}
	for network, address := range map[string]string{"udp4": "1.1.1.1:53", "unix": "/run/x", "tcp4": "example.org:443"} {
		if err := (webhook.Guard{}).Control(network, address, nil); err == nil {
			t.Errorf("%s %s is let through", network, address)
		}
	}
}

// A name that leads to a private address is found out when it is dialled, whatever it led to before.
func TestGuardSeesWhatNamesResolveTo(t *testing.T) {
	asked := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer srv.Close()
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	dialer := net.Dialer{Control: webhook.Guard{}.Control}
	for _, host := range []string{"localhost", "127.0.0.1", "::ffff:127.0.0.1", "::1", "0"} {
		conn, err := dialer.DialContext(context.Background(), "tcp", net.JoinHostPort(host, port))
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s is reached", host)
		}
	}
	if asked {
		t.Error("the server was asked")
	}
}

func TestCheckURL(t *testing.T) {
	strict, http, open := webhook.Guard{}, webhook.Guard{AllowHTTP: true}, webhook.Guard{AllowHTTP: true, AllowPrivate: true}
	for _, tt := range []struct {
		url   string
		guard webhook.Guard
		want  string // in the error; "": none
	}{
		{"https://example.org", strict, ""},
		{"https://example.org:8443/a?b=c", strict, ""},
		{"https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", strict, ""},
		{"http://example.org", strict, "https"},
		{"http://example.org", http, ""},
		{"ftp://example.org", open, "https"},
		{"//example.org", strict, "https"},
		{"", strict, "https"},
		{"https://", strict, "no host"},
		{"https://:443/", strict, "no host"},
		{"https://u:p@example.org", strict, "user name"},
		{"https://example.org/#x", strict, "fragment"},
		{"https://example.org/#", strict, "fragment"},
		{"https://example.org/\x00", strict, "no URL"},
		{"https://exa mple.org", strict, "no URL"},
		{"https://example.org:0/", strict, "port"},
		{"https://example.org:70000/", strict, "port"},
		{"https://example.org:/", strict, "port"},
		{"https://127.0.0.1/", strict, "public"},
		{"https://[::1]/", strict, "public"},
		{"https://[::ffff:10.0.0.1]/", strict, "public"},
		{"https://169.254.169.254/", strict, "public"},
		{"https://localhost/", strict, "public"},
		{"https://LOCALHOST./", strict, "public"},
		{"https://a.localhost/", strict, "public"},
		{"http://127.0.0.1:9000/", http, "public"},
		{"http://localhost:9000/", open, ""},
		{"http://[::1]:9000/", open, ""},
		{"https://example.org/" + strings.Repeat("x", webhook.MaxURL), strict, "longer"},
		{"https://[fe80::1%25eth0]/", strict, "public"},
	} {
		_, err := tt.guard.CheckURL(tt.url)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60s with %+v: %v, want %q", tt.url, tt.guard, err, tt.want)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	f.Add("https://example.org:1/a?b")
	f.Add("https://[::ffff:7f00:1]")
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := webhook.Guard{}.CheckURL(raw)
		if err == nil && (u.Scheme != "https" || u.Hostname() == "" || u.User != nil) {
			t.Errorf("%q is let through", raw)
		}
	})
}
