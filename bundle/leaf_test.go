package bundle

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenLeaves is one leaf of every type, and edge values.
func goldenLeaves() []Leaf {
	types := []Type{
		CallOpen, CallAttempt, CallClose, CallAbort, CallRefuse, StopOn, StopOff, ChangeRegister, ChangeAccess, ChangeRole, Access, Erase, Retain,
		Export, LogStart, LogFork, LogRestart,
	}
	var list []Leaf
	for i, typ := range types {
		l := Leaf{Version: 1, Type: typ, Event: [16]byte(fill32("golden", i)), Epoch: uint64(i), Time: 1767225600 + uint64(i), Instance: "node-a"}
		ref := uint64(i * 100)
		switch typ {
		case CallOpen, CallRefuse:
			o := openLeaf(i)
			o.Type = typ
			o.PolicyHash = fill32("policy", i)
			o.HSealed = fill32("sealed", i)
			l = o
		case CallAttempt, CallClose, CallAbort:
			l.Ref, l.Code, l.TokensIn, l.TokensOut, l.Estimated, l.CResponse = &ref, "complete", 23, 24, true, fill32("response", i)
			l.Coverage = []Ran{{"iban", 255, 256, 65535, 65536}, {"", 0, 0, 0, 0}}
		case ChangeRegister, ChangeAccess, ChangeRole, StopOn, StopOff:
			l.Object, l.Revision, l.CRow = "system/KI-2026-001", 3, fill32("row", i)
		case Erase, Retain:
			l.Ref, l.Entries, l.Keys = &ref, []Span{{0, 1}, {5, 1 << 32}}, []string{"house/2026-01", "KI-2026-001/2026-01"}
		case Export:
			l.Digest = fill32("manifest", i)
		case LogFork:
			l.PriorLog, l.PriorSize, l.PriorRoot, l.FoundSize = "leitplanke.test/1", 1<<40, fill32("root", i), 1<<64-1
		}
		list = append(list, l)
	}
	zero := uint64(0)
	list = append(list,
		Leaf{Version: 1},
		Leaf{Version: 1, Type: CallClose, Ref: &zero},
		Leaf{Version: 1, Epoch: 1<<64 - 1, Time: 1<<32 - 1, Revision: 1 << 32, Kind: "ä€😀", System: strings.Repeat("x", 23), Model: strings.Repeat("y", 24), Provider: strings.Repeat("z", 256)},
	)
	return list
}

// dump is the golden text of a leaf: its zero fields are left out.
func dump(l *Leaf) string {
	b, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &fields); err != nil {
		panic(err)
	}
	for k, v := range fields {
		if s := string(v); s == "null" || s == `""` || s == "0" || s == "false" {
			delete(fields, k)
		}
	}
	fields["Event"], _ = json.Marshal(hex.EncodeToString(l.Event[:]))
	b, err = json.Marshal(fields) // sorted by name
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestGoldenLeaves(t *testing.T) {
	path := filepath.Join("testdata", "leaves.golden")
	if *update {
		var b bytes.Buffer
		b.WriteString("# One leaf of every type and edge values: the encoding in hexadecimal, then the fields. A leaf that was once written\n# has to be read like this for ever; a new field means a new version and new lines.\n")
		for _, l := range goldenLeaves() {
			enc, err := l.Encode()
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%x\n%s\n", enc, dump(&l))
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")[2:]
	want := goldenLeaves()
	ran := 0
	for i := 0; i+1 < len(lines); i += 2 {
		enc, err := hex.DecodeString(lines[i])
		if err != nil {
			t.Fatal(err)
		}
		l, err := DecodeLeaf(enc)
		if err != nil {
			t.Fatalf("line %d: %v", i+3, err)
		}
		if got := dump(l); got != lines[i+1] {
			t.Errorf("line %d is read as\n%s\nwant\n%s", i+3, got, lines[i+1])
		}
		if again, err := want[ran].Encode(); err != nil || !bytes.Equal(again, enc) {
			t.Errorf("line %d: encoded as %x, %v", i+3, again, err)
		}
		ran++
	}
	if ran != len(want) {
		t.Fatalf("%d golden leaves, want %d", ran, len(want))
	}
}

// anyLeaf draws leaves whose every field may be there.
func anyLeaf(t *rapid.T) *Leaf {
	num := func(n string) uint64 {
		return rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64Range(0, 300), rapid.Uint64()).Draw(t, n)
	}
	text := func(n string) string { return rapid.StringN(0, 30, 300).Draw(t, n) }
	bin := func(n string) []byte {
		b := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, n)
		if len(b) == 0 {
			return nil
		}
		return b
	}
	l := &Leaf{
		Version: 1, Type: Type(text("type")), Epoch: num("epoch"), Kind: text("kind"), Time: num("time"), Instance: text("instance"), System: text("system"),
		Policy: text("policy"), PolicyHash: bin("hash"), Model: text("model"), Provider: text("provider"), Verdict: text("verdict"), TokensIn: num("in"),
		TokensOut: num("out"), Estimated: rapid.Bool().Draw(t, "estimated"), Class: text("class"), Key: text("key"), CRequest: bin("c1"), COutbound: bin("c2"),
		CResponse: bin("c3"), CMeta: bin("c4"), HSealed: bin("h"), Code: text("code"), Object: text("object"), Revision: num("revision"), CRow: bin("row"),
		Digest: bin("digest"), PriorLog: text("prior"), PriorSize: num("size"), PriorRoot: bin("root"), FoundSize: num("found"),
	}
	copy(l.Event[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "event"))
	if rapid.Bool().Draw(t, "has ref") {
		v := num("ref")
		l.Ref = &v
	}
	for range rapid.IntRange(0, 3).Draw(t, "items") {
		l.Rules, l.Keys = append(l.Rules, text("rule")), append(l.Keys, text("destroyed"))
		l.Findings = append(l.Findings, Count{text("finding"), num("n")})
		l.Coverage = append(l.Coverage, Ran{text("detector"), num("a"), num("b"), num("c"), num("d")})
		l.Entries = append(l.Entries, Span{num("from"), num("to")})
	}
	return l
}

func TestLeafRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := anyLeaf(t)
		b, err := l.Encode()
		if err != nil {
			t.Skip("too large")
		}
		got, err := DecodeLeaf(b)
		if err != nil {
			t.Fatal(err)
		}
		if dump(got) != dump(l) {
			t.Fatalf("read as\n%s\nwritten\n%s", dump(got), dump(l))
		}
	})
}

// heads are the positions of all heads in an encoding, with the lengths of their arguments.
func heads(b []byte) (list [][2]int) {
	for at := 0; at < len(b); {
		info, n := b[at]&0x1f, 0
		v := uint64(info)
		if info >= 24 {
			n, v = 1<<(info-24), 0
			for _, c := range b[at+1 : at+1+n] {
				v = v<<8 | uint64(c)
			}
		}
		list = append(list, [2]int{at, n})
		major := b[at] &^ 0x1f
		at += 1 + n
		if major == cborBytes || major == cborText {
			at += int(v)
		}
	}
	return list
}

// TestLeafOneSpelling: every other spelling of the same leaf is refused.
func TestLeafOneSpelling(t *testing.T) {
	spellings := 0
	rapid.Check(t, func(t *rapid.T) {
		b, err := anyLeaf(t).Encode()
		if err != nil {
			t.Skip("too large")
		}
		refuse := func(what string, other []byte) {
			spellings++
			if l, err := DecodeLeaf(other); err == nil {
				t.Fatalf("%s is read as %s", what, dump(l))
			}
		}
		for _, h := range heads(b) { // every head with a longer argument
			at, n := h[0], h[1]
			for size := max(1, 2*n); size <= 8; size *= 2 {
				arg := make([]byte, size)
				if n == 0 {
					arg[size-1] = b[at] & 0x1f
				} else {
					copy(arg[size-n:], b[at+1:at+1+n])
				}
				info := map[int]byte{1: 24, 2: 25, 4: 26, 8: 27}[size]
				refuse("a longer head", append(append(append(bytes.Clone(b[:at]), b[at]&^0x1f|info), arg...), b[at+1+n:]...))
			}
			refuse("an indefinite length", append(append(bytes.Clone(b[:at]), b[at]|0x1f), b[at+1+n:]...))
		}
		refuse("a byte more", append(bytes.Clone(b), 0))
		refuse("a byte less", b[:len(b)-1])
		refuse("nothing", nil)
	})
	for what, s := range map[string]string{
		"keys out of order":   "a3" + "00" + "01" + "04" + "01" + "02" + "50" + strings.Repeat("00", 16),
		"a key twice":         "a3" + "00" + "01" + "00" + "01" + "02" + "50" + strings.Repeat("00", 16),
		"a zero field":        "a3" + "00" + "01" + "02" + "50" + strings.Repeat("00", 16) + "04" + "00",
		"an empty text":       "a3" + "00" + "01" + "02" + "50" + strings.Repeat("00", 16) + "05" + "60",
		"an empty list":       "a3" + "00" + "01" + "02" + "50" + strings.Repeat("00", 16) + "0e" + "80",
		"estimated as 2":      "a3" + "00" + "01" + "02" + "50" + strings.Repeat("00", 16) + "12" + "02",
		"no event":            "a1" + "00" + "01",
		"a short event":       "a2" + "00" + "01" + "02" + "4f" + strings.Repeat("00", 15),
		"a long event":        "a2" + "00" + "01" + "02" + "51" + strings.Repeat("00", 17),
		"an unknown key":      "a3" + "00" + "01" + "02" + "50" + strings.Repeat("00", 16) + "1826" + "01",
		"version 2":           "a2" + "00" + "02" + "02" + "50" + strings.Repeat("00", 16),
		"text that is not":    "a3" + "00" + "01" + "02" + "50" + strings.Repeat("00", 16) + "05" + "61ff",
		"a negative number":   "a3" + "00" + "01" + "02" + "50" + strings.Repeat("00", 16) + "04" + "20",
		"a huge array":        "a3" + "00" + "01" + "02" + "50" + strings.Repeat("00", 16) + "0e" + "9affffffff",
		"a huge text":         "a3" + "00" + "01" + "02" + "50" + strings.Repeat("00", 16) + "05" + "7bffffffffffffffff",
		"a tag":               "c0a1" + "00" + "01",
		"a triple of a count": "a3" + "00" + "01" + "02" + "50" + strings.Repeat("00", 16) + "0f" + "81" + "83" + "6161" + "01" + "01",
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		spellings++
		if l, err := DecodeLeaf(b); err == nil {
			t.Errorf("%s is read as %s", what, dump(l))
		}
	}
	if spellings < 100 {
		t.Fatalf("only %d spellings were tried", spellings)
	}
	big := Leaf{Version: 1, Kind: strings.Repeat("x", MaxLeaf)}
	if _, err := big.Encode(); err == nil {
		t.Error("a leaf above the limit is written")
	}
}

