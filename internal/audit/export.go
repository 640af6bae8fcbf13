package audit

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit/stored"
	"github.com/leitplanke/leitplanke/internal/db"
)

// ExportOptions say what an evidence bundle is about. The zero value is the whole current log.
type ExportOptions struct {
	Log      int       // ordinal of the log; 0 = the current one
	From, To time.Time // the period, From included, To not; zero = open
	FromN    uint64    // the period by numbers, used where From is zero
	ToN      uint64    // the entry after the last, used where To is zero; 0 = open
	System   string    // only the sealed parts of this AI system; all leaves of the period are there all the same
	Version  string    // of the product, for the manifest
	Actor    string    // who asked for it, for the sealed part of the export's own entry
}

// Exported is a bundle that was written.
type Exported struct {
	Origin  string
	Size    uint64            // entries of the log, all covered by the checkpoint in the bundle
	Period  bundle.Span       // the entries asked for; whole entry bundles of 256 are included
	Digest  [sha256.Size]byte // SHA-256 of the manifest
	Receipt *Receipt          // of the export entry; nil where the log refuses to write
}

// ErrNothing means that there is nothing to export: no checkpoint, or no entry in the period.
var ErrNothing = stored.ErrNothing

// Export writes an evidence bundle as a zip file to w, and then an export entry with the digest of its manifest. A bundle
// that does not fit a zip file is bundle.ErrTooLarge, before the first byte is written. It reads one snapshot of the
// database; memory does not grow with the log.
func (l *Log) Export(ctx context.Context, o ExportOptions, w io.Writer) (*Exported, error) {
	return l.export(ctx, o, func(p *bundle.Plan) error { return p.WriteZip(w) })
}

// ExportFolder is Export into a folder, which must not exist or be empty.
func (l *Log) ExportFolder(ctx context.Context, o ExportOptions, dir string) (*Exported, error) {
	return l.export(ctx, o, func(p *bundle.Plan) error { return p.WriteFolder(dir) })
}

func (l *Log) export(ctx context.Context, o ExportOptions, write func(*bundle.Plan) error) (*Exported, error) {
	if o.Log == 0 {
		o.Log = l.log
	}
	if err := l.Checkpoint(ctx); err != nil && l.Refused() == "" {
		return nil, err
	}
	settings, err := l.c.DB.Settings(ctx)
	if err != nil {
		return nil, err
	}
	m := bundle.Manifest{System: o.System, Version: bundle.Plain(o.Version), FromTime: rfc3339(o.From), ToTime: rfc3339(o.To), Created: rfc3339(l.c.DB.Now())}
	for _, s := range settings {
		m.Settings = append(m.Settings, bundle.Setting{Name: s.Name, Value: bundle.Plain(s.Value)})
	}
	signer, vkey, err := signerFor(Origin(l.c.Name, o.Log), l.c.Key)
	if err != nil {
		return nil, err
	}
	if why := l.Refused(); why != "" {
		m.Settings = append(m.Settings, bundle.Setting{Name: "log_refuses", Value: bundle.Plain(why)})
	}
	mark := ""
	if o.Log == l.log {
		if mark, err = stored.ReadMark(l.c.Mark); err != nil {
			mark = "" // it is one of the things for which the log refuses
		}
	}
	done := &Exported{Origin: signer.Name()}
	err = l.c.DB.Snapshot(ctx, func(tx *db.Tx) error {
		plan, err := stored.Plan(ctx, tx, o.Log, stored.Period{From: o.From, To: o.To, FromN: o.FromN, ToN: o.ToN}, &m, mark, vkey, signer)
		if err != nil {
			return err
		}
		done.Size, done.Period, done.Digest = m.Size, bundle.Span{From: m.From, To: m.To}, plan.Digest()
		return write(plan)
	})
	if err != nil {
		return nil, err
	}
	if l.Refused() != "" {
		return done, nil
	}
	leaf := bundle.Leaf{Type: bundle.Export, Digest: done.Digest[:], System: o.System, Object: "log/" + done.Origin, Entries: []bundle.Span{done.Period}}
	meta := metaJSON(map[string]string{"actor": o.Actor, "from": m.FromTime, "to": m.ToTime})
	r, err := l.Append(ctx, Record{Leaf: leaf, Content: []Content{{Name: bundle.FieldMeta, Value: meta, Commit: true}}})
	if err != nil {
		return nil, fmt.Errorf("the bundle is written, its entry is not: %w", err)
	}
	done.Receipt = &r
	return done, nil
}

func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
