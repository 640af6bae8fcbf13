package ui

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/audit"
	"github.com/leitplanke/leitplanke/internal/auth"
	"github.com/leitplanke/leitplanke/internal/problem"
)

const letter = "Rechnung von Frau Katharina Brenner\nIBAN DE89 3704 0044 0532 0130 00\nTelefon +49 861 5550124\npassword: Zyl63!2026-Hafen"

// words is a page as people read it: marks in brackets, other elements gone.
func words(page string) string {
	page = regexp.MustCompile(`<mark class="(\w+)"[^>]*>([^<]*)</mark>`).ReplaceAllString(page, "⟦$1:$2⟧")
	page = regexp.MustCompile(`<mark title="[^"]*">([^<]*)</mark>`).ReplaceAllString(page, "⟦pers:$1⟧")
	page = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, " ")
	return strings.Join(strings.Fields(html.UnescapeString(page)), " ")
}

func wants(t *testing.T, what, text string, list ...string) {
	t.Helper()
	for _, w := range list {
		if !strings.Contains(text, w) {
			t.Errorf("%s: no %q", what, w)
		}
	}
}

func TestOwnCall(t *testing.T) {
	s := newSite(t)
	id := s.call(login(auth.CaseWorker), letter, "ER-2026-1204")
	s.index()
	page := s.ask("GET", EntryPath(id), s.session(auth.CaseWorker), nil)
	if page.StatusCode != 200 {
		t.Fatal(page)
	}
	text := words(page.body)
	wants(t, "own call", text,
		"Aufruf im Vorgang ER-2026-1204, Schritt „auslesen“",
		"Sieben Schritte", "Zugang zugang-1", "Leitplanken: 4 Funde", "Richtlinie: maskieren", "Regel personal-data-masked, Regelwerk builtin/1", "dauerhaft geschrieben", "Demo-Modell, regelbasiert, kein LLM. Ort: dieser Rechner",
		"Antwort geprüft und zurückgesetzt", "1 Zugangsdatum nicht zurückgesetzt (nie)", "Schlusseintrag", "0,7 ms",
		"messages[1].content · user", "⟦pers:Katharina Brenner⟧", "⟦pers:DE89 3704 0044 0532 0130 00⟧", "⟦secret:Zyl63!2026-Hafen⟧",
		"⟦ph:[PERSON_1]⟧", "⟦ph:[IBAN_1]⟧", "⟦ph:[SECRET]⟧", "Gegenprobe beim Demo-Modell", "Byte für Byte, was weitergegeben wurde",
		"Text der Antwort", "choices[0].message.content", "Gleiche Werte an anderer Stelle", "gelaufen", "c_request", "c_response", "Auf dieser Seite noch nicht geprüft")
	if n := strings.Count(text, "⟦pers:Katharina Brenner⟧"); n != 2 { // came in, and given to the caller
		t.Errorf("the person is marked %d times", n)
	}
	if strings.Count(text, "Zyl63!2026-Hafen") != 1 {
		t.Error("the secret stands on another side than what came in")
	}
	english := words(s.ask("GET", EntryPath(id), s.session(auth.CaseWorker), nil, "Cookie", "lp_lang=en").body)
	wants(t, "in English", english, "Seven steps", "Guardrails: 4 findings", "Byte for byte what left the house")

	end := s.ask("GET", EntryPath("1-"+next2(id)), s.session(auth.CaseWorker), nil)
	if end.StatusCode != 303 || end.Header.Get("Location") != EntryPath(id) {
		t.Errorf("the closing entry: %s", end)
	}
}

// next2 is the number behind that of an id.
func next2(id string) string {
	_, n, err := bundle.ParseCallID(id)
	if err != nil {
		panic(err)
	}
	_, s, _ := strings.Cut(bundle.CallID(1, n+1), "-")
	return s
}

func TestCallOfOthers(t *testing.T) {
	s := newSite(t)
	id := s.call(login(auth.CaseWorker), letter, "ER-2026-1204")
	s.index()
	text := words(s.ask("GET", EntryPath(id), s.session(auth.Auditor), nil).body)
	wants(t, "call of another", text, "Aufruf im KI-System Briefassistent", "Der Inhalt ist für Sie verborgen", personName(auth.WorksCouncil)+", Betriebsrat", personName(auth.DataProtection)+", Datenschutz",
		"Leitplanken: 4 Funde", "1 Person", "Richtlinie: maskieren", "Zahl der Teile je Leitplanke", "Sechs Schritte")
	for _, w := range []string{"Katharina", "[PERSON_1]", "ER-2026", "zugang-1", "messages[", login(auth.CaseWorker), "Gegenprobe"} {
		if strings.Contains(text, w) {
			t.Errorf("the page shows %q", w)
		}
	}
}

