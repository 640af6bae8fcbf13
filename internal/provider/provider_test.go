package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/internal/register"
)

// TestAddresses: what may be dialled, by the address that is really connected.
func TestAddresses(t *testing.T) {
	ran := 0
	for address, want := range map[string]string{ // "public": allowed everywhere; "local": only for region local; "never"
		"93.184.216.34:443": "public", "[2606:2800:220:1::1]:443": "public",
		"127.0.0.1:80": "local", "127.8.8.8:80": "local", "[::1]:80": "local", "10.1.2.3:80": "local", "192.168.0.1:80": "local", "172.16.0.1:80": "local",
		"[::ffff:127.0.0.1]:80": "local", "[::ffff:10.0.0.1]:80": "local", "[fd12::1]:80": "local", "100.64.1.1:80": "local", "[64:ff9b::7f00:1]:80": "local",
		"169.254.169.254:80": "never", "[::ffff:169.254.169.254]:80": "never", "[fe80::1%eth0]:80": "never", "[fe80::1]:80": "never", "168.63.129.16:80": "never",
		"[fd00:ec2::254]:80": "never", "0.0.0.0:80": "never", "[::]:80": "never", "224.0.0.1:80": "never", "nonsense": "never",
	} {
		ran++
		public, local := checkAddress(address, false) == nil, checkAddress(address, true) == nil
		if public != (want == "public") || local != (want != "never") {
			t.Errorf("%s: public %v, local %v, want %s", address, public, local, want)
		}
	}
	if ran < 20 {
		t.Fatal("no case ran")
	}
	for _, odd := range []string{"http://0x7f000001/v1", "http://2130706433/v1", "http://017700000001/v1", "http://127.1/v1"} {
		if err := ask(t, register.Provider{ID: "p", Kind: register.KindOpenAI, BaseURL: odd, Region: "de"}); err == nil {
			t.Errorf("%s was reached", odd)
		}
	}
}

func ask(t *testing.T, p register.Provider) error {
	t.Helper()
	made, err := NewPool(func(string) (string, error) { return "sk-provider-key-0123456789", nil }, NewDemo(time.Now)).For(p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err = made.Complete(ctx, Call{Body: []byte(`{}`), Header: http.Header{}})
	return err
}

func serve(t *testing.T, f http.HandlerFunc) register.Provider {
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return register.Provider{ID: "p", Kind: register.KindOpenAI, BaseURL: srv.URL, Region: register.RegionLocal, Key: "file:x"}
}

// TestHostileProviders: each gives an error or a clean reply, and none leads elsewhere.
func TestHostileProviders(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	for name, f := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		},
		"metadata": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		},
		"wrong length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "short")
		},
		"too long": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", fmt.Sprint(maxReply+1)) },
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			chunk := make([]byte, 1<<20)
			for range 60 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
		"hang up": func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				c.Close()
			}
		},
		"hang": func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() },
	} {
		if err := ask(t, serve(t, f)); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "http://") {
			t.Errorf("%s: the error holds an address: %v", name, err)
		}
	}
	if elsewhere != 0 {
		t.Error("a redirect was followed")
	}
}

// TestKeyIsMasked: a provider that repeats its key in an error does not give it away, and everything else passes.
func TestKeyIsMasked(t *testing.T) {
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer sk-provider-key-0123456789" {
			t.Errorf("authorization %q", r.Header.Get("Authorization"))
		}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"error":{"message":"Incorrect API key provided: sk-provider-key-0123456789."}}`)
	})
	made, err := NewPool(func(string) (string, error) { return "sk-provider-key-0123456789", nil }, nil).For(p)
	if err != nil {
		t.Fatal(err)
	}
	r, err := made.Complete(t.Context(), Call{Body: []byte(`{}`), Header: http.Header{}})
	if err != nil || r.Status != 401 || r.Header.Get("Retry-After") != "7" || strings.Contains(string(r.Body), "0123456789") || !strings.Contains(string(r.Body), "Incorrect API key provided: ***.") {
		t.Errorf("%+v %v %s", r, err, r.Body)
	}
}

func TestCancel(t *testing.T) {
	gone := make(chan struct{})
	p := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		close(gone)
	})
	made, err := NewPool(func(string) (string, error) { return "k", nil }, nil).For(p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := made.Complete(ctx, Call{Body: []byte(`{}`), Header: http.Header{}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	select {
	case <-gone:
	case <-time.After(time.Second):
		t.Error("the provider was not told within a second")
	}
}

func FuzzAddress(f *testing.F) {
	f.Add("127.0.0.1:80")
	f.Fuzz(func(t *testing.T, address string) {
		if checkAddress(address, false) != nil {
			return
		}
		ap, err := netip.ParseAddrPort(address)
		if ip := ap.Addr().Unmap(); err != nil || ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() {
			t.Errorf("%s is allowed", address)
		}
	})
}
