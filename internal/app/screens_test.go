package app

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/leitplanke/leitplanke/internal/web"
)

var screens = flag.String("screens", "", "write pictures of the running demo's pages into this folder")

// TestScreens runs the demo, makes the calls of the quick start, and opens its pages in Chromium: both languages, light and
// dark, wide and narrow. No page is wider than the window, and axe finds nothing where LEITPLANKE_AXE names axe.min.js.
// With -screens=DIR it leaves the pictures of docs/screens.
func TestScreens(t *testing.T) {
	if testing.Short() {
		t.Skip("no browser in short mode")
	}
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("no Chromium on this machine")
	}
	base, links, call := runDemo(t)
	axe := ""
	if path := os.Getenv("LEITPLANKE_AXE"); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		axe = string(b)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if os.Getuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	defer cancel()
	ctx, cancel := chromedp.NewContext(alloc)
	defer cancel()
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	signIn := func(role string) {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		if err := chromedp.Do(ctx, chromedp.Navigate(base+"/demo/"+links[role]), chromedp.Click(chromedp.CSS("main form button.primary")), chromedp.WaitReady(chromedp.CSS(".seal, table, .empty"))); err != nil {
			t.Fatal(role, err)
		}
	}
	looked := 0
	look := func(name, path string) {
		for _, width := range []int64{1440, 390} {
			for _, l := range []string{"de", "en"} {
				for _, theme := range []string{"light", "dark"} {
					var wide int64
					var found string
					err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), chromedp.Navigate(base+path))
					if err == nil {
						set := `fetch("` + web.PrefsPath + `", {method: "POST", body: new URLSearchParams({lang: "` + l + `", theme: "` + theme + `", back: "/"})}).then(r => r.status)`
						if _, err = chromedp.Run(ctx, chromedp.Evaluate[int64](set, chromedp.EvalAwaitPromise)); err == nil {
							err = chromedp.Do(ctx, chromedp.Navigate(base+path))
						}
					}
					if err == nil {
						wide, err = chromedp.Run(ctx, chromedp.Evaluate[int64](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
					}
					if err == nil && axe != "" {
						found, err = chromedp.Run(ctx, chromedp.Evaluate[string](axe+`;axe.run().then(r => r.violations.filter(v => v.impact === 'serious' || v.impact === 'critical').map(v => v.id + ' ' + v.nodes[0].target).join('; '))`, chromedp.EvalAwaitPromise))
					}
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					shot := fmt.Sprintf("%s-%s-%s-%d", name, l, theme, width)
					if wide > 0 {
						t.Errorf("%s scrolls sideways by %d px", shot, wide)
					}
					if found != "" {
						t.Errorf("%s: axe: %s", shot, found)
					}
					looked++
					if *screens != "" {
						png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
						if err != nil {
							t.Fatal(err)
						}
						if err := os.WriteFile(filepath.Join(*screens, shot+".png"), png, 0o644); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
	}
	look("sign-in", "/anmelden")
	look("transparency", "/transparenz")
	signIn("case_worker")
	look("list", "/nachweise")
	look("call", "/nachweise/"+call)
	signIn("auditor")
	look("call-hidden", "/nachweise/"+call)
	if looked != 40 {
		t.Errorf("%d views were looked at", looked)
	}
}

// runDemo serves a demo with its real pages, makes the calls of the quick start and a refused one, and returns its address,
// the sign-in tokens by role, and the number of a call.
func runDemo(t *testing.T) (base string, links map[string]string, call string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	h := openHouse(t, func(o *Options) { o.Config.Listen, o.Config.PublicURL = addr, "http://"+addr })
	people, key, err := h.FillDemo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	links = map[string]string{}
	for _, p := range people {
		links[string(p.User.Roles[0])] = p.Token
	}
	base = "http://" + addr
	pages, err := h.Pages(PageOptions{Version: "devel", Demo: people, Curl: DemoCurl(base, key)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx, l, pages) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	h.url = base
	for _, text := range []string{letter, "Eine Frage ohne Personenbezug: Wie lautet die Frist für den Widerspruch?", letter + "\nPasswort: Zyl63!2026xQ"} {
		call = h.post(t, key, chatBody("demo", text)).header.Get("X-Leitplanke-Call")
	}
	h.post(t, key, chatBody("gpt-9", "x"))
	if err := h.Log.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Log.Index(t.Context()); err != nil {
		t.Fatal(err)
	}
	return base, links, call
}
