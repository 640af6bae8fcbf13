package bundle

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// quick fails a case that takes longer than any input may.
func quick(t *testing.T) {
	start := time.Now()
	t.Cleanup(func() {
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("it took %s", d)
		}
	})
}

func FuzzLeaf(f *testing.F) {
	for _, l := range goldenLeaves() {
		b, err := l.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		quick(t)
		l, err := DecodeLeaf(b)
		if err != nil {
			return
		}
		if again, err := l.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("encoded as %x, %v", again, err)
		}
	})
}

func FuzzSealed(f *testing.F) {
	for _, s := range []Sealed{
		{},
		{Fields: []Field{{FieldRequest, fill32("salt", 1), []byte(`{"a":1}`)}, {FieldMeta, nil, nil}}},
		{Fields: []Field{{"", make([]byte, 300), make([]byte, 70000)}}},
	} {
		f.Add(s.Encode())
	}
	f.Add([]byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		quick(t)
		s, err := DecodeSealed(b)
		if err != nil {
			return
		}
		if again := s.Encode(); !bytes.Equal(again, b) {
			t.Errorf("encoded as %x", again)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	l := newTestLog(f, 3, 0)
	v, err := note.NewVerifier(l.vkey)
	if err != nil {
		f.Fatal(err)
	}
	good := map[string]bool{}
	for n := range 4 {
		s := l.checkpoint(f, n)
		good[s] = true
		f.Add(s)
		f.Add(s + s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		quick(t)
		if c, err := ParseCheckpoint(s); err == nil && c.Text() != s {
			t.Errorf("written as %q", c.Text())
		}
		if _, err := OpenCheckpoint(s, note.VerifierList(v)); err == nil && !good[s] && !hasOthers(s) {
			t.Error("another spelling of a signed checkpoint is accepted")
		}
		if tr, err := ParseTrust([]byte(s)); err == nil {
			tr.confirm(l.vkey, testOrigin) // any answer is fine
		}
	})
}

// hasOthers reports whether a note carries signatures beside the first: those of witnesses are not ours to judge.
func hasOthers(s string) bool { return bytes.Count([]byte(s), []byte("\n— ")) > 1 }

func FuzzManifest(f *testing.F) {
	l := newTestLog(f, 300, 4)
	b := l.zip(f, Manifest{})
	files, err := readZip(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		f.Fatal(err)
	}
	for _, z := range files {
		if z.name == manifestPath || z.name == "keys.json" {
			f.Add(b[z.data() : z.data()+int64(z.size)])
		}
	}
	f.Add([]byte("[[[[[[[["))
	f.Fuzz(func(t *testing.T, b []byte) {
		quick(t)
		m, err := DecodeManifest(b)
		if err != nil {
			return
		}
		if again, err := m.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("encoded as %s, %v", again, err)
		}
		sizes := map[string]uint64{} // the layout of any manifest is judged without reading a file
		for _, file := range m.Files {
			sizes[file.Path] = file.Bytes
		}
		v := &reader{c: &container{sizes: sizes}, m: m}
		v.list() // any answer is fine
	})
}

func FuzzContainer(f *testing.F) {
	good := map[string]bool{}
	for _, n := range []int{1, 3, 257} {
		b := newTestLog(f, n, 4).zip(f, Manifest{})
		good[string(b)] = true
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Add(zipEnd(0, 0, 0))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		quick(t)
		files, err := readZip(bytes.NewReader(b), int64(len(b)))
		if err == nil { // the same bytes come out again
			var out bytes.Buffer
			for i := range files {
				z := &files[i]
				out.Write(z.local(nil))
				out.Write(b[z.data() : z.data()+int64(z.size)])
			}
			start := out.Len()
			for i := range files {
				out.Write(files[i].central(nil))
			}
			out.Write(zipEnd(len(files), int64(start), int64(out.Len()-start)))
			if !bytes.Equal(out.Bytes(), b) {
				t.Error("written otherwise")
			}
		}
		path := filepath.Join(dir, "fuzzed.zip")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Verify(context.Background(), path, Trust{})
		if err != nil {
			t.Fatal(err)
		}
		if r.OK && !good[string(b)] {
			t.Error("a bundle that nobody wrote verifies")
		}
	})
}
