package ui

import (
	"net/http"
	"strings"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/register"
)

func (u *UI) transparency(w http.ResponseWriter, r *http.Request, _ *auth.User) error {
	who, err := u.session(r) // for the frame only: the page is the same for everybody
	if err != nil {
		return err
	}
	vkey := u.c.Log.VerifierKey()
	marks, err := bundle.Fingerprint(vkey)
	if err != nil {
		return err
	}
	p := &TransparencyPage{
		Frame: u.frame(r, who, PathTransparency), Org: u.c.Org, Contact: u.c.Contact, Demo: u.demo(),
		Origin: u.c.Log.Origin(), VerifierKey: vkey, Fingerprint: strings.ReplaceAll(marks, " ", ""), SignedAt: u.health().Checkpoint,
		ContentDays: register.KeepOther, LeafMonths: months(audit.DefaultLeafTerm),
	}
	if p.Checkpoint, err = u.c.Log.LatestCheckpoint(r.Context()); err != nil {
		return err
	}
	for _, y := range u.c.Release.Snapshot().State().Systems {
		p.Systems = append(p.Systems, PublicSystem{ID: y.ID, Name: y.Name, Purpose: y.Purpose})
		p.ContentDays = max(p.ContentDays, y.Keep())
	}
	return u.show(w, r, http.StatusOK, p)
}

// months is a term of whole months of 365/12 days.
func months(d time.Duration) int { return int(d.Hours() / 24 * 12 / 365) }
