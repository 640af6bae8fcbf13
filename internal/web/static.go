package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// StaticPath is where the static files are served.
const StaticPath = "/static/"

// Assets are the static files in memory. One hash over all of them stands in every URL, so that a style sheet may name
// its fonts by relative paths and every file can be cached for good.
type Assets struct {
	prefix string // "/static/1f2e3d4c5b6a/"
	files  map[string]asset
}

type asset struct {
	body, zipped []byte // zipped is nil where it saves nothing
	kind, etag   string
}

// NewAssets reads and compresses the embedded files.
func NewAssets() (*Assets, error) {
	a := &Assets{files: map[string]asset{}}
	all := sha256.New()
	err := fs.WalkDir(staticFiles, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Base(name) == "icons.svg" { // icons are written into the pages
			return err
		}
		body, err := staticFiles.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		fmt.Fprintf(all, "%s %x\n", name, sum)
		f := asset{body: body, kind: contentType(name), etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
		if z, err := compress(body); err != nil {
			return err
		} else if len(z) < len(body)*9/10 {
			f.zipped = z
		}
		a.files[strings.TrimPrefix(name, "static/")] = f
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("static files: %w", err)
	}
	a.prefix = StaticPath + hex.EncodeToString(all.Sum(nil)[:6]) + "/"
	return a, nil
}

// URL returns the address of a static file, such as "app.css".
func (a *Assets) URL(name string) (string, error) {
	if _, ok := a.files[name]; !ok {
		return "", fmt.Errorf("no static file %q", name)
	}
	return a.prefix + name, nil
}

// ServeHTTP answers below StaticPath. A file under an address of another version does not exist.
func (a *Assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, a.prefix)
	f, found := a.files[name]
	if !ok || !found {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("ETag", f.etag)
	if f.zipped != nil {
		h.Set("Vary", "Accept-Encoding")
	}
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := f.body
	if f.zipped != nil && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body = f.zipped
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // the client may have left; nobody could be told
}

func contentType(name string) string {
	switch path.Ext(name) {
	case ".woff2":
		return "font/woff2"
	case ".js":
		return "text/javascript; charset=utf-8"
	}
	return mime.TypeByExtension(path.Ext(name))
}

func compress(body []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(body); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func acceptsGzip(header string) bool {
	for item := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(item), ";")
		if strings.TrimSpace(name) == "gzip" {
			q := strings.ReplaceAll(params, " ", "")
			return q != "q=0" && q != "q=0.0"
		}
	}
	return false
}

// icons reads the symbols of icons.svg: name → the markup inside the symbol.
func icons() (map[string]string, error) {
	text, err := staticFiles.ReadFile("static/icons.svg")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.SplitSeq(string(text), "\n") {
		rest, ok := strings.CutPrefix(line, `<symbol id="`)
		if !ok {
			continue
		}
		name, rest, _ := strings.Cut(rest, `"`)
		_, rest, _ = strings.Cut(rest, ">")
		inside, ok := strings.CutSuffix(rest, "</symbol>")
		if !ok {
			return nil, fmt.Errorf("icons.svg: symbol %q does not end on its line", name)
		}
		out[name] = inside
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("icons.svg holds no symbol")
	}
	return out, nil
}
