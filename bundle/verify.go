package bundle

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Verify checks a bundle, a zip file or a folder, without the product and without a network: every byte of the container,
// the manifest and its signature, and the log as Check does. An error is given only for a path that cannot be opened;
// whatever is wrong with the bundle stands in the report. Contents come first, so that an entry is named where one can be.
func Verify(ctx context.Context, path string, trust Trust) (*Report, error) {
	c, err := openContainer(path)
	if err != nil {
		if bad, ok := errors.AsType[badContainer](err); ok {
			r := new(Report)
			r.badFile("%s", bad)
			return r, nil
		}
		return nil, err
	}
	defer c.Close()
	v := &reader{c: c}
	return v.run(ctx, trust), nil
}

// reader reads one bundle of format v1.
type reader struct {
	c       *container
	m       *Manifest
	key     logKey
	info    map[string]*FileInfo
	looked  map[string]bool // files whose hash was compared
	changed error           // the first file that does not have the hash of the manifest

	entries map[uint64]bool // entry bundles that are here
	older   []uint64        // sizes of the files in checkpoints/

	tile, leaves, salt, sealed []byte // buffers
}

// run checks the bundle from outside to inside. What was found in one step is reported only if no later step names an
// entry; a step on which the later ones rest ends the run.
func (v *reader) run(ctx context.Context, trust Trust) *Report {
	r := &Report{OK: true}
	text, err := v.c.read(manifestPath, MaxManifest, nil)
	if err == nil {
		if v.m, err = DecodeManifest(text); err != nil {
			err = fmt.Errorf("%s: %w", manifestPath, err)
		}
	}
	if err != nil {
		r.badFile("%v", err)
		return r
	}
	r.Origin, r.Size, r.Reduced = v.m.Origin, v.m.Size, v.m.Reduced
	r.Period, r.Settings = &Span{v.m.From, v.m.To}, v.m.Settings
	if err := v.list(); err != nil {
		r.badFile("%v", err)
		return r
	}
	if err := v.keys(); err != nil {
		r.badFile("keys.json: %v", err)
		return r
	}
	own, err := note.NewVerifier(v.key.VKey)
	if err != nil {
		r.badFile("keys.json: %v", err)
		return r
	}
	keys := note.VerifierList(own)
	if err := v.signature(text, keys); err != nil {
		r.badFile("%v", err)
	}
	latest, err := v.c.read("checkpoint", maxSmall, nil)
	if err == nil {
		var cp Checkpoint
		if cp, err = OpenCheckpoint(string(latest), keys); err != nil {
			err = fmt.Errorf("checkpoint: %w", err)
		} else if cp.Origin != v.m.Origin || cp.Size != v.m.Size || cp.Root.String() != v.m.Root {
			err = errors.New("checkpoint: it is not of the log, size and root that the manifest says")
		}
	}
	if err != nil {
		r.badFile("%v", err)
		return r
	}
	list, err := v.checkpoints(string(latest))
	if err != nil {
		r.badFile("%v", err)
		return r
	}
	found := Check(ctx, Log{
		Origin: v.m.Origin, Size: v.m.Size, Key: v.key.VKey, Entries: v.walk, Tile: v.fullTile, Partial: v.hashTile,
		Checkpoints: list, Trust: trust, Reduced: v.m.Reduced,
	})
	found.Period, found.Settings = r.Period, r.Settings
	if !r.OK && (found.OK || found.FirstBad.Entry == nil) {
		found.OK, found.FirstBad = false, r.FirstBad
	}
	if found.OK {
		if err := v.rest(ctx); err != nil {
			found.badFile("%v", err)
		}
	}
	found.Trusted = found.Trusted && found.OK
	return found
}

// list compares the files of the container with those of the manifest, and those with what the format asks for.
func (v *reader) list() error {
	v.info, v.looked, v.entries = make(map[string]*FileInfo, len(v.m.Files)), map[string]bool{}, map[uint64]bool{}
	for i := range v.m.Files {
		f := &v.m.Files[i]
		size, ok := v.c.sizes[f.Path]
		if !ok {
			return fmt.Errorf("%s is listed in the manifest and is not in the bundle", f.Path)
		}
		if size != f.Bytes {
			return fmt.Errorf("%s has %d bytes, the manifest says %d", f.Path, size, f.Bytes)
		}
		v.info[f.Path] = f
	}
	for _, p := range sortedKeys(v.c.sizes) {
		if v.info[p] == nil && p != manifestPath && p != sigPath {
			return fmt.Errorf("%s is in the bundle and not in the manifest", p)
		}
	}
	return v.layout()
}

