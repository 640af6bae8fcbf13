package bundle

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// TileWidth is the number of hashes in a full tile (C2SP tlog-tiles v0.1.0, height 8).
const TileWidth = 256

// Hash is a hash of the tree: SHA-256 with the prefixes of RFC 6962.
type Hash = tlog.Hash

// LeafHash is the hash of an encoded leaf, SHA-256(0x00 ‖ leaf).
func LeafHash(leaf []byte) Hash { return tlog.RecordHash(leaf) }

// EmptyRoot is the root of a tree without leaves: SHA-256 of nothing.
func EmptyRoot() Hash {
	h, _ := tlog.TreeHash(0, nil) // cannot fail for size 0
	return h
}

// Peaks are the roots of the perfect subtrees of a tree, largest first: all that an append needs to know of it.
type Peaks struct {
	Size   uint64
	Hashes []Hash // as many as Size has bits set
}

// Add appends one leaf hash.
func (p *Peaks) Add(h Hash) {
	for n := p.Size; n&1 == 1; n >>= 1 {
		last := len(p.Hashes) - 1
		h = tlog.NodeHash(p.Hashes[last], h)
		p.Hashes = p.Hashes[:last]
	}
	p.Hashes = append(p.Hashes, h)
	p.Size++
}

// Root is the root of the whole tree.
func (p *Peaks) Root() Hash {
	if len(p.Hashes) == 0 {
		return EmptyRoot()
	}
	h := p.Hashes[len(p.Hashes)-1]
	for i := len(p.Hashes) - 2; i >= 0; i-- {
		h = tlog.NodeHash(p.Hashes[i], h)
	}
	return h
}

// Bytes joins the hashes; ParsePeaks reads them back.
func (p *Peaks) Bytes() []byte {
	b := make([]byte, 0, len(p.Hashes)*tlog.HashSize)
	for _, h := range p.Hashes {
		b = append(b, h[:]...)
	}
	return b
}

// ParsePeaks reads joined hashes for a tree of that size.
func ParsePeaks(size uint64, b []byte) (Peaks, error) {
	hs, err := ParseHashes(b)
	if err == nil && len(hs) != bits.OnesCount64(size) {
		err = fmt.Errorf("%d peaks do not fit a tree of %d entries", len(hs), size)
	}
	return Peaks{Size: size, Hashes: hs}, err
}

// ParseHashes splits joined hashes.
func ParseHashes(b []byte) ([]Hash, error) {
	if len(b)%tlog.HashSize != 0 {
		return nil, fmt.Errorf("%d bytes are not a list of hashes", len(b))
	}
	hs := make([]Hash, len(b)/tlog.HashSize)
	for i := range hs {
		copy(hs[i][:], b[i*tlog.HashSize:])
	}
	return hs, nil
}

// SubtreeRoot is the root of a perfect subtree with the given hashes at its bottom; their number is a power of two.
func SubtreeRoot(hs []Hash) Hash {
	level := append([]Hash(nil), hs...)
	for len(level) > 1 {
		for i := 0; i < len(level)/2; i++ {
			level[i] = tlog.NodeHash(level[2*i], level[2*i+1])
		}
		level = level[:len(level)/2]
	}
	return level[0]
}

// TilePath is the path of a tile of hashes in the layout of tlog-tiles; width TileWidth is a full tile.
func TilePath(level int, n uint64, width int) string {
	return "tile/" + strconv.Itoa(level) + "/" + tileNumber(n, width)
}

// EntriesPath is the path of a bundle of entries.
func EntriesPath(n uint64, width int) string { return "tile/entries/" + tileNumber(n, width) }

// tileNumber writes n in groups of three digits, all but the last with an x before it: 1234067 is x001/x234/067.
func tileNumber(n uint64, width int) string {
	s := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		s = fmt.Sprintf("x%03d/", n%1000) + s
	}
	if width < TileWidth {
		s += ".p/" + strconv.Itoa(width)
	}
	return s
}

// Checkpoint is a signed statement: the log of this origin has this many entries and this root.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   Hash
}

// Text is the body of the note (C2SP tlog-checkpoint v1.0.0).
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// Sign returns the signed note.
func (c Checkpoint) Sign(s note.Signer) (string, error) {
	b, err := note.Sign(&note.Note{Text: c.Text()}, s)
	return string(b), err
}

// ParseCheckpoint reads the body of a note.
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, errors.New("a checkpoint has three lines")
	}
	size, err := strconv.ParseUint(lines[1], 10, 62)
	if err != nil {
		return Checkpoint{}, errors.New("size is not a number")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, errors.New("root is not a hash")
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: Hash(root)}
	if c.Text() != text {
		return Checkpoint{}, errSpell
	}
	return c, nil
}

// OpenCheckpoint verifies a signed note with one of the keys and reads it. A note that another spelling of itself would
// be accepted for (lenient base64 in the signature line) is refused.
func OpenCheckpoint(signed string, keys note.Verifiers) (Checkpoint, error) {
	text, err := openNote(signed, keys)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := ParseCheckpoint(text)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	return c, nil
}

func openNote(signed string, keys note.Verifiers) (string, error) {
	n, err := note.Open([]byte(signed), keys)
	if err != nil {
		return "", fmt.Errorf("signature: %w", err)
	}
	again := n.Text + "\n"
	for _, s := range append(n.Sigs, n.UnverifiedSigs...) {
		raw, err := base64.StdEncoding.Strict().DecodeString(s.Base64)
		if err != nil {
			return "", fmt.Errorf("signature: %w", errSpell)
		}
		again += "— " + s.Name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
	}
	if again != signed {
		return "", fmt.Errorf("signature: %w", errSpell)
	}
	return n.Text, nil
}

// Fingerprint is how a person compares a log key: SHA-256 of the public key in groups of four hexadecimal digits.
func Fingerprint(vkey string) (string, error) {
	key, err := publicKey(vkey)
	if err != nil {
		return "", err
	}
	return fingerprint(key), nil
}

// publicKey reads the Ed25519 key inside a note verifier key.
func publicKey(vkey string) (ed25519.PublicKey, error) {
	if _, err := note.NewVerifier(vkey); err != nil {
		return nil, fmt.Errorf("log key: %w", err)
	}
	_, b64, _ := strings.Cut(vkey, "+")
	_, b64, _ = strings.Cut(b64, "+")
	raw, err := base64.StdEncoding.DecodeString(b64)
	if err != nil || len(raw) != 1+ed25519.PublicKeySize {
		return nil, errors.New("log key: not an Ed25519 key")
	}
	return raw[1:], nil
}

func fingerprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	s := hex.EncodeToString(sum[:])
	groups := make([]string, 0, 16)
	for i := 0; i < len(s); i += 4 {
		groups = append(groups, s[i:i+4])
	}
	return strings.Join(groups, " ")
}
