package bundle

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"iter"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Entry is one stored entry as a verifier meets it.
type Entry struct {
	N      uint64
	Hash   []byte // stored leaf hash, 32 bytes
	Leaf   []byte // nil: destroyed after its term, or outside the period of the bundle
	Salt   []byte // of the record key
	Sealed []byte // ciphertext; nil: erased, or there never was one

	Outside bool // the entry lies outside the period of the bundle: only its hash is here
	Omitted bool // the sealed part was left out of the bundle on purpose

	Row     bool    // the columns below were stored beside the leaf and have to agree with it
	Opening *uint64 // number of the opening that this entry ends
	Key     string  // reference of the sealing key
}

// Log is what a check reads: a live database or an exported bundle.
type Log struct {
	Origin      string
	Size        uint64                                               // entries that have to be there
	Key         string                                               // note verifier key of the log
	Entries     iter.Seq2[Entry, error]                              // all of them, in order
	Tile        func(level int, n uint64) ([]byte, error)            // stored full tile; nil where the reader stores none
	Partial     func(level int, n uint64, width int) ([]byte, error) // stored partial tile above level 0; may be nil
	Checkpoints []Signed                                             // in any order
	Trust       Trust                                                // what the reader knows from elsewhere
	Also        func(e Entry, l *Leaf) error                         // further check of an entry that is sound so far; may be nil
	Reduced     bool                                                 // the leaves are those of a part of the log only
}

// Signed is a stored checkpoint: the size it is filed under and the note itself.
type Signed struct {
	Size uint64
	Note string
	What string // where it stands, for messages: "checkpoint", "mark", "trusted checkpoint"
}

// Bad is the first thing that is wrong. Entry is nil where no entry can be named.
type Bad struct {
	Entry *uint64 `json:"entry"`
	What  string  `json:"what"`
}

// Report is the result of a verification.
type Report struct {
	OK          bool   `json:"ok"`
	Entries     uint64 `json:"entries"`     // leaves that were read and hashed
	Size        uint64 `json:"size"`        // entries of the log
	Root        string `json:"root"`        // base64 of the root over all entries
	Checkpoints int    `json:"checkpoints"` // that were verified
	FirstBad    *Bad   `json:"first_bad"`
	Trusted     bool   `json:"trusted"` // key or a checkpoint was confirmed from outside

	Origin      string `json:"origin"`
	Fingerprint string `json:"fingerprint"` // of the log key, SHA-256
	Sealed      uint64 `json:"sealed"`      // sealed parts whose hash was compared
	Erased      uint64 `json:"erased"`      // sealed parts and leaves that are gone with an entry that says so
	Open        uint64 `json:"open"`        // openings without an end: calls in flight
	Stops       uint64 `json:"stops"`       // entries that raised the epoch
	Epoch       uint64 `json:"epoch"`       // of the last entry that says one
	Covered     uint64 `json:"covered"`     // entries below the largest verified checkpoint
	Reduced     bool   `json:"reduced"`     // the bundle holds leaves or sealed parts of a part of the log only

	Period   *Span     `json:"period,omitempty"`   // of a bundle: the entries that it is about
	Settings []Setting `json:"settings,omitempty"` // of a bundle: of the database, which durability rests on
}

func (r *Report) bad(n uint64, format string, args ...any) {
	r.OK = false
	if r.FirstBad == nil || r.FirstBad.Entry == nil || n < *r.FirstBad.Entry {
		r.FirstBad = &Bad{Entry: &n, What: fmt.Sprintf(format, args...)}
	}
}

func (r *Report) badFile(format string, args ...any) {
	r.OK = false
	if r.FirstBad == nil {
		r.FirstBad = &Bad{What: fmt.Sprintf(format, args...)}
	}
}

