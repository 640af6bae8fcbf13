// Package problem holds errors that are meant for people: what went wrong as a kind, the key of the sentence that says
// it, and the sentence's arguments. The words live in package lang under "problem.<key>", status codes live in the
// packages that speak HTTP (wire/*, web, api). A problem may wrap the technical cause; the cause is for the program log
// and is never shown to a caller.
package problem

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is the class of a problem. Surfaces translate it to a status code or an exit code.
type Kind int

// The kinds of problems.
const (
	KindInternal        Kind = iota // our mistake or an unexpected failure
	KindInvalid                     // what was sent cannot be used as it is
	KindUnauthenticated             // who is asking is not known
	KindForbidden                   // known, but not allowed to do this
	KindBlocked                     // a rule, a stop or a missing release refuses it
	KindNotFound                    // does not exist, or not for this person
	KindConflict                    // somebody else was faster, or it is already done
	KindTooLarge                    // more bytes than allowed
	KindTooMany                     // too often; Retry-After says when again
	KindUnavailable                 // cannot be done now, for instance because the log cannot be written
	KindUpstream                    // the provider gave no usable answer
	KindMethod                      // the address does not know this method
)

// String returns the kind's name for logs and metrics.
func (k Kind) String() string {
	switch k {
	case KindInvalid:
		return "invalid"
	case KindUnauthenticated:
		return "unauthenticated"
	case KindForbidden:
		return "forbidden"
	case KindBlocked:
		return "blocked"
	case KindNotFound:
		return "not_found"
	case KindConflict:
		return "conflict"
	case KindTooLarge:
		return "too_large"
	case KindTooMany:
		return "too_many"
	case KindUnavailable:
		return "unavailable"
	case KindUpstream:
		return "upstream"
	case KindMethod:
		return "method"
	default:
		return "internal"
	}
}

// The refusal codes of the gateway (docs: contract, section HTTP) that exist so far. A key is a code, or a code followed
// by a dot and a narrower reason: "invalid_request.model_missing" has the code "invalid_request".
const (
	InvalidAPIKey      = "invalid_api_key"
	PolicyBlocked      = "policy_blocked"        // args: rule
	GuardFailed        = "policy_blocked.failed" // a guard could not run, so the call is refused
	SystemStopped      = "system_stopped"        // args: system
	SystemUnknown      = "system_unknown"        // args: system
	ModelNotFound      = "model_not_found"       // args: model, system
	ModelNotEvidenced  = "model_not_evidenced"   // args: model
	RegionNotAllowed   = "region_not_allowed"    // args: model, region
	InvalidRequest     = "invalid_request"
	PartNotInspectable = "part_not_inspectable" // args: part
	BodyTooLarge       = "body_too_large"       // args: limit (lang.Bytes)
	RateLimited        = "rate_limited"         // args: seconds
	RecordUnavailable  = "record_unavailable"
)

// Keys of problems of the administration.
const (
	AccessExists   = "access_exists"    // args: access
	AccessUnknown  = "access_unknown"   // args: access
	AccessRevoked  = "access_revoked"   // args: access
	SystemNotFound = "system_not_found" // args: system; for people who name a system, unlike SystemUnknown
	StopScope      = "stop_scope"       // args: scope
)

// Keys of problems that only pages have.
const (
	PageNotFound    = "not_found"
	EntryNotFound   = "entry_not_found" // args: id, newest
	RoleForbidden   = "forbidden"
	CrossSite       = "cross_site"
	SignInWrong     = "sign_in_wrong"
	SignInPaused    = "sign_in_paused" // args: seconds
	AccountEnded    = "account_ended"  // args: date, in words
	LinkUsed        = "link_used"
	PasswordShort   = "password_short" // args: n
	PasswordDiffers = "password_differs"
	LogRefuses      = "log_refuses"
)

// Error is a problem that a person can act on.
type Error struct {
	Kind  Kind
	Key   string // without the prefix "problem."; its first part is the refusal code
	Args  []any  // name, value, name, value …: the arguments of the sentence; nothing secret and no content of a call
	Param string // what is missing or wrong, for programs: a field name or an item's id; may be empty
	cause error
}

// New returns a problem of the given kind. args are pairs of name and value for the sentence.
func New(kind Kind, key string, args ...any) *Error {
	return &Error{Kind: kind, Key: key, Args: args}
}

// Invalid says that what was sent cannot be used as it is.
func Invalid(key string, args ...any) *Error { return New(KindInvalid, key, args...) }

// Unauthenticated says that who is asking is not known.
func Unauthenticated(key string, args ...any) *Error { return New(KindUnauthenticated, key, args...) }

// Forbidden says that a known person or Zugang may not do this.
func Forbidden(key string, args ...any) *Error { return New(KindForbidden, key, args...) }

// Blocked says that a rule, a stop or a missing release refuses this.
func Blocked(key string, args ...any) *Error { return New(KindBlocked, key, args...) }

// NotFound says that something does not exist, or not for the one who asks.
func NotFound(key string, args ...any) *Error { return New(KindNotFound, key, args...) }

// Conflict says that the state has changed in between.
func Conflict(key string, args ...any) *Error { return New(KindConflict, key, args...) }

// TooLarge says that more bytes came than are allowed.
func TooLarge(key string, args ...any) *Error { return New(KindTooLarge, key, args...) }

// TooMany says that requests came too often.
func TooMany(key string, args ...any) *Error { return New(KindTooMany, key, args...) }

// Unavailable says that this cannot be done now, and may work later.
func Unavailable(key string, args ...any) *Error { return New(KindUnavailable, key, args...) }

// Internal wraps an unexpected failure. People read that it was our mistake, and the id under which it was logged.
func Internal(cause error) *Error { return New(KindInternal, "internal").Because(cause) }

// With returns a copy that names the missing or wrong item.
func (e *Error) With(param string) *Error {
	c := *e
	c.Param = param
	return &c
}

// Because returns a copy that wraps cause. The cause is logged and never shown.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Code returns the refusal code: the key up to its first dot.
func (e *Error) Code() string {
	code, _, _ := strings.Cut(e.Key, ".")
	return code
}

// MessageKey returns the key of the sentence in package lang.
func (e *Error) MessageKey() string { return "problem." + e.Key }

// Error describes the problem for the program log, cause included. It is not the sentence for people.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Kind, e.Key)
	if e.Param != "" {
		fmt.Fprintf(&b, " (%s)", e.Param)
	}
	if e.cause != nil {
		fmt.Fprintf(&b, ": %v", e.cause)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is a problem with the same key, or with the same code when target's key is a bare code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && (t.Key == e.Key || t.Key == e.Code())
}

// Of returns the problem inside err. An error that holds none becomes an internal problem; nil stays nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Internal(err)
}
