// Package audit is the product's one log: entries that are durable before anything happens that they record, in a Merkle
// tree whose root is signed every second and kept outside the database in a file called the mark.
//
// An entry is a public leaf (package bundle) and, beside it, a sealed part that can be destroyed while every proof still
// verifies. Append commits in groups; AppendTx writes inside the caller's transaction, so that a change of what governs
// and its entry are one. Whoever wants to know what happened follows the log with a cursor of its own.
package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/db"
)

// The ways in which an entry is not written. Errors of Append wrap one of them.
var (
	// ErrStale: the rules changed since the opening was judged; judge again.
	ErrStale = errors.New("judged under older rules")
	// ErrRefused: the log does not write, because what it found does not agree with its mark.
	ErrRefused = errors.New("the log refuses to write")
	// ErrFull: too many entries wait, or the disk has no room for new calls.
	ErrFull = errors.New("the log takes no more entries now")
	// ErrUnknown: the entry may or may not be in the log; the caller has stopped waiting.
	ErrUnknown = errors.New("whether the entry was written is not known")
	// ErrEnded: the opening has an end already.
	ErrEnded = errors.New("the call has an end already")
	// ErrErased: the content is gone already.
	ErrErased = errors.New("the content is gone already")
	// ErrNotFound: there is no such entry.
	ErrNotFound = errors.New("no such entry")
)

// Config is what a Log is made of.
type Config struct {
	DB       *db.DB
	Keys     *KeyStore
	Key      ed25519.PrivateKey // signs checkpoints
	Name     string             // of the installation; the origin of log n is Name/n
	Mark     string             // path of the mark
	Instance string             // of this process, unique: appears in every leaf
	Shared   bool               // other processes write to the same database (PostgreSQL)
	Log      *slog.Logger
	Fatal    func(error)             // called when the storage failed; has to end the process. Required
	Fail     func(step string) error // test hook at each durable step, see Steps; nil in production
	MinFree  uint64                  // bytes of disk below which new calls are refused, default 1 GiB
}

// Steps are the durable steps of the log at which tests inject faults, in the order in which they happen.
func Steps() []string {
	return []string{
		"append.begin", "append.commit.before", "append.commit.after", "append.settle",
		"sign.before", "mark.before", "mark.after", "checkpoint.before", "checkpoint.after",
		"key.destroy.before", "key.destroy.after",
	}
}

// Receipt says where an entry stands. It is given after the entry is durable.
type Receipt struct {
	Log   int
	N     uint64
	Epoch uint64
}

// ID is the entry's name for people and clients.
func (r Receipt) ID() string { return bundle.CallID(r.Log, r.N) }

// Content is one value of the sealed part of an entry. With Commit the leaf commits to it.
type Content struct {
	Name   string // a field name of package bundle, or any other
	Value  []byte
	Commit bool
}

// Record is an entry before it is written. Append fills in the leaf's version, event, time, instance, key, commitments
// and hash of the sealed part.
type Record struct {
	Leaf    bundle.Leaf
	Content []Content
}

// Log is the open log of an installation. It is safe for concurrent use.
type Log struct {
	c      Config
	signer note.Signer
	vkey   string
	log    int // ordinal of the current log
	origin string

	queue   chan *pending
	queued  atomic.Int64 // bytes that wait
	stopped chan struct{}
	closed  atomic.Bool
	done    sync.WaitGroup

	refused atomic.Pointer[string] // why nothing is written
	lowDisk atomic.Bool
	dirty   atomic.Bool   // destroyed content may still stand in the write-ahead log
	size    atomic.Uint64 // entries, as last seen
	epoch   atomic.Uint64

	signedAt atomic.Int64 // µs; when the tree was last found signed as it is

	early bool // tests only, the negative control: receipts are given before the commit

	edge edge // used by the committing goroutine only

	prepared   map[string]*sql.Stmt // by text; not changed after newLog
	insertRows map[int]*sql.Stmt    // the inserts among them, by number of rows, powers of two

	freshMu   sync.Mutex
	freshFrom uint64
	fresh     []bundle.Hash // of entries that the committing goroutine wrote, from number freshFrom on

	sign     sync.Mutex   // one checkpoint at a time; guards verified
	verified bundle.Peaks // the tree whose hashes this process has read back
}