// checker walks the entries of one log in order.
type checker struct {
	log    Log
	report *Report
	peaks  Peaks
	tiles  [8][]Hash // hashes of the tile that is being filled, by level
	keys   note.Verifiers
	next   int // checkpoints below it are verified

	cut     bool // the entries could not be read to their end
	doubt   bool // the wrong entry is as it was written, but does not fit those before it
	leafNow Leaf // the leaf that is being checked
	read    leafReader
	sum     hash.Hash // SHA-256
	buf     []byte    // what sum gives, or what is hashed

	epoch    uint64 // 0 = not known yet, or not known any more after entries outside the period
	least    uint64 // the newest epoch that was seen: no later one is smaller
	open     map[uint64]bool
	ended    map[uint64]bool   // openings that have an end but whose own leaf was not seen
	outside  []Span            // entries outside the period
	gone     []Span            // leaves that are not there
	unsealed map[sealer][]Span // sealed parts that are not there
	erased   map[string][]Span // sealed parts that may be gone, by system; "" = of any system
	retained []Span            // leaves that may be gone
	shredded map[string]bool   // keys that an entry says are destroyed
}

// sealer is what an explanation of a missing sealed part can name.
type sealer struct{ key, system string }

// Check verifies a log: every leaf is canonical and hashes to what is stored, tiles and every checkpoint follow from the
// leaves, sealed parts are unchanged, what is missing is explained by an entry, every call has one end, and no call
// opened under rules older than the newest change before it. It stops at the first entry that is wrong.
func Check(ctx context.Context, l Log) *Report {
	r := &Report{OK: true, Size: l.Size, Origin: l.Origin, Reduced: l.Reduced}
	c := &checker{log: l, report: r, read: leafReader{names: map[string]string{}}, sum: sha256.New(), open: map[uint64]bool{}, ended: map[uint64]bool{}, shredded: map[string]bool{}, erased: map[string][]Span{}, unsealed: map[sealer][]Span{}}
	v, err := note.NewVerifier(l.Key)
	if err != nil {
		r.badFile("the log key cannot be read: %v", err)
		return r
	}
	r.Fingerprint, _ = Fingerprint(l.Key) // NewVerifier has read the key
	if v.Name() != l.Origin {
		r.badFile("the log key is for %q, the log is %q", v.Name(), l.Origin)
		return r
	}
	c.keys = note.VerifierList(v)
	confirmed, trusted, err := l.Trust.confirm(l.Key, l.Origin)
	if err != nil {
		r.badFile("%v", err)
	}
	c.log.Checkpoints = slices.Concat(l.Checkpoints, trusted)
	slices.SortStableFunc(c.log.Checkpoints, func(a, b Signed) int { return cmp.Compare(a.Size, b.Size) })
	defer func() { r.Trusted = r.OK && (confirmed || len(trusted) > 0) }()
	c.checkpoints()
	for e, err := range l.Entries {
		if ctx.Err() != nil {
			r.badFile("stopped: %v", ctx.Err())
			return r
		}
		if err != nil {
			if r.OK {
				r.bad(c.peaks.Size, "%v", err)
			}
			c.cut = true
			break
		}
		if !r.OK && r.FirstBad.Entry != nil && *r.FirstBad.Entry < e.N {
			c.after(e)
			continue
		}
		if err := c.entry(e); err != nil {
			r.bad(min(e.N, c.peaks.Size), "%v", err)
			continue
		}
		c.checkpoints()
	}
	if r.OK {
		c.end()
	} else if c.doubt && !c.cut {
		c.unexplainedLeaf(mergeSpans(c.retained))
	}
	root := c.peaks.Root()
	r.Root = root.String()
	return r
}