// layout checks that all files are there that the format asks for, and no others.
func (v *reader) layout() error {
	tiles, sealed := uint64(0), map[uint64]bool{}
	fixed := 0
	for i := range v.m.Files {
		f := &v.m.Files[i]
		part := strings.Split(f.Path, "/")
		switch {
		case f.Path == "README.txt" || f.Path == "checkpoint" || f.Path == "keys.json" || f.Path == "verify.py":
			fixed++
			if f.Bytes > maxSmall {
				return fmt.Errorf("%s has %d bytes, at most %d are read", f.Path, f.Bytes, maxSmall)
			}
		case part[0] == "checkpoints" && len(part) == 2:
			size, err := strconv.ParseUint(part[1], 10, 62)
			if err != nil || CheckpointPath(size) != f.Path || size >= v.m.Size || f.Bytes > maxSmall {
				return fmt.Errorf("%s does not belong to the bundle", f.Path)
			}
			v.older = append(v.older, size)
		case part[0] == "tile" && len(part) > 2 && part[1] != "entries":
			level, err := strconv.Atoi(part[1])
			n, ok := parseTileNumber(part[2:])
			if err != nil || !ok || level < 0 || level > 7 {
				return fmt.Errorf("%s does not belong to the bundle", f.Path)
			}
			width := v.width(level, n)
			if width == 0 || f.Path != TilePath(level, n, width) || f.Bytes != uint64(width)*tlog.HashSize {
				return fmt.Errorf("%s does not belong to a log of %d entries", f.Path, v.m.Size)
			}
			tiles++
		case part[0] == "tile" && len(part) > 2, part[0] == "payloads" && len(part) > 2 && part[1] == "sealed":
			n, ok := parseTileNumber(part[2:])
			width := v.width(0, n)
			want, here := EntriesPath(n, width), v.entries
			if part[0] == "payloads" {
				want, here = SealedPath(n, width), sealed
			} else if f.Bytes > uint64(width)*(2+MaxLeaf) {
				return fmt.Errorf("%s has %d bytes", f.Path, f.Bytes)
			}
			if !ok || width == 0 || f.Path != want {
				return fmt.Errorf("%s does not belong to a log of %d entries", f.Path, v.m.Size)
			}
			here[n] = true
		default:
			return fmt.Errorf("%s does not belong to the bundle", f.Path)
		}
	}
	if fixed != 4 {
		return errors.New("README.txt, checkpoint, keys.json or verify.py is missing")
	}
	want := uint64(0)
	for level := 0; v.m.Size>>(8*level) > 0; level++ {
		want += (v.m.Size>>(8*level) + TileWidth - 1) / TileWidth
	}
	if tiles != want {
		return fmt.Errorf("%d tiles are here, a log of %d entries has %d", tiles, v.m.Size, want)
	}
	for _, n := range sortedKeys(v.entries) {
		if !sealed[n] {
			return fmt.Errorf("%s is missing", SealedPath(n, v.width(0, n)))
		}
	}
	if len(sealed) != len(v.entries) {
		return errors.New("there are sealed parts without their entries")
	}
	if v.m.From < v.m.To {
		for n := v.m.From / TileWidth; n <= (v.m.To-1)/TileWidth; n++ {
			if !v.entries[n] {
				return fmt.Errorf("%s is missing", EntriesPath(n, v.width(0, n)))
			}
		}
	}
	if !v.m.Reduced && uint64(len(v.entries)) != (v.m.Size+TileWidth-1)/TileWidth {
		return errors.New("entries are missing, and the manifest does not say so")
	}
	return nil
}

// width is how many hashes the n-th tile of a level has, 0 where the log has no such tile.
func (v *reader) width(level int, n uint64) int {
	all := v.m.Size >> (8 * level)
	if n > all/TileWidth {
		return 0
	}
	return int(min(all-n*TileWidth, TileWidth))
}

