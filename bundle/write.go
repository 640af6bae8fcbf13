package bundle

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

//go:embed verify.py
var verifier []byte

//go:embed readme.txt
var readme string

// Verifier is the Python program that lies in every bundle.
func Verifier() []byte { return slices.Clone(verifier) }

// Source is one file of a bundle before it is written. Write is called twice and writes the same bytes each time, so
// that nothing has to be held in memory or in a temporary file between hashing and writing.
type Source struct {
	Path  string
	Write func(w io.Writer) error
}

// BytesSource is a source whose content is at hand.
func BytesSource(path string, content []byte) Source {
	return Source{path, func(w io.Writer) error { _, err := w.Write(content); return err }}
}

// Plan is a bundle whose sources have been read once: sizes and hashes are known and the manifest is signed.
type Plan struct {
	sources []Source
	files   []zipFile
	sizes   []uint64
	digest  [sha256.Size]byte
	total   uint64
	names   uint64
}

// NewPlan reads all sources and signs the manifest with the key of the log. It adds README.txt, keys.json and verify.py,
// and fills in format, origin and files of the manifest.
func NewPlan(m Manifest, sources []Source, vkey string, signer note.Signer) (*Plan, error) {
	fp, err := Fingerprint(vkey)
	if err != nil {
		return nil, err
	}
	m.Format, m.Origin = Format, signer.Name()
	if m.Settings == nil {
		m.Settings = []Setting{}
	}
	keys, err := encodeJSON(logKey{m.Origin, vkey, fp})
	if err != nil {
		return nil, err
	}
	sources = append(slices.Clone(sources), BytesSource("README.txt", readmeFor(&m, fp)), BytesSource("keys.json", keys), BytesSource("verify.py", verifier))
	slices.SortFunc(sources, func(a, b Source) int { return cmp.Compare(a.Path, b.Path) })
	p := new(Plan)
	m.Files = make([]FileInfo, 0, len(sources))
	for _, s := range sources {
		t := newTally(io.Discard)
		if err := s.Write(t); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Path, err)
		}
		m.Files = append(m.Files, FileInfo{Path: s.Path, Bytes: t.n, SHA256: hex.EncodeToString(t.sum.Sum(nil))})
		p.add(s, t)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	text, err := m.Encode()
	if err != nil {
		return nil, err
	}
	sig, err := signManifest(text, signer)
	if err != nil {
		return nil, err
	}
	for _, s := range []Source{BytesSource(manifestPath, text), BytesSource(sigPath, sig)} {
		t := newTally(io.Discard)
		if err := s.Write(t); err != nil {
			return nil, err
		}
		p.add(s, t)
	}
	p.digest = sha256.Sum256(text)
	order := make([]int, len(p.sources))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p.sources[a].Path, p.sources[b].Path) })
	q := *p
	q.sources, q.files, q.sizes = nil, nil, nil
	for _, i := range order {
		q.sources, q.files, q.sizes = append(q.sources, p.sources[i]), append(q.files, p.files[i]), append(q.sizes, p.sizes[i])
	}
	return &q, nil
}

func (p *Plan) add(s Source, t *tally) {
	p.sources = append(p.sources, s)
	p.files = append(p.files, zipFile{name: s.Path, size: uint32(t.n), crc: t.crc})
	p.sizes = append(p.sizes, t.n)
	p.total += t.n
	p.names += uint64(len(s.Path))
}

// Digest is the SHA-256 of the manifest.
func (p *Plan) Digest() [sha256.Size]byte { return p.digest }

// ZipSize is how many bytes WriteZip writes; ok is false where the bundle does not fit one zip file.
func (p *Plan) ZipSize() (n uint64, ok bool) {
	n = p.total + 2*p.names + uint64(len(p.files))*(localSize+dirSize) + endSize
	return n, n <= zipMaxSize && len(p.files) <= zipMaxFiles
}

// WriteZip writes the bundle as a zip file. It fails with ErrTooLarge before the first byte.
func (p *Plan) WriteZip(w io.Writer) error {
	if _, ok := p.ZipSize(); !ok {
		return ErrTooLarge
	}
	var at int64
	for i := range p.sources {
		p.files[i].header = uint32(at)
		head := p.files[i].local(nil)
		if _, err := w.Write(head); err != nil {
			return err
		}
		if err := p.write(i, w); err != nil {
			return err
		}
		at += int64(len(head)) + int64(p.sizes[i])
	}
	start := at
	for i := range p.files {
		rec := p.files[i].central(nil)
		if _, err := w.Write(rec); err != nil {
			return err
		}
		at += int64(len(rec))
	}
	_, err := w.Write(zipEnd(len(p.files), start, at-start))
	return err
}