func TestOtherStatesOfCalls(t *testing.T) {
	s := newSite(t)
	clerk := s.session(auth.CaseWorker)
	refused := s.refuse(login(auth.CaseWorker), letter, problem.PolicyBlocked)
	open, _, _ := s.opening(login(auth.CaseWorker), letter, "")
	erased := s.call(login(auth.CaseWorker), letter, "")
	_, n, _ := bundle.ParseCallID(erased)
	e, err := s.log.Erase(t.Context(), n, "Art. 17", "shell:x")
	if err != nil {
		t.Fatal(err)
	}
	s.index()
	wants(t, "refused", words(s.ask("GET", EntryPath(refused), clerk, nil).body), "Abgelehnter Aufruf im KI-System Briefassistent", "Eine Leitplanke ist ausgefallen", "policy_blocked", "abgelehnt, nichts hat das Haus verlassen", "⟦pers:Katharina Brenner⟧")
	wants(t, "open", words(s.ask("GET", EntryPath(open.ID()), clerk, nil).body), "Dieser Aufruf läuft noch", "⟦ph:[IBAN_1]⟧", "nicht mehr dabei")
	for _, session := range []string{clerk, s.session(auth.IT)} {
		page := s.ask("GET", EntryPath(erased), session, nil).body
		wants(t, "erased", page, "Der Inhalt ist gelöscht", EntryPath(e.Receipt.ID()))
		wants(t, "erased and checked", words(s.ask("POST", VerifyPath(erased), session, url.Values{}).body), "Versiegelter Inhalt gelöscht, mit Eintrag", "alles stimmt")
	}
	wants(t, "erasure", words(s.ask("GET", EntryPath(e.Receipt.ID()), clerk, nil).body), "Inhalt gelöscht", "Dieser Teil kann Personen nennen")

	s.config.Demo = nil
	s.mount()
	if own := s.call(login(auth.CaseWorker), letter, ""); strings.Contains(s.ask("GET", EntryPath(own), clerk, nil).body, "Gegenprobe") {
		t.Error("a record of the demo model outside of the demo")
	}
}

// TestOwnAction shows the sealed part of a change to the person who made it, and to nobody else.
func TestOwnAction(t *testing.T) {
	s := newSite(t)
	s.config.DemoLinks = nil // its menu lists people
	s.mount()
	officer := s.people[auth.AIOfficer]
	if _, err := s.users.Reset(t.Context(), officer.Actor(), login(auth.Guest)); err != nil {
		t.Fatal(err)
	}
	s.index()
	s.epoch() // reads the size too
	id := bundle.CallID(1, s.log.Size()-1)
	own := words(s.ask("GET", EntryPath(id), s.session(auth.AIOfficer), nil).body)
	wants(t, "own action", own, "Konto geändert", "geöffnet, weil es Ihre eigene Handlung war")
	if strings.Contains(own, login(auth.Guest)) {
		t.Error("the page names the account")
	}
	other := words(s.ask("GET", EntryPath(id), s.session(auth.IT), nil).body)
	if wants(t, "action of another", other, "Dieser Teil kann Personen nennen"); strings.Contains(other, personName(auth.AIOfficer)) {
		t.Error("the page says who it was")
	}
}