// parseTileNumber reads the part of a path that tileNumber writes; the caller compares the whole path with its only
// spelling.
func parseTileNumber(part []string) (uint64, bool) {
	var n uint64
	for i, s := range part {
		s = strings.TrimSuffix(strings.TrimPrefix(s, "x"), ".p")
		if i > 0 && strings.HasSuffix(part[i-1], ".p") {
			return n, i == len(part)-1 // the width
		}
		k, err := strconv.ParseUint(s, 10, 10)
		if err != nil || len(s) != 3 || n > maxEntries/1000 {
			return 0, false
		}
		n = n*1000 + k
	}
	return n, true
}

func (v *reader) keys() error {
	b, err := v.c.read("keys.json", maxSmall, nil)
	if err != nil {
		return err
	}
	if err := decodeJSON(b, &v.key); err != nil {
		return err
	}
	return v.key.check(v.m.Origin)
}

func (v *reader) signature(manifest []byte, keys note.Verifiers) error {
	sig, err := v.c.read(sigPath, maxSmall, nil)
	if err != nil {
		return err
	}
	text, err := openNote(string(sig), keys)
	if err != nil {
		return fmt.Errorf("%s: %w", sigPath, err)
	}
	if text != manifestText(manifest) {
		return fmt.Errorf("%s is not the one that was signed", manifestPath)
	}
	return nil
}

// checkpoints lists all checkpoints by size; of one size the bundle's comes before a trusted one.
func (v *reader) checkpoints(latest string) ([]Signed, error) {
	var list []Signed
	for _, size := range v.older {
		b, err := v.c.read(CheckpointPath(size), maxSmall, nil)
		if err != nil {
			return nil, err
		}
		list = append(list, Signed{Size: size, Note: string(b)})
	}
	return append(list, Signed{Size: v.m.Size, Note: latest}), nil
}

// walk yields all entries of the log in order.
func (v *reader) walk(yield func(Entry, error) bool) {
	for n := uint64(0); n*TileWidth < v.m.Size; n++ {
		if !v.walkBundle(n, yield) {
			return
		}
	}
}

// walkBundle yields the entries of one entry bundle, or only their hashes where the bundle is not here.
func (v *reader) walkBundle(n uint64, yield func(Entry, error) bool) bool {
	width := v.width(0, n)
	var err error
	if v.tile, err = v.read(TilePath(0, n, width), v.tile); err != nil {
		return yield(Entry{}, err)
	}
	first := n * TileWidth
	if !v.entries[n] {
		for i := range width {
			if !yield(Entry{N: first + uint64(i), Hash: v.tile[i*tlog.HashSize : (i+1)*tlog.HashSize], Outside: true}, nil) {
				return false
			}
		}
		return true
	}
	name := EntriesPath(n, width)
	if v.leaves, err = v.read(name, v.leaves); err != nil {
		return yield(Entry{}, err)
	}
	path := SealedPath(n, width)
	f, err := v.c.open(path)
	if err != nil {
		return yield(Entry{}, err)
	}
	defer f.Close()
	t := newTally(io.Discard)
	sealed := &sealedReader{r: bufio.NewReaderSize(io.TeeReader(f, t), 64<<10), left: v.info[path].Bytes, name: path}
	rest := v.leaves
	for i := range width {
		e := Entry{N: first + uint64(i), Hash: v.tile[i*tlog.HashSize : (i+1)*tlog.HashSize]}
		if e.Leaf, rest, err = v.leaf(name, rest, e.Hash); err == nil {
			err = sealed.next(&e, v)
		}
		if !yield(e, err) || err != nil {
			return false
		}
	}
	if len(rest) > 0 {
		return yield(Entry{}, fmt.Errorf("%s has %d bytes after its last entry", name, len(rest)))
	}
	if sealed.left > 0 {
		return yield(Entry{}, fmt.Errorf("%s has %d bytes after its last part", path, sealed.left))
	}
	v.compare(path, t.crc, [32]byte(t.sum.Sum(nil)))
	return true
}

// leaf takes the next leaf from an entry bundle. A leaf of length 0 was destroyed; in a file that was changed it may be
// one whose length was changed, which is found by its hash.
func (v *reader) leaf(name string, b, hash []byte) (leaf, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, fmt.Errorf("%s ends before this entry", name)
	}
	n := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	switch {
	case n > len(b):
		return nil, nil, fmt.Errorf("%s ends within this entry", name)
	case n > 0:
		return b[:n:n], b[n:], nil
	case v.changed != nil:
		for k := 1; k <= min(len(b), MaxLeaf); k *= 2 {
			if h := LeafHash(b[:k]); string(h[:]) == string(hash) {
				return nil, nil, fmt.Errorf("the length of the leaf was changed to 0 in %s", name)
			}
		}
	}
	return nil, b, nil
}

