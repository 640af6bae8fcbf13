package app

import (
	"context"
	"net"

	"golang.org/x/sys/unix"
)

// peerContext notes the user id at the other end of a unix socket, as the kernel knows it.
func peerContext(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return ctx
	}
	err = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			ctx = context.WithValue(ctx, peerKey{}, int(cred.Uid)) //nolint:forbidigo // net/http has no other way from a connection to its requests
		}
	})
	if err != nil { // without a user id the request is refused
		return ctx
	}
	return ctx
}