// edge is the right edge of the tree as the committing goroutine last left it. It counts only while the head row still
// has its size and epoch.
type edge struct {
	valid bool
	epoch uint64
	peaks bundle.Peaks
	tail  []bundle.Hash // leaf hashes since the last multiple of TileWidth
}

const (
	maxBatch      = 256
	maxBatchBytes = 8 << 20
	maxQueue      = 4096
	maxQueueBytes = 64 << 20
)

// Open checks the log against its mark and starts the committing goroutine. Where the check fails the log opens all the
// same, for reading only: Refused says why, and Append answers ErrRefused.
func Open(ctx context.Context, c Config) (*Log, error) {
	l, err := newLog(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := l.beat(ctx); err != nil {
		return nil, err
	}
	if err := l.start(ctx); err != nil {
		return nil, err
	}
	if l.Refused() == "" {
		if _, err := l.RefreshEpoch(ctx); err != nil {
			return nil, err
		}
	}
	l.done.Add(1)
	go l.commitLoop()
	return l, nil
}

func newLog(ctx context.Context, c Config) (*Log, error) {
	if c.MinFree == 0 {
		c.MinFree = 1 << 30
	}
	l := &Log{c: c, queue: make(chan *pending, maxQueue), stopped: make(chan struct{})}
	l.prepared, l.insertRows = map[string]*sql.Stmt{}, map[int]*sql.Stmt{}
	if err := l.prepareStatements(ctx); err != nil {
		return nil, err
	}
	ordinal := 1
	if err := c.DB.Read().QueryRowContext(ctx, `SELECT CAST(COALESCE(MAX(log), 1) AS BIGINT) FROM audit_head`).Scan(&ordinal); err != nil {
		return nil, err
	}
	return l, l.use(ordinal)
}

// use makes the log of that ordinal the current one.
func (l *Log) use(ordinal int) error {
	l.log, l.origin = ordinal, Origin(l.c.Name, ordinal)
	var err error
	l.signer, l.vkey, err = signerFor(l.origin, l.c.Key)
	return err
}

// Origin is the name of the n-th log of an installation.
func Origin(name string, n int) string { return fmt.Sprintf("%s/%d", name, n) }

// VerifierKey is the public key of the log with that origin, in the format of C2SP signed-note.
func VerifierKey(origin string, key ed25519.PublicKey) (string, error) {
	return note.NewEd25519VerifierKey(origin, key)
}

func signerFor(origin string, key ed25519.PrivateKey) (note.Signer, string, error) {
	vkey, err := VerifierKey(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, "", err
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, "", fmt.Errorf("name of the log: %w", err)
	}
	skey := fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", origin, v.KeyHash(), base64.StdEncoding.EncodeToString(append([]byte{1}, key.Seed()...)))
	s, err := note.NewSigner(skey)
	return s, vkey, err
}

// Close waits for what is being written, signs a last checkpoint and stops. Append must not be called afterwards.
func (l *Log) Close(ctx context.Context) error {
	if l.closed.Swap(true) {
		return nil
	}
	close(l.stopped)
	l.done.Wait()
	var err error
	if l.Refused() == "" {
		err = errors.Join(l.Checkpoint(ctx), l.leave(ctx))
	}
	for _, s := range l.prepared {
		err = errors.Join(err, s.Close())
	}
	return err
}

// Refused says why the log does not write; empty where it does.
func (l *Log) Refused() string {
	if s := l.refused.Load(); s != nil {
		return *s
	}
	return ""
}

func (l *Log) refuse(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if l.refused.CompareAndSwap(nil, &s) {
		l.c.Log.Error("the log refuses to write", "reason", s)
	}
}

// Ordinal is the number of the current log: 1, and one more after each fork.
func (l *Log) Ordinal() int { return l.log }

// Origin is the name of the current log.
func (l *Log) Origin() string { return l.origin }

// VerifierKey is the public key of the current log.
func (l *Log) VerifierKey() string { return l.vkey }

// Size is the number of entries of the current log, as last seen by this process.
func (l *Log) Size() uint64 { return l.size.Load() }

// Epoch is the number of the newest rules, as last seen by this process.
func (l *Log) Epoch() uint64 { return l.epoch.Load() }

// SignedAt is when everything in the log was last covered by a signature.
func (l *Log) SignedAt() time.Time { return time.UnixMicro(l.signedAt.Load()).UTC() }

// SetFree tells the log how many bytes are free where it is stored. Below the floor new calls are refused, so that open
// ones can still be closed.
func (l *Log) SetFree(bytes uint64) {
	if low := bytes < l.c.MinFree; l.lowDisk.Swap(low) != low {
		l.c.Log.Warn("disk space", "free_bytes", bytes, "floor_bytes", l.c.MinFree, "new_calls_refused", low)
	}
}

// fail is the test hook at a durable step.
func (l *Log) fail(step string) error {
	if l.c.Fail == nil {
		return nil
	}
	return l.c.Fail(step)
}

func newEvent() (e [16]byte) {
	rand.Read(e[:]) // never fails since Go 1.24
	return e
}

// prepared is a record whose leaf and sealed part are final.
type prepared struct {
	event   [16]byte
	typ     bundle.Type
	opening *uint64
	epoch   uint64 // of the rules that judged it; 0 = none
	hash    bundle.Hash
	leaf    []byte
	key     string
	salt    []byte
	sealed  []byte
}

func (p *prepared) bytes() int { return len(p.leaf) + len(p.sealed) + 256 }

// prepare seals the content, commits to it and encodes the leaf. It runs in the caller's goroutine.
func (l *Log) prepare(ctx context.Context, r *Record, now time.Time) (*prepared, error) {
	leaf := r.Leaf
	leaf.Version = bundle.LeafVersion
	leaf.Event = newEvent()
	leaf.Time = uint64(now.Unix())
	leaf.Instance = l.c.Instance
	p := &prepared{event: leaf.Event, typ: leaf.Type, epoch: leaf.Epoch}
	if leaf.Type.Ends() {
		p.opening = leaf.Ref
	}
	if len(r.Content) > 0 {
		if err := l.seal(ctx, &leaf, r.Content, p, now); err != nil {
			return nil, err
		}
	}
	var err error
	if p.leaf, err = leaf.Encode(); err != nil {
		return nil, err
	}
	p.hash = bundle.LeafHash(p.leaf)
	return p, nil
}

// seal encrypts the content under a key of its own. The commitments come first, then sealing, then the hash of the
// sealed part. Additional data is origin ‖ event, so that a sealed part fits no other entry.
func (l *Log) seal(ctx context.Context, leaf *bundle.Leaf, content []Content, p *prepared, now time.Time) error {
	part := bundle.Sealed{Fields: make([]bundle.Field, len(content))}
	for i, c := range content {
		f := bundle.Field{Name: c.Name, Value: c.Value}
		if c.Commit {
			f.Salt = make([]byte, KeySize)
			rand.Read(f.Salt)
			sum := bundle.Commit(f.Salt, c.Name, c.Value)
			switch c.Name {
			case bundle.FieldRequest:
				leaf.CRequest = sum
			case bundle.FieldOutbound:
				leaf.COutbound = sum
			case bundle.FieldResponse:
				leaf.CResponse = sum
			case bundle.FieldMeta:
				leaf.CMeta = sum
			default:
				return fmt.Errorf("no commitment exists for the field %q", c.Name)
			}
		}
		part.Fields[i] = f
	}
	p.key = keyRef(leaf, now)
	month, err := l.c.Keys.key(ctx, p.key, true)
	if err != nil {
		return err
	}
	p.salt = make([]byte, KeySize)
	rand.Read(p.salt)
	aead, err := recordSealer(month, p.salt)
	if err != nil {
		return err
	}
	p.sealed = aead.Seal(nil, nil, part.Encode(), sealedData(l.origin, leaf.Event))
	leaf.Key = p.key
	leaf.HSealed = bundle.SealedHash(p.salt, p.sealed)
	return nil
}

func sealedData(origin string, event [16]byte) []byte { return append([]byte(origin), event[:]...) }
