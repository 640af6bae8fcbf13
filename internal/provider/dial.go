package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// errAddress means that a name led to an address that must not be dialled.
var errAddress = errors.New("the address is not allowed for this provider")

// NewTransport is the one place where connections to the outside are made. It connects to the host and port of base only;
// the address that is really dialled is checked, so that a name cannot lead somewhere else (DNS rebinding). Loopback and
// private ranges are allowed only where local is set; link-local addresses, among them those of cloud metadata, never are.
func NewTransport(base *url.URL, local bool) *http.Transport {
	want := hostPort(base)
	d := &net.Dialer{
		Timeout: dialTimeout,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return checkAddress(address, local)
		},
	}
	return &http.Transport{
		Proxy: nil,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != want {
				return nil, fmt.Errorf("%w: %s is not registered", errAddress, addr)
			}
			return d.DialContext(ctx, network, addr)
		},
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: firstTimeout,
		MaxIdleConns:          maxIdle,
		MaxIdleConnsPerHost:   maxIdle,
		IdleConnTimeout:       90 * time.Second,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true,
		ReadBufferSize:        16 << 10,
	}
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443"}[u.Scheme]
		if port == "" {
			port = "80"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func checkAddress(address string, local bool) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q", errAddress, address)
	}
	ip := ap.Addr().Unmap()
	switch {
	case ip.Zone() != "" || ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() || ip.IsMulticast() || ip.IsUnspecified() || isMetadata(ip):
		return fmt.Errorf("%w: %s", errAddress, ip)
	case !local && (ip.IsLoopback() || ip.IsPrivate() || isShared(ip)):
		return fmt.Errorf("%w: %s is not public, and the provider's region is not local", errAddress, ip)
	}
	return nil
}

// isMetadata reports addresses of cloud metadata services outside the link-local range.
func isMetadata(ip netip.Addr) bool {
	return ip == netip.AddrFrom4([4]byte{168, 63, 129, 16}) || ip == netip.MustParseAddr("fd00:ec2::254")
}

// isShared reports addresses that are neither public nor private by name: carrier NAT (RFC 6598), "this network", and the
// NAT64 and 6to4 forms of IPv4 addresses.
func isShared(ip netip.Addr) bool {
	for _, p := range [...]netip.Prefix{
		netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("2002::/16"),
	} {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