func (c *checker) entry(e Entry) error {
	if e.N != c.peaks.Size {
		return fmt.Errorf("entry %d is missing", c.peaks.Size)
	}
	if c.peaks.Size >= c.log.Size {
		return fmt.Errorf("more entries than the %d that the log says it has", c.log.Size)
	}
	if len(e.Hash) != tlog.HashSize {
		return fmt.Errorf("the stored leaf hash has %d bytes", len(e.Hash))
	}
	hash := Hash(e.Hash)
	switch {
	case e.Leaf != nil:
		if c.leafHash(e.Leaf) != hash {
			return fmt.Errorf("the leaf does not have the hash that is stored for it")
		}
		if err := c.read.read(&c.leafNow, e.Leaf); err != nil {
			return err
		}
		if err := c.leaf(e, &c.leafNow); err != nil {
			return err
		}
		c.report.Entries++
	case e.Outside:
		c.outside = AddSpan(c.outside, e.N)
		c.epoch = 0
	default:
		if e.Sealed != nil || e.Salt != nil || e.Omitted {
			return fmt.Errorf("a sealed part without its leaf")
		}
		if hash == (Hash{}) { // no leaf hashes to zeros: the exporter found no entry
			return fmt.Errorf("the entry is missing")
		}
		if e.Row && (e.Key != "" || e.Opening != nil) {
			return fmt.Errorf("the leaf is gone, but not what was stored beside it")
		}
		c.gone = AddSpan(c.gone, e.N)
	}
	c.peaks.Add(hash)
	return c.tile(0, e.N, hash)
}

// leafHash is LeafHash with a buffer that is used again.
func (c *checker) leafHash(leaf []byte) Hash {
	c.buf = append(append(c.buf[:0], 0), leaf...)
	return sha256.Sum256(c.buf)
}

// sealedHash is SealedHash with a buffer that is used again.
func (c *checker) sealedHash(salt, sealed []byte) []byte {
	c.sum.Reset()
	c.sum.Write(salt)
	c.sum.Write(sealed)
	c.buf = c.sum.Sum(c.buf[:0])
	return c.buf
}

func (c *checker) leaf(e Entry, l *Leaf) error {
	if e.Row {
		if e.Key != l.Key {
			return fmt.Errorf("the key reference stored beside the leaf is not the leaf's")
		}
		var ends *uint64
		if l.Type.Ends() {
			ends = l.Ref
		}
		if (e.Opening == nil) != (ends == nil) || (ends != nil && *ends != *e.Opening) {
			return fmt.Errorf("the opening stored beside the leaf is not the leaf's")
		}
	}
	switch {
	case len(l.HSealed) == 0:
		if e.Sealed != nil || e.Salt != nil || e.Omitted {
			return fmt.Errorf("a sealed part that the leaf does not know")
		}
	case e.Omitted:
	case e.Sealed == nil && e.Salt == nil:
		s := sealer{l.Key, l.System}
		c.unsealed[s] = AddSpan(c.unsealed[s], e.N)
	case !bytes.Equal(c.sealedHash(e.Salt, e.Sealed), l.HSealed):
		return fmt.Errorf("the sealed part was changed: its hash is not the one in the leaf")
	default:
		c.report.Sealed++
	}
	if c.log.Also != nil {
		if err := c.log.Also(e, l); err != nil {
			return err
		}
	}
	if err := c.rules(e.N, l); err != nil {
		c.doubt = true
		return err
	}
	return nil
}

// rules are what entries say together: epochs rise one by one, each call has one end.
func (c *checker) rules(n uint64, l *Leaf) error {
	switch {
	case l.Type.Governs():
		if c.epoch != 0 && l.Epoch != c.epoch+1 || l.Epoch <= c.least {
			return fmt.Errorf("a change of what is allowed with epoch %d after epoch %d", l.Epoch, c.least)
		}
		c.sawEpoch(l.Epoch)
		c.report.Stops++
	case l.Type == CallOpen:
		if c.epoch != 0 && l.Epoch != c.epoch || l.Epoch < c.least {
			return fmt.Errorf("a call opened under the rules of epoch %d after epoch %d had begun", l.Epoch, c.least)
		}
		c.sawEpoch(l.Epoch)
		c.open[n] = true
	case l.Type.Ends():
		if l.Ref == nil || *l.Ref >= n {
			return fmt.Errorf("the end of a call that names no opening before it")
		}
		ref := *l.Ref
		switch {
		case c.open[ref]:
			delete(c.open, ref)
		case !c.ended[ref] && (inSpans(c.gone, ref) || inSpans(c.outside, ref)):
			c.ended[ref] = true
		default:
			return fmt.Errorf("a second end of call %d, or the end of an entry that opened none", ref)
		}
	case l.Type == Erase || l.Type == Retain:
		c.explanation(l)
	case n == 0 && (l.Type == LogStart || l.Type == LogFork): // a later start may race with a change on another node
		c.sawEpoch(l.Epoch)
	}
	return nil
}

