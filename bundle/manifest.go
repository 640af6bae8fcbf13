package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// Format is the version of the bundle's layout, as its manifest names it.
const Format = "leitplanke.bundle/v1"

// Limits of a bundle. A verifier checks sizes against them before it allocates anything.
const (
	MaxFiles    = 1 << 20   // files in a bundle
	MaxManifest = 256 << 20 // bytes of the manifest
	MaxSealed   = 256 << 20 // bytes of one sealed part
	maxSmall    = 1 << 20   // bytes of a README, a key list, a verifier, a note
	maxName     = 200       // bytes of a path
	maxText     = 1000      // bytes of any other text in a manifest
	maxSettings = 100
	maxEntries  = 1 << 62
)

// Setting is one setting of the database that durability rests on, as it was read back at the export.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// FileInfo is what the manifest says of one file.
type FileInfo struct {
	Path   string `json:"path"`
	Bytes  uint64 `json:"bytes"`
	SHA256 string `json:"sha256"` // hexadecimal
}

// Manifest lists every file of a bundle, sorted by path, except itself and its signature. Its only spelling is that of
// Encode.
type Manifest struct {
	Format   string     `json:"format"`
	Origin   string     `json:"origin"`
	Size     uint64     `json:"size"`      // entries of the log
	Root     string     `json:"root"`      // base64
	From     uint64     `json:"from"`      // first entry of the period
	To       uint64     `json:"to"`        // the entry after its last
	FromTime string     `json:"from_time"` // RFC 3339, as asked for; empty: from the first entry
	ToTime   string     `json:"to_time"`   // empty: to the last entry
	System   string     `json:"system"`    // only its sealed parts are included; empty: those of all
	Reduced  bool       `json:"reduced"`   // not all leaves, or not all sealed parts, are here
	Created  string     `json:"created"`   // RFC 3339, UTC
	Version  string     `json:"version"`   // of the instance that wrote it
	Settings []Setting  `json:"settings"`
	Files    []FileInfo `json:"files"`
}

const (
	manifestPath = "manifest.json"
	sigPath      = "manifest.sig"
)

// Encode returns the bytes of manifest.json.
func (m *Manifest) Encode() ([]byte, error) { return encodeJSON(m) }

func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(v) // with a line end
	return b.Bytes(), err
}

// decodeJSON reads what encodeJSON writes, and no other spelling of it.
func decodeJSON(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return errors.New("it is not the JSON that a bundle holds")
	}
	again, err := encodeJSON(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return errSpell
	}
	return nil
}

// DecodeManifest reads a manifest and checks it against the limits.
func DecodeManifest(b []byte) (*Manifest, error) {
	if len(b) > MaxManifest {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", len(b), MaxManifest)
	}
	m := new(Manifest)
	if err := decodeJSON(b, m); err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Manifest) check() error {
	switch {
	case m.Format != Format:
		return fmt.Errorf("the format %.50q is not known here", m.Format)
	case m.Size == 0 || m.Size > maxEntries:
		return fmt.Errorf("a log of %d entries", m.Size)
	case m.From > m.To || m.To > m.Size:
		return fmt.Errorf("a period from %d to %d in a log of %d entries", m.From, m.To, m.Size)
	case m.Settings == nil || len(m.Settings) > maxSettings:
		return errors.New("the list of settings is missing or too long")
	case len(m.Files) == 0 || len(m.Files) > MaxFiles:
		return fmt.Errorf("%d files are listed", len(m.Files))
	case !m.Reduced && (m.From != 0 || m.To != m.Size || m.System != ""):
		return errors.New("a part of the log that does not say so")
	}
	texts := []string{m.Origin, m.Root, m.FromTime, m.ToTime, m.System, m.Created, m.Version}
	for _, s := range m.Settings {
		texts = append(texts, s.Name, s.Value)
	}
	for _, s := range texts {
		if !plain(s) {
			return errors.New("a text is too long or has control characters")
		}
	}
	last := ""
	for _, f := range m.Files {
		if err := checkPath(f.Path); err != nil {
			return err
		}
		if f.Path <= last || f.Path == manifestPath || f.Path == sigPath {
			return fmt.Errorf("the file %q is listed out of order", f.Path)
		}
		last = f.Path
		if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != sha256.Size || strings.ToLower(f.SHA256) != f.SHA256 {
			return fmt.Errorf("%s has no SHA-256", f.Path)
		}
		if f.Bytes > maxEntries {
			return fmt.Errorf("%s has %d bytes", f.Path, f.Bytes)
		}
	}
	return nil
}

// plain reports whether a text is short UTF-8 without control characters, whose JSON every encoder spells alike.
func plain(s string) bool {
	if len(s) > maxText || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < 0x20 || r == 0x7f || r == 0x2028 || r == 0x2029 || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// Plain makes a text fit for a manifest: what plain refuses becomes a question mark.
func Plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == 0x2028 || r == 0x2029 || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
	for len(s) > maxText {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// checkPath refuses whatever could leave the folder or mean something to a shell or a file system.
func checkPath(p string) error {
	bad := p == "" || len(p) > maxName
	for _, part := range strings.Split(p, "/") {
		bad = bad || part == "" || part[0] == '.'
	}
	for _, c := range []byte(p) {
		bad = bad || !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '/' || c == '_' || c == '-')
	}
	if bad {
		return fmt.Errorf("%.200q is not a path of a bundle", p)
	}
	return nil
}

// manifestText is the body of the note in manifest.sig. It has two lines, so that it can never pass for a checkpoint.
func manifestText(manifest []byte) string {
	sum := sha256.Sum256(manifest)
	return Format + "\n" + hex.EncodeToString(sum[:]) + "\n"
}

func signManifest(manifest []byte, s note.Signer) ([]byte, error) {
	return note.Sign(&note.Note{Text: manifestText(manifest)}, s)
}

// logKey is the content of keys.json.
type logKey struct {
	Origin      string `json:"origin"`
	VKey        string `json:"vkey"`
	Fingerprint string `json:"fingerprint"`
}

func (k *logKey) check(origin string) error {
	fp, err := Fingerprint(k.VKey)
	switch {
	case err != nil:
		return err
	case fp != k.Fingerprint:
		return errors.New("the fingerprint is not that of the key")
	case k.Origin != origin:
		return fmt.Errorf("the key is for %q, the manifest is of %q", k.Origin, origin)
	}
	name, _, _ := strings.Cut(k.VKey, "+")
	if name != origin {
		return fmt.Errorf("the key is for %q, the manifest is of %q", name, origin)
	}
	return nil
}