// TestTree compares peaks and tiles with tlog: proofs made from the tiles alone hold for every entry and every pair of
// sizes.
func TestTree(t *testing.T) {
	const n = 512
	l := newTestLog(t, n, 0)
	var p Peaks
	roots := []Hash{EmptyRoot()}
	for i, h := range l.hashes {
		p.Add(h)
		again, err := ParsePeaks(p.Size, p.Bytes())
		if err != nil || again.Root() != p.Root() {
			t.Fatalf("peaks of %d entries: %v", i+1, err)
		}
		roots = append(roots, p.Root())
	}
	for m := 1; m <= n; m += 37 { // the tiles of smaller trees authenticate each other
		root, err := tlog.TreeHash(int64(m), tlog.TileHashReader(tlog.Tree{N: int64(m), Hash: roots[m]}, tileHashes(l)))
		if err != nil || root != roots[m] {
			t.Fatalf("root of %d entries: %v", m, err)
		}
	}
	tree := tlog.Tree{N: n, Hash: roots[n]}
	r := tileHashes(l)
	if _, err := tlog.TreeHash(n, tlog.TileHashReader(tree, r)); err != nil {
		t.Fatal(err)
	}
	for m := 1; m <= n; m++ {
		tree := tlog.Tree{N: int64(m), Hash: roots[m]}
		for i := range m {
			proof, err := tlog.ProveRecord(int64(m), int64(i), r)
			if err == nil {
				err = tlog.CheckRecord(proof, tree.N, tree.Hash, int64(i), l.hashes[i])
			}
			if err != nil {
				t.Fatalf("entry %d in %d: %v", i, m, err)
			}
		}
		for k := 1; k <= m; k++ {
			proof, err := tlog.ProveTree(int64(m), int64(k), r)
			if err == nil {
				err = tlog.CheckTree(proof, tree.N, tree.Hash, int64(k), roots[k])
			}
			if err != nil {
				t.Fatalf("%d entries in %d: %v", k, m, err)
			}
		}
	}
	if _, err := ParsePeaks(3, make([]byte, 96)); err == nil {
		t.Error("three peaks are accepted for three entries")
	}
}

// tileReader computes each tile of a log once, and answers hashes from tiles alone.
type tileReader struct {
	l      *testLog
	tiles  map[tlog.Tile][]byte
	hashes map[int64]Hash // that came from tiles
}

func tileHashes(l *testLog) *tileReader {
	return &tileReader{l, map[tlog.Tile][]byte{}, map[int64]Hash{}}
}

func (r *tileReader) Height() int { return 8 }

func (r *tileReader) ReadTiles(tiles []tlog.Tile) (out [][]byte, err error) {
	for _, t := range tiles {
		if r.tiles[t] == nil {
			r.tiles[t] = r.l.tile(t.L, uint64(t.N), t.W)
		}
		out = append(out, r.tiles[t])
	}
	return out, nil
}

func (r *tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadHashes implements tlog.HashReader.
func (r *tileReader) ReadHashes(indexes []int64) ([]Hash, error) {
	hs := make([]Hash, len(indexes))
	for i, x := range indexes {
		if h, ok := r.hashes[x]; ok {
			hs[i] = h
			continue
		}
		t := tlog.TileForIndex(8, x) // the narrowest tile that has it
		data, _ := r.ReadTiles([]tlog.Tile{t})
		var err error
		if hs[i], err = tlog.HashFromTile(t, data[0], x); err != nil {
			return nil, err
		}
		r.hashes[x] = hs[i]
	}
	return hs, nil
}

func TestTilePath(t *testing.T) {
	for n, want := range map[uint64]string{0: "000", 999: "999", 1000: "x001/000", 1234067: "x001/x234/067"} {
		if got := TilePath(2, n, TileWidth); got != "tile/2/"+want {
			t.Errorf("tile %d is %s", n, got)
		}
		if got := EntriesPath(n, 7); got != "tile/entries/"+want+".p/7" {
			t.Errorf("entries %d are %s", n, got)
		}
		for _, width := range []int{1, 255, 256} {
			if got, ok := parseTileNumber(strings.Split(tileNumber(n, width), "/")); !ok || got != n {
				t.Errorf("%s is read as %d, %v", tileNumber(n, width), got, ok)
			}
		}
	}
}