// after reads an entry after a wrong one: the tree goes on, so that a tile can name an entry further down, and so do
// the explanations of what is missing.
func (c *checker) after(e Entry) {
	if len(e.Hash) != tlog.HashSize {
		return
	}
	hash := Hash(e.Hash)
	if e.N == c.peaks.Size && e.N < c.log.Size {
		c.peaks.Add(hash)
		if err := c.tile(0, e.N, hash); err != nil {
			c.report.bad(e.N, "%v", err)
		}
	}
	if e.Leaf == nil || LeafHash(e.Leaf) != hash {
		return
	}
	if c.read.read(&c.leafNow, e.Leaf) == nil && (c.leafNow.Type == Erase || c.leafNow.Type == Retain) {
		c.explanation(&c.leafNow)
	}
}

// explanation takes up what an erase or retain entry says is gone.
func (c *checker) explanation(l *Leaf) {
	for _, s := range l.Entries {
		switch {
		case s.From >= s.To:
		case l.Type == Retain && l.System == "":
			c.retained = append(c.retained, s)
		default:
			c.erased[l.System] = append(c.erased[l.System], s)
		}
	}
	for _, k := range l.Keys {
		c.shredded[k] = true
	}
}

func (c *checker) sawEpoch(epoch uint64) {
	c.epoch, c.least, c.report.Epoch = epoch, epoch, epoch
}

// tile takes a hash into the tile of its level and compares the tile with the stored one when it is full.
func (c *checker) tile(level int, index uint64, h Hash) error {
	if c.log.Tile == nil || level >= len(c.tiles) { // eight levels are 2^64 entries
		return nil
	}
	c.tiles[level] = append(c.tiles[level], h)
	if len(c.tiles[level]) < TileWidth {
		return nil
	}
	full := c.tiles[level]
	n := index / TileWidth
	stored, err := c.log.Tile(level, n)
	if err != nil {
		return err
	}
	width := uint64(1) << (8 * level) // entries below one hash of this level
	c.tiles[level] = full[:0]         // full itself stays until the next hash of this level
	hs, err := ParseHashes(stored)
	if err != nil || len(hs) != TileWidth {
		c.report.bad(n*TileWidth*width, "%s has %d bytes instead of %d", TilePath(level, n, TileWidth), len(stored), TileWidth*tlog.HashSize)
		return nil
	}
	for i := range hs {
		if hs[i] != full[i] {
			c.report.bad((n*TileWidth+uint64(i))*width, "%s holds another hash than the leaves give", TilePath(level, n, TileWidth))
			return nil
		}
	}
	root := SubtreeRoot(full)
	return c.tile(level+1, n, root)
}

// partial compares the tiles above level 0 that the log does not fill.
func (c *checker) partial() {
	if c.log.Partial == nil {
		return
	}
	for level := 1; level < len(c.tiles); level++ {
		width := len(c.tiles[level])
		if width == 0 {
			continue
		}
		below := uint64(1) << (8 * level)
		n := c.log.Size / below / TileWidth
		stored, err := c.log.Partial(level, n, width)
		if err != nil {
			c.report.bad(n*TileWidth*below, "%v", err)
			return
		}
		hs, err := ParseHashes(stored)
		if err != nil || len(hs) != width {
			c.report.bad(n*TileWidth*below, "%s has %d bytes instead of %d", TilePath(level, n, width), len(stored), width*tlog.HashSize)
			return
		}
		for i := range hs {
			if hs[i] != c.tiles[level][i] {
				c.report.bad((n*TileWidth+uint64(i))*below, "%s holds another hash than the leaves give", TilePath(level, n, width))
				return
			}
		}
	}
}

