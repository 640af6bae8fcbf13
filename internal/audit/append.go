package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/db"
)

// pending is a prepared entry that waits for its batch.
type pending struct {
	*prepared
	receipt Receipt
	err     error
	done    chan struct{} // closed when receipt or err is set
}

// Append seals r and returns when its entry is durable. If ctx ends first, the entry may or may not be in the log
// (ErrUnknown); an opening that turns out to be in it is ended by an abort. An opening whose epoch is not the newest is
// not written (ErrStale).
func (l *Log) Append(ctx context.Context, r Record) (Receipt, error) {
	if r.Leaf.Type.Governs() {
		return Receipt{}, fmt.Errorf("an entry of type %s is written by AppendTx, together with the change", r.Leaf.Type)
	}
	if why := l.Refused(); why != "" {
		return Receipt{}, fmt.Errorf("%w: %s", ErrRefused, why)
	}
	if l.lowDisk.Load() && r.Leaf.Type == bundle.CallOpen {
		return Receipt{}, fmt.Errorf("%w: disk space is below the floor", ErrFull)
	}
	prep, err := l.prepare(ctx, &r, l.c.DB.Now())
	if err != nil {
		return Receipt{}, err
	}
	p := &pending{prepared: prep, done: make(chan struct{})}
	size := int64(p.bytes())
	if l.queued.Add(size) > maxQueueBytes && l.queued.Load() != size {
		l.queued.Add(-size)
		return Receipt{}, ErrFull
	}
	select {
	case l.queue <- p:
	case <-l.stopped:
		l.queued.Add(-size)
		return Receipt{}, fmt.Errorf("%w: it is closing", ErrRefused)
	default:
		l.queued.Add(-size)
		return Receipt{}, ErrFull
	}
	select {
	case <-p.done:
		return p.receipt, p.err
	case <-ctx.Done():
		l.abandoned(p)
		return Receipt{}, fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
	}
}

// abandoned ends an opening that became durable after its caller had left.
func (l *Log) abandoned(p *pending) {
	if p.typ != bundle.CallOpen {
		return
	}
	go func() {
		<-p.done
		if p.err != nil {
			return
		}
		l.abort(p.receipt)
	}()
}

// commitLoop writes what waits, batch after batch. There is no timer: a batch is what came while the previous one
// committed, so a lone caller waits for one commit and many share it.
func (l *Log) commitLoop() {
	defer l.done.Done()
	var left *pending // taken from the queue, but too large for the last batch
	batch := make([]*pending, 0, maxBatch)
	for {
		batch = batch[:0]
		if left == nil {
			select {
			case left = <-l.queue:
			case <-l.stopped:
				select {
				case left = <-l.queue: // written before the loop ends
				default:
					return
				}
			}
		}
		bytes := left.bytes()
		batch, left = append(batch, left), nil
	fill:
		for len(batch) < maxBatch {
			select {
			case p := <-l.queue:
				if bytes += p.bytes(); bytes > maxBatchBytes {
					left = p
					break fill
				}
				batch = append(batch, p)
			default:
				break fill
			}
		}
		l.commitBatch(batch)
	}
}

// commitBatch writes one batch and tells its callers. Where one entry ends an opening for the second time, the entries
// are written one by one, so that only that one fails.
func (l *Log) commitBatch(batch []*pending) {
	for _, p := range batch {
		l.queued.Add(-int64(p.bytes()))
	}
	if l.early {
		for _, p := range batch {
			p.receipt = Receipt{Log: l.log, N: l.edge.peaks.Size}
		}
		tell(batch)
		if err := l.commitRetry(batch); err != nil {
			l.c.Log.Error("lost", "error", err)
		}
		return
	}
	err := l.commitRetry(batch)
	if db.IsDuplicate(err) && len(batch) > 1 {
		for i := range batch {
			one := batch[i : i+1]
			if err := l.commitRetry(one); err != nil {
				one[0].err = appendError(err)
			}
		}
	} else if err != nil {
		for _, p := range batch {
			p.err = appendError(err)
		}
	}
	tell(batch)
}

func tell(batch []*pending) {
	for _, p := range batch {
		close(p.done)
	}
}

func appendError(err error) error {
	if db.IsDuplicate(err) {
		return ErrEnded
	}
	return fmt.Errorf("%w: %w", ErrFull, err)
}

const (
	commitTimeout = 30 * time.Second
	commitTries   = 5
)

