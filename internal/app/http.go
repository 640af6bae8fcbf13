package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/internal/config"
)

// Limits of every listener (security.md section 3). There is no write timeout: answers of models take minutes.
const (
	headerTimeout = 5 * time.Second
	headerBytes   = 64 << 10
	idleTimeout   = 120 * time.Second
	shutdownAfter = 20 * time.Second
)

// Handler is everything that the public listener serves. pages serves what is not below /v1.
func (a *App) Handler(pages http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", a.Gateway.Chat)
	mux.HandleFunc("GET /v1/models", a.Gateway.Models)
	mux.HandleFunc("/v1/chat/completions", a.Gateway.NotAllowed("POST"))
	mux.HandleFunc("/v1/models", a.Gateway.NotAllowed("GET, HEAD"))
	mux.HandleFunc("/v1/", a.Gateway.NotFound)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.ready)
	if metricsAllowed(a.Config) {
		mux.Handle("GET /metrics", a.metrics.handler())
	}
	mux.Handle("/", pages)
	return hostList(allowedHosts(a.Config), mux)
}

// metricsAllowed: figures of the inside are served on a loopback listener only, and not where a proxy makes it public.
// They are always on the admin socket.
func metricsAllowed(c *config.Server) bool {
	host, _, err := net.SplitHostPort(c.Listen)
	ip := net.ParseIP(host)
	return err == nil && !c.Proxy && (host == "localhost" || (ip != nil && ip.IsLoopback()))
}

func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	_, err := a.Log.RefreshEpoch(ctx)
	if err != nil || a.Log.Refused() != "" {
		http.Error(w, "record_unavailable", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// allowedHosts are the values of the Host header that this installation answers to. A page of another name that was made
// to resolve to this address (DNS rebinding) gets nothing.
func allowedHosts(c *config.Server) []string {
	hosts := []string{c.Listen}
	if _, port, err := net.SplitHostPort(c.Listen); err == nil {
		hosts = append(hosts, "localhost:"+port, "127.0.0.1:"+port, "[::1]:"+port)
		if port == "80" || port == "443" {
			hosts = append(hosts, "localhost", "127.0.0.1", "[::1]")
		}
	}
	if u, err := url.Parse(c.PublicURL); err == nil {
		hosts = append(hosts, u.Host)
		if u.Port() == "" {
			hosts = append(hosts, u.Host+":"+map[string]string{"http": "80", "https": "443"}[u.Scheme])
		}
	}
	for i := range hosts {
		hosts[i] = strings.ToLower(hosts[i])
	}
	return hosts
}

func hostList(hosts []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(hosts, strings.ToLower(r.Host)) {
			http.Error(w, "This installation does not answer to this name (Host header). / Diese Installation antwortet nicht auf diesen Namen (Host). Set public_url.", http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Listen opens the public listener.
func (a *App) Listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", a.Config.Listen)
	if err != nil || a.Config.TLSCert == "" {
		return l, err
	}
	cert, err := tls.LoadX509KeyPair(a.Config.TLSCert, a.Config.TLSKey)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("tls: %w", err)
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}), nil
}

// Serve answers on the listener and on the admin socket, and does the background work, until ctx ends. Calls in flight may
// finish for a while.
func (a *App) Serve(ctx context.Context, l net.Listener, pages http.Handler) error {
	admin, err := a.listenAdmin(ctx)
	if err != nil {
		l.Close()
		return err
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	worked := make(chan struct{})
	go func() { a.Run(work); close(worked) }()
	serve := func(h http.Handler) *http.Server {
		return &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytes, ErrorLog: newErrorLog(a.Program), ConnContext: peerContext}
	}
	public, private := serve(a.Handler(pages)), serve(a.adminHandler())
	failed := make(chan error, 2)
	go func() { failed <- public.Serve(l) }()
	go func() { failed <- private.Serve(admin) }()
	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownAfter)
	defer cancel()
	err = errors.Join(err, public.Shutdown(end), private.Shutdown(end))
	stop()
	<-worked
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
