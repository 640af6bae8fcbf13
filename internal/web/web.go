// Package web is the toolkit of the interface without any domain: embedded static files, the template engine with its
// layout and parts, the frame around a page, preferences in cookies, a message after a redirect, error pages, security
// headers and the guard against cross-site requests. Package ui fills it with pages.
package web

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/problem"
)

// Config is what the toolkit needs to know about the installation.
type Config struct {
	Zone   *time.Location // for all times that people read
	Secure bool           // the site is reached by HTTPS: cookies get Secure and the prefix __Host-
	Log    *slog.Logger   // receives failures; never content of a page
}

// contentPolicy allows what this package serves itself and nothing else.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; font-src 'self'; img-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Headers sets the security headers of every answer. secure adds Strict-Transport-Security.
func Headers(secure bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		if secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// SameOrigin refuses requests that change something and come from another site. Reading is always allowed, so no GET
// may change anything. refuse answers what is refused.
func SameOrigin(next, refuse http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(refuse)
	return guard.Handler(next)
}

// Status returns the HTTP status of a problem's kind.
func Status(k problem.Kind) int {
	switch k {
	case problem.KindInvalid:
		return http.StatusBadRequest
	case problem.KindUnauthenticated:
		return http.StatusUnauthorized
	case problem.KindForbidden, problem.KindBlocked:
		return http.StatusForbidden
	case problem.KindNotFound:
		return http.StatusNotFound
	case problem.KindConflict:
		return http.StatusConflict
	case problem.KindTooLarge:
		return http.StatusRequestEntityTooLarge
	case problem.KindTooMany:
		return http.StatusTooManyRequests
	case problem.KindUpstream:
		return http.StatusBadGateway
	case problem.KindMethod:
		return http.StatusMethodNotAllowed
	case problem.KindUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// Words returns the sentence that says err to a person.
func Words(l lang.Locale, err error) string {
	p := problem.Of(err)
	if p == nil {
		return ""
	}
	return l.T(p.MessageKey(), p.Args...)
}