// commitRetry tries a batch again while the database says that another holds a lock. An error of the storage ends the
// process: after it nobody knows what the disk has.
func (l *Log) commitRetry(batch []*pending) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	for try := range commitTries {
		if err = l.commit(ctx, batch); err == nil {
			return nil
		}
		l.edge.valid = false
		if db.IsIO(err) {
			l.c.Fatal(fmt.Errorf("the log's storage failed: %w", err))
			l.refuse("the storage failed; the process has to be restarted")
			return err
		}
		if commit, ok := errors.AsType[*db.CommitError](err); ok && !db.IsFull(err) && !db.IsBusy(err) {
			written, scanErr := l.settle(ctx, batch, l.size.Load())
			if scanErr != nil {
				l.endLost(batch)
				return errors.Join(commit, scanErr)
			}
			if written {
				return nil
			}
			continue
		}
		if !db.IsBusy(err) {
			return err
		}
		select {
		case <-time.After(time.Duration(try+1) * 20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
	return err
}

// endLost ends the openings of a batch of which nobody knows whether it was written, once the database answers again. Their
// callers have been told that nothing was recorded, so no call went on.
func (l *Log) endLost(batch []*pending) {
	var lost []*pending
	for _, p := range batch {
		if p.typ == bundle.CallOpen {
			lost = append(lost, &pending{prepared: p.prepared})
		}
	}
	if len(lost) == 0 {
		return
	}
	from := l.size.Load()
	l.done.Go(func() {
		for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
			select {
			case <-time.After(wait):
			case <-l.stopped: // the next process ends what is open
				return
			}
			ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
			_, err := l.settle(ctx, lost, from)
			cancel()
			if err == nil {
				break
			}
		}
		for _, p := range lost {
			if p.receipt.Log != 0 {
				l.abort(p.receipt)
			}
		}
	})
}

// abort ends an opening whose call did not go on.
func (l *Log) abort(r Receipt) {
	leaf := bundle.Leaf{Type: bundle.CallAbort, Ref: &r.N, Code: "record_late"}
	if _, err := l.Append(context.Background(), Record{Leaf: leaf}); err != nil && !errors.Is(err, ErrEnded) {
		l.c.Log.Error("a late opening could not be ended", "entry", r.ID(), "error", err)
	}
}

// settle finds out whether a commit with an unknown outcome reached the log: the batch's entries carry random events.
// Taking the head row first waits until the lost transaction is over.
func (l *Log) settle(ctx context.Context, batch []*pending, size uint64) (written bool, err error) {
	if err := l.fail("append.settle"); err != nil {
		return false, err
	}
	err = l.c.DB.Tx(ctx, func(tx *db.Tx) error {
		h, err := lockHead(ctx, tx.Tx, l.log)
		if err != nil {
			return err
		}
		want := map[[16]byte]*pending{}
		for _, p := range batch {
			if p.err == nil {
				want[p.event] = p
			}
		}
		from := int64(size) - 4*maxBatch // where the log was when this process last saw it, and some more
		rows, err := tx.QueryContext(ctx, `SELECT n, leaf FROM audit_entries WHERE log = $1 AND n >= $2 ORDER BY n`, l.log, from)
		if err != nil {
			return err
		}
		defer rows.Close()
		found := 0
		for rows.Next() {
			var n uint64
			var leaf []byte
			if err := rows.Scan(&n, &leaf); err != nil {
				return err
			}
			decoded, err := bundle.DecodeLeaf(leaf)
			if err != nil {
				return err
			}
			if p := want[decoded.Event]; p != nil {
				p.receipt = Receipt{Log: l.log, N: n, Epoch: h.Epoch}
				found++
			}
		}
		written = found == len(want)
		l.size.Store(h.Size)
		l.epoch.Store(h.Epoch)
		return rows.Err()
	})
	return written, err
}

// commit writes one batch in one transaction. The head row is updated first under the condition that it still has the
// size and epoch of the cached edge: one statement takes the lock and gives the numbers. On a miss the edge is read anew.
func (l *Log) commit(ctx context.Context, batch []*pending) error {
	var kept []*pending
	var e edge
	err := l.c.DB.Tx(ctx, func(tx *db.Tx) error {
		if err := l.fail("append.begin"); err != nil {
			return err
		}
		var err error
		e = l.edge
		hit := false
		if e.valid {
			kept = current(batch, e.epoch)
			if len(kept) == 0 {
				hit = false // the batch is stale, or the edge is: the head row tells
			} else if hit, err = l.advance(ctx, tx, e, kept); err != nil {
				return err
			}
		}
		if !hit {
			h, err := lockHead(ctx, tx.Tx, l.log)
			if err != nil {
				return err
			}
			if e, err = edgeOf(ctx, tx.Tx, l.log, h); err != nil {
				return err
			}
			kept = current(batch, e.epoch)
			if hit, err = l.advance(ctx, tx, e, kept); err != nil {
				return err
			}
			if !hit {
				return errors.New("the head row changed under its lock")
			}
		}
		if e, err = l.write(ctx, tx, e, kept); err != nil {
			return err
		}
		return l.fail("append.commit.before")
	})
	if err != nil {
		return err
	}
	if err := l.fail("append.commit.after"); err != nil {
		return &db.CommitError{Err: err} // as when the connection breaks before the answer: settle finds out
	}
	l.feed(kept)
	l.edge = e
	l.size.Store(e.peaks.Size)
	l.epoch.Store(e.epoch)
	for _, p := range batch {
		p.receipt.Epoch = e.epoch
	}
	return nil
}

// maxFresh bounds the hashes that are kept for the signer: some seconds of full load.
const maxFresh = 1 << 16

// feed keeps the hashes of entries that this goroutine has just committed, so that the signer need not read them back.
func (l *Log) feed(add []*pending) {
	if len(add) == 0 {
		return
	}
	from := add[0].receipt.N
	l.freshMu.Lock()
	defer l.freshMu.Unlock()
	if l.freshFrom+uint64(len(l.fresh)) != from || len(l.fresh) > maxFresh {
		l.freshFrom, l.fresh = from, l.fresh[:0]
	}
	for _, p := range add {
		l.fresh = append(l.fresh, p.hash)
	}
}

// takeFresh returns the kept hashes from number n on, up to number to, and forgets them and those before.
func (l *Log) takeFresh(n, to uint64) []bundle.Hash {
	l.freshMu.Lock()
	defer l.freshMu.Unlock()
	end := l.freshFrom + uint64(len(l.fresh))
	if n < l.freshFrom || n >= end {
		return nil
	}
	taken := slices.Clone(l.fresh[n-l.freshFrom : min(to, end)-l.freshFrom])
	l.freshFrom, l.fresh = n+uint64(len(taken)), slices.Clone(l.fresh[n-l.freshFrom+uint64(len(taken)):])
	return taken
}

// current leaves out the openings that were judged under another epoch, and marks them.
func current(batch []*pending, epoch uint64) []*pending {
	kept := make([]*pending, 0, len(batch))
	for _, p := range batch {
		p.err = nil
		if p.typ == bundle.CallOpen && p.epoch != epoch {
			p.err = ErrStale
			continue
		}
		kept = append(kept, p)
	}
	return kept
}

// advance moves the head row from the edge to where it will be with the entries, and reports whether it was at the edge.
func (l *Log) advance(ctx context.Context, tx *db.Tx, e edge, add []*pending) (bool, error) {
	peaks := bundle.Peaks{Size: e.peaks.Size, Hashes: append([]bundle.Hash(nil), e.peaks.Hashes...)}
	for _, p := range add {
		peaks.Add(p.hash)
	}
	root := peaks.Root()
	res, err := tx.StmtContext(ctx, l.prepared[updateHead]).ExecContext(ctx, int64(peaks.Size), root[:], peaks.Bytes(), l.log, int64(e.peaks.Size), int64(e.epoch))
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// write inserts the entries after the edge, and the tiles that became full, and returns the new edge.
func (l *Log) write(ctx context.Context, tx *db.Tx, e edge, add []*pending) (edge, error) {
	next := edge{valid: true, epoch: e.epoch, peaks: bundle.Peaks{Size: e.peaks.Size, Hashes: append([]bundle.Hash(nil), e.peaks.Hashes...)}, tail: e.tail}
	for _, p := range add {
		p.receipt = Receipt{Log: l.log, N: next.peaks.Size}
		next.peaks.Add(p.hash)
	}
	for rest := add; len(rest) > 0; {
		k := 1
		for k*2 <= len(rest) {
			k *= 2
		}
		if err := l.insert(ctx, tx, rest[:k]); err != nil {
			return edge{}, err
		}
		rest = rest[k:]
	}
	next.tail = append(make([]bundle.Hash, 0, bundle.TileWidth), e.tail...)
	for _, p := range add {
		next.tail = append(next.tail, p.hash)
		if len(next.tail) == bundle.TileWidth {
			if err := writeTiles(ctx, tx.Tx, l.log, p.receipt.N+1, next.tail); err != nil {
				return edge{}, err
			}
			next.tail = next.tail[:0]
		}
	}
	return next, nil
}

func (l *Log) insert(ctx context.Context, tx *db.Tx, rows []*pending) error {
	args := make([]any, 0, 8*len(rows))
	for _, p := range rows {
		var opening any
		if p.opening != nil {
			opening = int64(*p.opening)
		}
		args = append(args, l.log, int64(p.receipt.N), opening, p.hash[:], p.leaf, p.key, p.salt, p.sealed)
	}
	_, err := tx.StmtContext(ctx, l.insertRows[len(rows)]).ExecContext(ctx, args...)
	return err
}

// prepareStatements prepares what an append needs, before any transaction: on SQLite a statement cannot be prepared while
// a transaction has the only writing connection.
func (l *Log) prepareStatements(ctx context.Context) error {
	queries := []string{updateHead, indexEnd, indexFound}
	for rows := 1; rows <= indexRows; rows *= 2 {
		queries = append(queries, indexSQL(rows))
	}
	for rows := 1; rows <= maxBatch; rows *= 2 {
		queries = append(queries, insertSQL(rows))
	}
	for _, q := range queries {
		stmt, err := l.c.DB.Prepare(ctx, q)
		if err != nil {
			return err
		}
		l.prepared[q] = stmt
	}
	for rows := 1; rows <= maxBatch; rows *= 2 {
		l.insertRows[rows] = l.prepared[insertSQL(rows)]
	}
	return nil
}

const updateHead = `UPDATE audit_head SET size = $1, root = $2, peaks = $3 WHERE log = $4 AND size = $5 AND epoch = $6`

// insertSQL is the insert of that many entries.
func insertSQL(rows int) string {
	return `INSERT INTO audit_entries (log, n, opening, leaf_hash, leaf, key, salt, sealed) VALUES ` + placeholders(rows, 8)
}

// placeholders writes ($1,$2),($3,$4) for that many rows of that many columns.
func placeholders(rows, columns int) string {
	var b strings.Builder
	for i := range rows * columns {
		switch {
		case i == 0:
			b.WriteString("($")
		case i%columns == 0:
			b.WriteString("),($")
		default:
			b.WriteString(",$")
		}
		b.WriteString(strconv.Itoa(i + 1))
	}
	b.WriteByte(')')
	return b.String()
}

// AppendTx writes entries inside the caller's transaction. Call it last: the head row stays locked until commit. An entry
// that governs raises the epoch and carries the new one. The receipts are good only once the transaction has committed;
// the caller then calls Wake.
func (l *Log) AppendTx(ctx context.Context, tx *db.Tx, rs ...Record) ([]Receipt, error) {
	if why := l.Refused(); why != "" {
		return nil, fmt.Errorf("%w: %s", ErrRefused, why)
	}
	// The keys come before the lock: creating one is a transaction of its own.
	for i := range rs {
		if len(rs[i].Content) > 0 {
			if _, err := l.c.Keys.key(ctx, keyRef(&rs[i].Leaf, tx.Now), true); err != nil {
				return nil, err
			}
		}
	}
	h, err := lockHead(ctx, tx.Tx, l.log)
	if err != nil {
		return nil, err
	}
	e, err := edgeOf(ctx, tx.Tx, l.log, h)
	if err != nil {
		return nil, err
	}
	before := e
	add := make([]*pending, len(rs))
	for i := range rs {
		r := rs[i]
		if r.Leaf.Type.Governs() {
			e.epoch++
			r.Leaf.Epoch = e.epoch
		}
		p, err := l.prepare(ctx, &r, tx.Now)
		if err != nil {
			return nil, err
		}
		add[i] = &pending{prepared: p}
	}
	if e.epoch != before.epoch {
		if _, err := tx.ExecContext(ctx, `UPDATE audit_head SET epoch = $1 WHERE log = $2`, int64(e.epoch), l.log); err != nil {
			return nil, err
		}
	}
	hit, err := l.advance(ctx, tx, e, add)
	if err == nil && !hit {
		err = errors.New("the head row changed under its lock")
	}
	if err != nil {
		return nil, err
	}
	if _, err := l.write(ctx, tx, e, add); err != nil {
		return nil, err
	}
	receipts := make([]Receipt, len(add))
	for i, p := range add {
		receipts[i] = Receipt{Log: l.log, N: p.receipt.N, Epoch: e.epoch}
	}
	return receipts, nil
}
