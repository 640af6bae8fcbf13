package bundle

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// testLog is a log in memory that tests make bundles of.
type testLog struct {
	leaves  [][]byte
	hashes  []Hash
	salts   [][]byte
	sealed  [][]byte
	signer  note.Signer
	vkey    string
	changed func(path string, b []byte) []byte // spoils a file before it is hashed
}

const testOrigin = "leitplanke.test/1"

func testSigner(tb testing.TB, origin, seed string) (note.Signer, string) {
	sum := sha256.Sum256([]byte(seed))
	key := ed25519.NewKeyFromSeed(sum[:])
	vkey, err := note.NewEd25519VerifierKey(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		tb.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", origin, v.KeyHash(), base64.StdEncoding.EncodeToString(append([]byte{1}, key.Seed()...))))
	if err != nil {
		tb.Fatal(err)
	}
	return signer, vkey
}

func fill32(label string, i int) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", label, i))
	return sum[:]
}

// openLeaf is the leaf of an opening as the product writes it.
func openLeaf(i int) Leaf {
	return Leaf{
		Version: LeafVersion, Type: CallOpen, Event: [16]byte(fill32("event", i)), Epoch: 1, Kind: "user", Time: 1767225600 + uint64(i),
		Instance: "node-a", System: "KI-2026-001", Policy: "mask/1", Model: "standard", Provider: "demo", Verdict: "redact", Rules: []string{"mask"},
		Findings: []Count{{"IBAN", 1}, {"PERSON", 2}}, Class: "standard", Key: "KI-2026-001/2026-01",
		CRequest: fill32("request", i), COutbound: fill32("outbound", i), CMeta: fill32("meta", i),
	}
}

// newTestLog is a log of n entries: a start, and then openings and their ends in turn, each with a sealed part of the
// given size.
func newTestLog(tb testing.TB, n, sealed int) *testLog {
	l := new(testLog)
	l.signer, l.vkey = testSigner(tb, testOrigin, "log")
	for i := range n {
		leaf := openLeaf(i)
		salt, part := fill32("salt", i), bytes.Repeat([]byte{byte(i)}, sealed)
		switch {
		case i == 0:
			leaf = Leaf{Version: LeafVersion, Type: LogStart, Event: leaf.Event, Epoch: 1, Time: leaf.Time, Instance: "node-a"}
			salt, part = nil, nil
		case i%2 == 0:
			ref := uint64(i - 1)
			leaf = Leaf{
				Version: LeafVersion, Type: CallClose, Ref: &ref, Event: leaf.Event, Kind: "user", Time: leaf.Time, Instance: "node-a", System: leaf.System,
				Model: "standard", Provider: "demo", TokensIn: 100, TokensOut: 50, Class: "standard", Key: leaf.Key, CResponse: fill32("response", i),
				Code: "complete", Coverage: []Ran{{Detector: "iban", Ran: 3}},
			}
		}
		if salt != nil {
			leaf.HSealed = SealedHash(salt, part)
		}
		b, err := leaf.Encode()
		if err != nil {
			tb.Fatal(err)
		}
		l.leaves, l.salts, l.sealed = append(l.leaves, b), append(l.salts, salt), append(l.sealed, part)
		l.hashes = append(l.hashes, LeafHash(b))
	}
	return l
}

func (l *testLog) peaks(n int) Peaks {
	var p Peaks
	for _, h := range l.hashes[:n] {
		p.Add(h)
	}
	return p
}

func (l *testLog) checkpoint(tb testing.TB, n int) string {
	p := l.peaks(n)
	s, err := Checkpoint{Origin: l.signer.Name(), Size: uint64(n), Root: p.Root()}.Sign(l.signer)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// tile is a tile computed from the leaf hashes alone.
func (l *testLog) tile(level int, n uint64, width int) []byte {
	below := uint64(1) << (8 * level)
	var b []byte
	for i := range uint64(width) {
		from := (n*TileWidth + i) * below
		h := SubtreeRoot(l.hashes[from : from+below])
		b = append(b, h[:]...)
	}
	return b
}

func (l *testLog) plan(tb testing.TB, m Manifest) *Plan {
	size := uint64(len(l.leaves))
	if m.To == 0 {
		m.To = size
	}
	m.Size, m.Created, m.Version, m.Settings = size, "2026-11-25T09:00:00Z", "test", []Setting{{"synchronous", "2"}}
	p := l.peaks(len(l.leaves))
	m.Root = p.Root().String()
	list := []Source{BytesSource("checkpoint", []byte(l.checkpoint(tb, len(l.leaves))))}
	for _, n := range []int{1, len(l.leaves) / 2} {
		if n > 0 && n < len(l.leaves) && (n > 1 || len(list) == 1) {
			list = append(list, BytesSource(CheckpointPath(uint64(n)), []byte(l.checkpoint(tb, n))))
		}
	}
	for level := 0; size>>(8*level) > 0; level++ {
		all := size >> (8 * level)
		for n := uint64(0); n*TileWidth < all; n++ {
			width := int(min(all-n*TileWidth, TileWidth))
			list = append(list, BytesSource(TilePath(level, n, width), l.tile(level, n, width)))
		}
	}
	for n := m.From / TileWidth; n*TileWidth < m.To; n++ {
		width := int(min(size-n*TileWidth, TileWidth))
		list = append(list, Source{EntriesPath(n, width), func(w io.Writer) error {
			for i := n * TileWidth; i < n*TileWidth+uint64(width); i++ {
				if err := WriteLeaf(w, l.leaves[i]); err != nil {
					return err
				}
			}
			return nil
		}}, Source{SealedPath(n, width), func(w io.Writer) error {
			for i := n * TileWidth; i < n*TileWidth+uint64(width); i++ {
				if err := WriteSealed(w, l.salts[i], l.sealed[i]); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	if l.changed != nil {
		for i, s := range list {
			var b bytes.Buffer
			if err := s.Write(&b); err != nil {
				tb.Fatal(err)
			}
			list[i] = BytesSource(s.Path, l.changed(s.Path, b.Bytes()))
		}
	}
	plan, err := NewPlan(m, list, l.vkey, l.signer)
	if err != nil {
		tb.Fatal(err)
	}
	return plan
}

func (l *testLog) zip(tb testing.TB, m Manifest) []byte {
	var b bytes.Buffer
	p := l.plan(tb, m)
	if err := p.WriteZip(&b); err != nil {
		tb.Fatal(err)
	}
	if n, ok := p.ZipSize(); !ok || n != uint64(b.Len()) {
		tb.Fatalf("ZipSize says %d, written are %d", n, b.Len())
	}
	return b.Bytes()
}

func inFile(tb testing.TB, b []byte) string {
	path := filepath.Join(tb.TempDir(), "bundle.zip")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func uint16Bytes(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

// decodeLoose reads a report of verify.py.
func decodeLoose(b []byte, v any) error { return json.Unmarshal(b, v) }
