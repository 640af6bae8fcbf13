package problem

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestErrorTravelsThroughWrapping(t *testing.T) {
	cause := io.ErrUnexpectedEOF
	err := fmt.Errorf("admit: %w", Unavailable(RecordUnavailable).With("log").Because(cause))

	got := Of(err)
	if got.Kind != KindUnavailable || got.Key != RecordUnavailable || got.Param != "log" {
		t.Fatalf("Of(%v) = %+v", err, got)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	if !strings.Contains(err.Error(), cause.Error()) {
		t.Errorf("program log does not name the cause: %q", err)
	}
}

func TestOf(t *testing.T) {
	if Of(nil) != nil {
		t.Error("Of(nil) is not nil")
	}
	got := Of(io.EOF)
	if got.Kind != KindInternal || got.Key != "internal" || !errors.Is(got, io.EOF) {
		t.Errorf("Of(io.EOF) = %+v", got)
	}
}

func TestCode(t *testing.T) {
	narrow := Invalid("invalid_request.model_missing")
	if narrow.Code() != InvalidRequest {
		t.Errorf("Code() = %q", narrow.Code())
	}
	if narrow.MessageKey() != "problem.invalid_request.model_missing" {
		t.Errorf("MessageKey() = %q", narrow.MessageKey())
	}
	if !errors.Is(narrow, Invalid(InvalidRequest)) {
		t.Error("a narrower key is not recognised by its code")
	}
	if errors.Is(Invalid(InvalidRequest), narrow) {
		t.Error("a bare code is taken for a narrower key")
	}
}

func TestCopies(t *testing.T) {
	base := Blocked(PolicyBlocked, "rule", "P-1")
	_ = base.With("messages.0").Because(io.EOF)
	if base.Param != "" || errors.Unwrap(base) != nil {
		t.Error("With or Because changed the original")
	}
}

func TestKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for k := KindInternal; k <= KindUpstream; k++ {
		if s := k.String(); seen[s] {
			t.Errorf("kind %d: name %q twice", k, s)
		} else {
			seen[s] = true
		}
	}
	if len(seen) != 11 {
		t.Errorf("%d kinds", len(seen))
	}
}
