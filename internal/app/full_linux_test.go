package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/leitplanke/leitplanke/internal/config"
)

// smallDisk mounts a file system of that many MiB for the data folder.
func smallDisk(t *testing.T, c *config.Server, mib string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", c.Data, "tmpfs", 0, "size="+mib+"m,mode=0700"); err != nil {
		t.Skip("a small file system cannot be mounted: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(c.Data, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill writes a file until the file system has no room but the last n bytes.
func fill(t *testing.T, path string, leave int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(max(0, st.Size()-leave)); err != nil {
		t.Fatal(err)
	}
}

// TestFullDisk: the data folder's file system is full in earnest, each time with a few blocks left, so that another write
// is the one that fails. Calls are refused with record_unavailable, nothing that was answered is lost, the process goes
// on, and with room again the same installation takes calls.
func TestFullDisk(t *testing.T) {
	var mu sync.Mutex
	var fatal []error
	h := openHouse(t, func(o *Options) {
		o.Config.MinFree = 1
		o.Fatal = func(err error) { mu.Lock(); fatal = append(fatal, err); mu.Unlock() }
		smallDisk(t, o.Config, "48")
	})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan struct{})
	go func() { h.Run(ctx); close(ran) }()
	defer func() { stop(); <-ran }()
	filler := filepath.Join(h.Config.Data, "filler")
	l := &load{}
	call := func(text string) answer {
		a := h.post(t, h.key, chatBody("demo-echo", text))
		if a.status == 200 {
			l.got = append(l.got, received{a.header.Get("X-Leitplanke-Call"), text[:40]})
		}
		return a
	}
	big := strings.Repeat("Akte ", 8000) // 40 KB
	refused := 0
	for _, leave := range []int64{0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128} {
		fill(t, filler, leave<<12)
		failed := 0
		for i := 0; failed < 3; i++ {
			if i > 200 {
				t.Fatalf("%d blocks left: no call was refused", leave)
			}
			a := call(big)
			switch a.status {
			case 200:
			case 503:
				if code, _, _, _ := refusal(t, a); code != "record_unavailable" {
					t.Errorf("%d blocks left: %s", leave, a.body)
				}
				failed++
				refused++
			default:
				t.Fatalf("%d blocks left: %d %s", leave, a.status, a.body)
			}
		}
		if why := h.Log.Refused(); why != "" {
			t.Fatalf("%d blocks left: the log refuses: %s; fatal: %v", leave, why, fatal)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		if a := call("with room again, the same installation answers"); a.status != 200 {
			t.Fatalf("%d blocks left: with room again: %d %s; %s", leave, a.status, a.body, h.Log.Refused())
		}
		if err := errors.Join(h.Log.Checkpoint(t.Context()), h.Log.Index(t.Context())); err != nil {
			t.Errorf("%d blocks left: afterwards: %v", leave, err)
		}
		h.verify(t)
	}
	if len(fatal) != 0 {
		t.Errorf("a full disk is no broken disk: %v", fatal)
	}
	l.inLog(t, h)
	open := h.unended(t)
	if open != 0 {
		t.Errorf("%d calls are open although there is room again", open)
	}
	stop()
	<-ran
	if err := h.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	next, err := Open(t.Context(), Options{Config: h.Config, Demo: true, Program: t.Output(), Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	h.App = next
	if n := h.unended(t); n != 0 {
		t.Errorf("%d calls are open", n)
	}
	t.Logf("%d calls answered, %d refused on a full disk, %d open", len(l.got), refused, open)
}