// TestVerifyOnThePage alters stored rows one at a time and wants each alteration said.
func TestVerifyOnThePage(t *testing.T) {
	s := newSite(t)
	id := s.call(login(auth.CaseWorker), letter, "")
	other := s.call(login(auth.CaseWorker), letter, "")
	_, n, _ := bundle.ParseCallID(id)
	_, m, _ := bundle.ParseCallID(other)
	s.index()
	clerk, auditor := s.session(auth.CaseWorker), s.session(auth.Auditor)
	good := words(s.ask("POST", VerifyPath(id), clerk, url.Values{}).body)
	wants(t, "good, own", good, "alles stimmt", "Blatt-Prüfsumme stimmt", "An seinem Platz im Baum", "Im Prüfpunkt", "Unterschrift gültig", "Versiegelter Inhalt unverändert", "Festlegungen passen zum Inhalt", "Baumwurzel", "Erneut prüfen")
	wants(t, "good, of others", words(s.ask("POST", VerifyPath(id), auditor, url.Values{}).body), "alles stimmt", "Inhalt dafür nicht geöffnet", "Der Inhalt ist für Sie verborgen")
	cases := []struct{ query, words string }{
		{`UPDATE audit_entries SET leaf = (SELECT leaf FROM audit_entries WHERE n = $2) WHERE n = $1`, "Nicht an seinem Platz im Baum"},
		{`UPDATE audit_entries SET leaf_hash = (SELECT leaf_hash FROM audit_entries WHERE n = $2) WHERE n = $1`, "Blatt-Prüfsumme stimmt nicht"},
		{`UPDATE audit_entries SET sealed = (SELECT sealed FROM audit_entries WHERE n = $2) WHERE n = $1`, "Versiegelter Inhalt verändert"},
		{`UPDATE audit_entries SET sealed = (SELECT sealed FROM audit_entries WHERE n = $2 + 1) WHERE n = $1 + 1`, "Versiegelter Inhalt verändert"}, // the closing
		{`UPDATE audit_entries SET sealed = NULL, salt = NULL WHERE n = $1 AND n <> $2`, "Versiegelter Inhalt verändert"},
	}
	for _, c := range cases {
		if _, err := s.db.Exec(t.Context(), `CREATE TABLE kept AS SELECT * FROM audit_entries`); err != nil {
			t.Fatal(err)
		}
		if _, err := s.db.Exec(t.Context(), c.query, n, m); err != nil {
			t.Fatal(err)
		}
		for role, session := range map[auth.Role]string{auth.CaseWorker: clerk, auth.Auditor: auditor} {
			a := s.ask("POST", VerifyPath(id), session, url.Values{})
			text := words(a.body)
			if a.StatusCode != 200 || !strings.Contains(text, c.words) || !strings.Contains(text, "etwas stimmt nicht") || strings.Contains(text, "alles stimmt") {
				t.Errorf("%s as %s: %s", c.query, role, a)
			}
			if a := s.ask("GET", EntryPath(id), session, nil); a.StatusCode != 200 {
				t.Errorf("%s: the page itself: %s", c.query, a)
			}
		}
		for _, q := range []string{`DELETE FROM audit_entries`, `INSERT INTO audit_entries SELECT * FROM kept`, `DROP TABLE kept`} {
			if _, err := s.db.Exec(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(cases) != 5 || !strings.Contains(s.program.String(), "does not verify") {
		t.Error("the program log does not say so")
	}
	wants(t, "restored", words(s.ask("POST", VerifyPath(id), clerk, url.Values{}).body), "alles stimmt")
}

func TestList(t *testing.T) {
	s := newSite(t)
	session := s.session(auth.Auditor)
	s.index()
	wants(t, "empty", words(s.ask("GET", PathEvidence, session, nil).body), "Noch kein Aufruf", curlLine)
	var ids []string
	for range 60 {
		ids = append(ids, s.call(login(auth.CaseWorker), letter, ""))
	}
	refused := s.refuse(login(auth.CaseWorker), "Hallo", problem.SystemStopped)
	first := words(s.ask("GET", PathEvidence, session, nil).body)
	if strings.Contains(first, "Aufruf abgelehnt") {
		t.Error("the index runs by itself")
	}
	wants(t, "behind", first, "Stand vor")
	s.index()
	a := s.ask("GET", PathEvidence, session, nil)
	text := words(a.body)
	wants(t, "list", text, "Person, Telefonnummer, IBAN, Zugangsdatum", "KI-2026-001 Briefassistent", "maskiert", "system_stopped", "nicht erreicht", "Stand vor 0 s")
	if strings.Contains(text, curlLine) {
		t.Error("the line for a first call after a first call")
	}
	// all pages down and up again
	seen := map[string]int{}
	path, pages := PathEvidence, 0
	link := func(body, rel string) string {
		m := regexp.MustCompile(`href="([^"]*)" rel="` + rel + `"`).FindStringSubmatch(body)
		if m == nil {
			return ""
		}
		return html.UnescapeString(m[1])
	}
	var last answer
	for path != "" {
		last = s.ask("GET", path, session, nil)
		for _, m := range regexp.MustCompile(`href="/nachweise/(1-\d+)"`).FindAllStringSubmatch(last.body, -1) {
			seen[m[1]]++
		}
		path, pages = link(last.body, "next"), pages+1
	}
	for _, id := range append(ids, refused) {
		if seen[id] != 1 {
			t.Errorf("entry %s is listed %d times", id, seen[id])
		}
	}
	up := s.ask("GET", link(last.body, "prev"), session, nil)
	if pages != 2 || !strings.Contains(up.body, `href="`+EntryPath(refused)+`"`) {
		t.Errorf("%d pages; the page above: %s", pages, up)
	}
	for query, want := range map[string]string{
		"q=" + strings.TrimPrefix(ids[0], "1-"): EntryPath(ids[0]), "q=" + ids[0]: EntryPath(ids[0]),
	} {
		if a := s.ask("GET", PathEvidence+"?"+query, session, nil); a.StatusCode != 303 || a.Header.Get("Location") != want {
			t.Errorf("%s: %s", query, a)
		}
	}
	for query, want := range map[string]string{
		"q=99999": "Keine Einträge zu dieser Suche", "q=abc": "Das ist keine Nummer", "von=gestern": "Diese Zeit lässt sich nicht lesen", "system=KI-2026-002": "change.register|Verzeichnis geändert",
		"fund=SECRET": "maskiert", "urteil=block": "system_stopped", "art=change.role": "Konto geändert Konto", "von=2020-01-01&bis=2020-01-02": "Keine Einträge", "art=call.open&urteil=redact&fund=IBAN&system=KI-2026-001": "Briefassistent",
	} {
		text := words(s.ask("GET", PathEvidence+"?"+query, session, nil).body)
		_, want, _ = strings.Cut("|"+want, "|")
		if alt, rest, ok := strings.Cut(want, "|"); ok && !strings.Contains(text, alt) {
			want = rest
		}
		wants(t, query, text, want)
	}
	for _, query := range []string{"vor=x", "nach=2-5", "system=" + strings.Repeat("x", 300), "art=%00"} {
		if a := s.ask("GET", PathEvidence+"?"+query, session, nil); a.StatusCode != 400 || !strings.Contains(a.body, "Angaben") {
			t.Errorf("%s: %s", query, a)
		}
	}
}

func TestHealthIsShown(t *testing.T) {
	s := newSite(t)
	session := s.session(auth.Auditor)
	wants(t, "not checked", words(s.ask("GET", PathEvidence, session, nil).body), "Protokoll noch nicht geprüft", "Seit dem Start noch nicht vollständig geprüft")
	s.config.Health = func() LogHealth { return LogHealth{Newest: 4, CheckedAt: time.Now(), CheckTook: time.Second} }
	s.mount()
	wants(t, "checked", words(s.ask("GET", PathEvidence, session, nil).body), "Protokoll lückenlos", "Lückenlos bis Eintrag 4.")
	bad := uint64(3)
	s.config.Health = func() LogHealth { return LogHealth{Newest: 4, CheckedAt: time.Now(), FirstBad: &bad} }
	s.mount()
	wants(t, "bad", words(s.ask("GET", PathEvidence, session, nil).body), "Protokoll verändert", "Eintrag 3 stimmt nicht")
}

func TestGoneLeaf(t *testing.T) {
	s := newSite(t)
	id := s.call(login(auth.CaseWorker), letter, "")
	_, n, _ := bundle.ParseCallID(id)
	s.index()
	r, err := s.log.Append(t.Context(), audit.Record{Leaf: bundle.Leaf{Type: bundle.Retain, Class: "leaf", Entries: []bundle.Span{{From: n, To: n + 2}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Exec(t.Context(), `UPDATE audit_entries SET leaf = NULL, sealed = NULL, salt = NULL WHERE n >= $1 AND n < $1 + 2`, n); err != nil {
		t.Fatal(err)
	}
	s.index()
	a := s.ask("POST", VerifyPath(id), s.session(auth.CaseWorker), url.Values{})
	wants(t, "gone", a.body, "Die Aufbewahrungsfrist ist abgelaufen", EntryPath(r.ID()), "alles stimmt")
}

// TestOlderLog reads and checks an entry of the log before a fork.
func TestOlderLog(t *testing.T) {
	s := newSite(t)
	id := s.call(login(auth.CaseWorker), letter, "")
	s.index()
	if err := s.log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	forked, err := audit.Fork(t.Context(), s.audit, "Test", "shell:test")
	if err != nil {
		t.Fatal(err)
	}
	s.log, s.config.Log = forked, forked
	s.users = auth.NewStore(s.db, s.log)
	s.config.Users = s.users
	s.mount()
	s.index()
	clerk := s.session(auth.CaseWorker)
	wants(t, "older log", words(s.ask("POST", VerifyPath(id), clerk, url.Values{}).body), "alles stimmt", "Unterschrift gültig", "Festlegungen passen zum Inhalt", "⟦pers:Katharina Brenner⟧")
	if page := s.ask("GET", EntryPath(id), s.session(auth.Guest), nil); page.StatusCode != 200 || strings.Contains(page.body, "Katharina") {
		t.Errorf("as guest: %s", page)
	}
	wants(t, "list", words(s.ask("GET", PathEvidence, clerk, nil).body), "Protokoll nach Bruch fortgesetzt")
	if a := s.ask("GET", PathEvidence+"?q="+id, clerk, nil); a.Header.Get("Location") != EntryPath(id) {
		t.Errorf("found by its id: %s", a)
	}
	if a := s.ask("GET", EntryPath("2-0"), clerk, nil); a.StatusCode != 200 {
		t.Errorf("the new log: %s", a)
	}
	if err := forked.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