// WriteFolder writes the bundle as a folder, which must not exist or be empty. Files have mode 0600.
func (p *Plan) WriteFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		return errors.Join(err, fmt.Errorf("the folder %s is not empty", filepath.Base(dir)))
	}
	made := map[string]bool{}
	for i, s := range p.sources {
		name := filepath.Join(dir, filepath.FromSlash(s.Path))
		if parent := path.Dir(s.Path); !made[parent] {
			if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				return err
			}
			made[parent] = true
		}
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		if err := errors.Join(p.write(i, f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// write writes one source and checks that it is what was read before.
func (p *Plan) write(i int, w io.Writer) error {
	t := &tally{w: w}
	if err := p.sources[i].Write(t); err != nil {
		return err
	}
	if t.n != p.sizes[i] || t.crc != p.files[i].crc {
		return fmt.Errorf("%s changed while the bundle was written", p.sources[i].Path)
	}
	return nil
}

// tally counts and hashes what goes through it.
type tally struct {
	w   io.Writer
	n   uint64
	crc uint32
	sum hash.Hash // nil: not asked for
}

func newTally(w io.Writer) *tally { return &tally{w: w, sum: sha256.New()} }

func (t *tally) Write(b []byte) (int, error) {
	t.n += uint64(len(b))
	t.crc = crc32.Update(t.crc, crc32.IEEETable, b)
	if t.sum != nil {
		t.sum.Write(b)
	}
	return t.w.Write(b)
}

// WriteLeaf writes a leaf into an entry bundle of tlog-tiles: its length in two bytes, then the leaf. A destroyed leaf has
// length 0.
func WriteLeaf(w io.Writer, leaf []byte) error {
	if len(leaf) > MaxLeaf {
		return fmt.Errorf("leaf of %d bytes, at most %d fit", len(leaf), MaxLeaf)
	}
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 2), uint16(len(leaf)))
	if _, err := w.Write(b); err != nil {
		return err
	}
	_, err := w.Write(leaf)
	return err
}

// The first byte of each record in payloads/sealed says what follows. Any two differ in several bits, so that one flipped
// bit never makes one into another.
const (
	sealedNone    = '-' // there never was a sealed part, or it was destroyed
	sealedHere    = 'S' // length of the salt (1 byte), salt, length of the ciphertext (4 bytes), ciphertext
	sealedOmitted = 'O' // the log has it, the bundle does not: it belongs to another system
)

// WriteSealed writes the sealed part of an entry into a file of payloads/sealed.
func WriteSealed(w io.Writer, salt, sealed []byte) error {
	if salt == nil && sealed == nil {
		_, err := w.Write([]byte{sealedNone})
		return err
	}
	if len(salt) > 255 || len(sealed) > MaxSealed {
		return fmt.Errorf("a sealed part of %d bytes under a salt of %d", len(sealed), len(salt))
	}
	b := append([]byte{sealedHere, byte(len(salt))}, salt...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(sealed)))
	if _, err := w.Write(b); err != nil {
		return err
	}
	_, err := w.Write(sealed)
	return err
}

// WriteOmitted writes that the sealed part of an entry is left out.
func WriteOmitted(w io.Writer) error {
	_, err := w.Write([]byte{sealedOmitted})
	return err
}

// SealedPath is the path of the sealed parts of an entry bundle.
func SealedPath(n uint64, width int) string { return "payloads/sealed/" + tileNumber(n, width) }

// CheckpointPath is the path of an older checkpoint.
func CheckpointPath(size uint64) string { return fmt.Sprintf("checkpoints/%d", size) }

// readmeFor fills the README in. Its first line says what the bundle can show.
func readmeFor(m *Manifest, fingerprint string) []byte {
	de := "Dieses Paket enthält das ganze Protokoll: Es kann zeigen, dass kein Eintrag fehlt."
	en := "This bundle holds the whole log: it can show that no entry is missing."
	if m.Reduced {
		de = "Dieses Paket enthält einen Teil des Protokolls: Für die übrigen Einträge kann es nicht zeigen, dass ihr Inhalt vollständig ist."
		en = "This bundle holds a part of the log: for the other entries it cannot show that their content is complete."
	}
	var settings bytes.Buffer
	for _, s := range m.Settings {
		fmt.Fprintf(&settings, "    %s = %s\n", s.Name, s.Value)
	}
	orAll := func(s, all string) string {
		if s == "" {
			return all
		}
		return s
	}
	last := m.To
	if last > 0 {
		last--
	}
	return []byte(strings.NewReplacer(
		"{{first-de}}", de, "{{first-en}}", en,
		"{{origin}}", m.Origin, "{{size}}", fmt.Sprint(m.Size), "{{from}}", fmt.Sprint(m.From), "{{last}}", fmt.Sprint(last),
		"{{from-time}}", orAll(m.FromTime, "-"), "{{to-time}}", orAll(m.ToTime, "-"),
		"{{system-de}}", orAll(m.System, "alle"), "{{system-en}}", orAll(m.System, "all"),
		"{{created}}", m.Created, "{{version}}", m.Version, "{{fingerprint}}", fingerprint,
		"{{settings}}", settings.String(),
	).Replace(readme))
}
