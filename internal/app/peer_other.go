//go:build !linux

package app

import (
	"context"
	"net"
)

// peerContext knows no user ids here, so the admin socket refuses everyone; the server runs on Linux only.
func peerContext(ctx context.Context, _ net.Conn) context.Context { return ctx }