// checkpoints verifies every checkpoint that the tree has now reached.
func (c *checker) checkpoints() {
	for c.next < len(c.log.Checkpoints) {
		s := c.log.Checkpoints[c.next]
		if s.Size > c.peaks.Size {
			return
		}
		c.next++
		c.checkpoint(s)
	}
}

func (c *checker) checkpoint(s Signed) {
	what := s.What
	if what == "" {
		what = "checkpoint"
	}
	last := max(s.Size, 1) - 1 // the last entry that it covers
	cp, err := OpenCheckpoint(s.Note, c.keys)
	switch {
	case err != nil:
		c.report.bad(last, "%s for %d entries: %v", what, s.Size, err)
	case cp.Origin != c.log.Origin:
		c.report.bad(last, "%s for %d entries belongs to the log %q", what, s.Size, cp.Origin)
	case cp.Size != s.Size:
		c.report.bad(min(last, cp.Size), "%s filed for %d entries was signed for %d", what, s.Size, cp.Size)
	case cp.Size != c.peaks.Size:
		c.report.bad(c.peaks.Size, "%s was signed for %d entries, the log ends before", what, s.Size)
	case cp.Root != c.peaks.Root():
		c.report.bad(last, "%s for %d entries was signed for another root than the entries give", what, s.Size)
	default:
		c.report.Checkpoints++
		c.report.Covered = max(c.report.Covered, cp.Size)
	}
}

// end looks at what can only be said after the last entry.
func (c *checker) end() {
	r := c.report
	if c.peaks.Size < c.log.Size {
		r.bad(c.peaks.Size, "the entries %d to %d are missing", c.peaks.Size, c.log.Size-1)
		return
	}
	if c.next < len(c.log.Checkpoints) {
		c.checkpoint(c.log.Checkpoints[c.next])
		return
	}
	if c.partial(); !r.OK {
		return
	}
	if c.unexplained(); r.OK {
		r.Open = uint64(len(c.open))
	}
}

// unexplained looks for entries whose leaf or sealed part is gone without an entry that says why.
func (c *checker) unexplained() {
	r := c.report
	retained := mergeSpans(c.retained)
	c.unexplainedLeaf(retained)
	for system, spans := range c.erased {
		c.erased[system] = mergeSpans(spans)
	}
	for s, spans := range c.unsealed {
		for _, u := range spans {
			r.Erased += u.To - u.From
			if c.shredded[s.key] {
				continue
			}
			for n := u.From; n < u.To; n++ {
				if !inSpans(c.erased[s.system], n) && !inSpans(c.erased[""], n) && !inSpans(retained, n) {
					r.bad(n, "the sealed part is gone and no entry says why") // the smallest one is kept
					break
				}
			}
		}
	}
}

// unexplainedLeaf names the first leaf that is gone without an entry that says why. Its absence can make a later entry
// look wrong.
func (c *checker) unexplainedLeaf(retained []Span) {
	for _, g := range c.gone {
		for n := g.From; n < g.To; n++ {
			if !inSpans(retained, n) {
				c.report.bad(n, "the leaf is gone and no entry says why")
				return
			}
			c.report.Erased++
		}
	}
}

// AddSpan adds the number n to spans that rise.
func AddSpan(spans []Span, n uint64) []Span {
	if k := len(spans) - 1; k >= 0 && spans[k].To == n {
		spans[k].To++
		return spans
	}
	return append(spans, Span{n, n + 1})
}

// mergeSpans sorts spans and joins those that touch.
func mergeSpans(spans []Span) []Span {
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	out := spans[:0]
	for _, s := range spans {
		if k := len(out) - 1; k >= 0 && s.From <= out[k].To {
			out[k].To = max(out[k].To, s.To)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// inSpans reports whether n lies in one of the sorted, disjoint spans.
func inSpans(spans []Span, n uint64) bool {
	i, _ := slices.BinarySearchFunc(spans, n, func(s Span, n uint64) int {
		switch {
		case s.To <= n:
			return -1
		case s.From > n:
			return 1
		}
		return 0
	})
	return i < len(spans) && spans[i].From <= n && n < spans[i].To
}