// sealedReader reads the records of a file of payloads/sealed.
type sealedReader struct {
	r    *bufio.Reader
	left uint64
	name string
}

// next reads the record of one entry.
func (s *sealedReader) next(e *Entry, v *reader) error {
	state, err := s.take(1, &v.salt)
	if err != nil {
		return err
	}
	switch state[0] {
	case sealedNone:
		return nil
	case sealedOmitted:
		if v.m.System == "" {
			return fmt.Errorf("%s leaves a part out, and the manifest does not say so", s.name)
		}
		e.Omitted = true
		return nil
	case sealedHere:
	default:
		return fmt.Errorf("%s has an unknown record", s.name)
	}
	n, err := s.take(1, &v.salt)
	if err != nil {
		return err
	}
	if e.Salt, err = s.take(uint64(n[0]), &v.salt); err != nil {
		return err
	}
	size, err := s.take(4, &v.sealed)
	if err != nil {
		return err
	}
	k := binary.BigEndian.Uint32(size)
	if k > MaxSealed {
		return fmt.Errorf("%s has a sealed part of %d bytes", s.name, k)
	}
	e.Sealed, err = s.take(uint64(k), &v.sealed)
	return err
}

// take reads n bytes into a buffer that grows at most to what is left of the file.
func (s *sealedReader) take(n uint64, buf *[]byte) ([]byte, error) {
	if n > s.left {
		return nil, fmt.Errorf("%s ends within this entry's sealed part", s.name)
	}
	*buf = slices.Grow((*buf)[:0], int(n))[:n]
	if _, err := io.ReadFull(s.r, *buf); err != nil {
		return nil, fmt.Errorf("%s cannot be read", s.name)
	}
	s.left -= n
	return *buf, nil
}

func (v *reader) fullTile(level int, n uint64) ([]byte, error) {
	if level == 0 {
		return v.tile, nil // just read by walkBundle
	}
	return v.read(TilePath(level, n, TileWidth), nil)
}

func (v *reader) hashTile(level int, n uint64, width int) ([]byte, error) {
	return v.read(TilePath(level, n, width), nil)
}

// read returns a whole file of the manifest and compares its hash.
func (v *reader) read(path string, buf []byte) ([]byte, error) {
	b, err := v.c.read(path, v.info[path].Bytes, buf)
	if err == nil {
		v.compare(path, crc32.ChecksumIEEE(b), sha256.Sum256(b))
	}
	return b, err
}

// compare notes the first file that is not what manifest and container say.
func (v *reader) compare(path string, crc uint32, sum [sha256.Size]byte) {
	v.looked[path] = true
	if v.changed != nil {
		return
	}
	if hex.EncodeToString(sum[:]) != v.info[path].SHA256 {
		v.changed = fmt.Errorf("%s does not have the SHA-256 that the manifest says", path)
	} else if want, ok := v.c.crc[path]; ok && want != crc {
		v.changed = fmt.Errorf("%s does not have the checksum that the zip says", path)
	}
}

// rest compares the files that the check of the log did not read, and says which file is not what it should be.
func (v *reader) rest(ctx context.Context) error {
	for i := range v.m.Files {
		f := &v.m.Files[i]
		if v.looked[f.Path] {
			continue
		}
		if ctx.Err() != nil {
			return fmt.Errorf("stopped: %w", ctx.Err())
		}
		t := newTally(io.Discard)
		r, err := v.c.open(f.Path)
		if err != nil {
			return fmt.Errorf("%s cannot be read", f.Path)
		}
		_, err = io.Copy(t, r)
		r.Close()
		if err != nil || t.n != f.Bytes {
			return fmt.Errorf("%s cannot be read to its end", f.Path)
		}
		v.compare(f.Path, t.crc, [32]byte(t.sum.Sum(nil)))
	}
	for _, p := range [...]string{manifestPath, sigPath} { // not in the manifest: only the zip says a checksum
		b, err := v.c.read(p, MaxManifest, nil)
		if err != nil {
			return err
		}
		if want, ok := v.c.crc[p]; ok && want != crc32.ChecksumIEEE(b) {
			return fmt.Errorf("%s does not have the checksum that the zip says", p)
		}
	}
	return v.changed
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	list := make([]K, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
