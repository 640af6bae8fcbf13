package ui

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/leitplanke/leitplanke/bundle"
	"github.com/leitplanke/leitplanke/internal/lang"
	"github.com/leitplanke/leitplanke/internal/problem"
	"github.com/leitplanke/leitplanke/internal/web"
)

var sampleTime = time.Date(2026, 11, 23, 12, 54, 10, 218_000_000, time.UTC)

func newViews(t *testing.T) *web.Views {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		zone = time.FixedZone("CET", 3600)
	}
	v, err := New(web.Config{Zone: zone, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sampleSite() Site {
	return Site{
		Org: "Alpenwerk Maschinenbau GmbH", Version: "0.1.0", Demo: true,
		Log: LogHealth{Newest: 48213, Checked: 48213, Entries: 48214, CheckedAt: sampleTime, CheckTook: 1800 * time.Millisecond, Checkpoint: sampleTime},
	}
}

// sample is one page with its name for pictures.
type sample struct {
	name string
	page web.Page
}

// mark finds word in text.
func mark(text, word string, kind web.MarkKind, label string) web.Mark {
	at := strings.Index(text, word)
	if at < 0 {
		panic("no " + word)
	}
	return web.Mark{Start: at, End: at + len(word), Kind: kind, Label: label}
}

func sampleContent() Content {
	in := "Bitte fassen Sie zusammen:\nRechnung 2026-4711 vom 17.11.2026\nHydraulik Brenner GmbH, Ansprechperson Katharina Brenner\nTelefon +49 861 555 01 24, k.brenner@hydraulik-brenner.example\nZu zahlen: 11.900,00 € bis 07.12.2026\nNeue Bankverbindung: DE89 3704 0044 0532 0130 00\nPortalzugang: bren-portal:Zyl63!2026"
	out := strings.NewReplacer("Katharina Brenner", "PERSON_1", "+49 861 555 01 24", "PHONE_1", "k.brenner@hydraulik-brenner.example", "EMAIL_1",
		"DE89 3704 0044 0532 0130 00", "IBAN_1", "bren-portal:Zyl63!2026", "SECRET_1").Replace(in)
	inText := web.Text{Body: in, Marks: []web.Mark{
		mark(in, "Katharina Brenner", web.MarkPersonal, "PERSON"), mark(in, "+49 861 555 01 24", web.MarkPersonal, "PHONE"),
		mark(in, "k.brenner@hydraulik-brenner.example", web.MarkPersonal, "EMAIL"), mark(in, "DE89 3704 0044 0532 0130 00", web.MarkPersonal, "IBAN"),
		mark(in, "bren-portal:Zyl63!2026", web.MarkSecret, "SECRET"),
	}}
	outText := web.Text{Body: out}
	for _, p := range []string{"PERSON_1", "PHONE_1", "EMAIL_1", "IBAN_1", "SECRET_1"} {
		outText.Marks = append(outText.Marks, mark(out, p, web.MarkPlaceholder, p))
	}
	back := "Zusammenfassung: PERSON_1 (Hydraulik Brenner GmbH) bittet um Zahlung von 11.900,00 €\nauf das Konto IBAN_1 bis 07.12.2026."
	given := strings.NewReplacer("PERSON_1", "Katharina Brenner", "IBAN_1", "DE89 3704 0044 0532 0130 00").Replace(back)
	system := web.Text{Body: "Sie fassen Schreiben der Verwaltung zusammen."}
	return Content{
		State: Shown, Access: "1-48214",
		Request: []web.SplitPart{{Label: "messages.0 · system", Left: system, Right: system}, {Label: "messages.1 · user", Left: inText, Right: outText}},
		Response: []web.SplitPart{{
			Left:  web.Text{Body: back, Marks: []web.Mark{mark(back, "PERSON_1", web.MarkPlaceholder, "PERSON_1"), mark(back, "IBAN_1", web.MarkPlaceholder, "IBAN_1")}},
			Right: web.Text{Body: given, Marks: []web.Mark{mark(given, "Katharina Brenner", web.MarkPersonal, "PERSON"), mark(given, "DE89 3704 0044 0532 0130 00", web.MarkPersonal, "IBAN")}},
		}},
		Provider: &Received{Model: "demo", At: sampleTime, Same: true, Parts: []web.SplitPart{{Left: outText, Right: outText}}},
	}
}

func sampleProof() Proof {
	h := func(c string) string { return strings.Repeat(c, 8) }
	return Proof{
		ID: "1-48196", Command: "leitplanke log show 1-48196\nleitplanke verify --config leitplanke.yaml",
		Result: &Checked{At: sampleTime, Took: 12 * time.Millisecond, Leaf: true, Tree: true, Checkpoint: 48213, Signature: true, Sealed: SealedSame, Commit: CommitSame},
		Hashes: []Hash{{"c_request", h("4be109a7")}, {"c_outbound", h("d03f5512")}, {"c_response", h("77c2e01d")}, {"c_meta", h("81aac3f0")}, {"h_sealed", h("f27b6e90")}, {"root", h("0c6de8b2")}},
	}
}

func sampleCall(f web.Frame) *CallPage {
	at := func(ms int) time.Time { return sampleTime.Add(time.Duration(ms) * time.Millisecond) }
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	found := Counts{{"PERSON", 1}, {"PHONE", 1}, {"EMAIL", 1}, {"IBAN", 1}, {"SECRET", 1}}
	return &CallPage{
		Frame: f, ID: "1-48196", Number: 48196, At: sampleTime, Verdict: "redact",
		SystemID: "KI-2026-001", System: "Briefassistent", Purpose: "Briefe und Mails der Verwaltung zusammenfassen und entwerfen",
		Exact: true, Took: 1840 * time.Millisecond, Finding: found,
		Steps: []Step{
			StepAccepted(at(0), ms(2), "demo"), StepGuards(at(2), ms(6), found, 2), StepPolicy(at(8), ms(1), "redact", []string{"mask.PERSON", "mask.IBAN"}, "standard"),
			StepRecorded(at(9), ms(5), 48196), StepModel(at(14), ms(1784), Answered{Model: "demo", Provider: "demo", In: 521, Out: 213, Demo: true}),
			StepAnswer(at(1798), ms(4), 2, 1), StepClosed(at(1802), ms(4), 48197, "complete"),
		},
		Content: sampleContent(),
		Coverage: Coverage{Items: []CoverageItem{
			{"messages.0", "iban", "ran", ""},
			{"messages.1", "iban", "ran", ""},
			{"response", "iban", "ran", ""},
			{"messages.0", "secret", "ran", ""},
			{"messages.1", "secret", "ran", ""},
			{"response", "secret", "failed", "panic runtime.boundsError"},
			{"messages.0", "person_rules", "skipped", ""},
			{"messages.1", "person_rules", "ran", ""},
			{"response", "person_rules", "not_inspected", "kind"},
		}},
		Proof: sampleProof(),
		Facts: CallFacts{
			Access: "demo", Model: "demo", Provider: "demo", Region: "local", TokensIn: 521, TokensOut: 213, Policy: "standard", PolicyHash: strings.Repeat("ab12", 16),
			Kind: "user", Class: "standard", ContentUntil: sampleTime.AddDate(0, 0, 30), LeafUntil: sampleTime.AddDate(2, 0, 0), Instance: "node-1", Epoch: 12,
		}.Fields(),
		Near: []Neighbour{{"1-48195", 48195, "call.close", false}, {"1-48197", 48197, "call.close", true}},
	}
}

func sampleList(f web.Frame) *ListPage {
	rows := []Row{
		{ID: "1-48213", Number: 48213, At: sampleTime, Exact: true, Type: "call.close", Subject: "KI-2026-001 Briefassistent", Verdict: "redact", Finding: Counts{{"PERSON", 2}, {"IBAN", 1}}, Model: "demo", Tokens: 612},
		{ID: "1-48212", Number: 48212, At: sampleTime, Exact: true, Type: "call.open", Subject: "KI-2026-001 Briefassistent", Verdict: "redact", Finding: Counts{{"PERSON", 2}, {"IBAN", 1}}, Model: "demo"},
		{ID: "1-48211", Number: 48211, At: sampleTime.Add(-time.Minute), Exact: true, Type: "call.close", Subject: "KI-2026-002 Recherche", Verdict: "allow", Model: "standard", Tokens: 1204},
		{ID: "1-48210", Number: 48210, At: sampleTime.Add(-time.Minute), Exact: true, Type: "call.open", Subject: "KI-2026-002 Recherche", Verdict: "allow", Model: "standard"},
		{ID: "1-48209", Number: 48209, At: sampleTime.Add(-2 * time.Minute), Type: "call.refuse", Subject: "KI-2026-001 Briefassistent", Verdict: "block", Code: "policy_blocked", Finding: Counts{{"SECRET", 1}}},
		{ID: "1-48208", Number: 48208, At: sampleTime.Add(-3 * time.Minute), Type: "stop.on", Subject: "KI-2026-002 Recherche"},
		{ID: "1-48207", Number: 48207, At: sampleTime.Add(-4 * time.Minute), Type: "change.register", Subject: "system/KI-2026-002"},
		{ID: "1-48206", Number: 48206, At: sampleTime.Add(-5 * time.Minute), Type: "erase", Subject: "KI-2026-001 Briefassistent"},
		{ID: "1-48205", Number: 48205, At: sampleTime.Add(-6 * time.Minute), Type: "retain", Subject: "KI-2026-001 Briefassistent"},
		{ID: "1-48204", Number: 48204, At: sampleTime.AddDate(0, -1, 0), Type: "log.start"},
	}
	return &ListPage{
		Frame: f, Rows: rows, Older: "/nachweise?vor=1-48204", Behind: time.Second, Log: sampleSite().Log,
		Systems: []Option{{"KI-2026-001", "KI-2026-001 Briefassistent"}, {"KI-2026-002", "KI-2026-002 Recherche"}},
		Types:   []string{"PERSON", "IBAN", "SECRET"}, Events: []string{"call.open", "call.close", "call.refuse", "change.register", "stop.on"},
	}
}

// samples returns every page in every state that looks different.
func samples(v *web.Views, p web.Prefs) []sample {
	l := v.Locale(p)
	site := sampleSite()
	site.Others = []web.Other{{Name: "Sabine Reiter", Role: Role(l, "works_council"), Href: "/demo/works_council"}, {Name: "Claudia Brandt", Role: Role(l, "auditor"), Href: "/demo/auditor"}}
	who := &Viewer{Name: "Lukas Ebner", Roles: []string{"case_worker"}}
	signed := func(path string) web.Frame { return site.Frame(l, p, path, who) }
	public := func(path string) web.Frame { return site.Frame(l, p, path, nil) }

	var out []sample
	add := func(name string, page web.Page) { out = append(out, sample{name, page}) }

	var people []DemoPerson
	for _, x := range [][2]string{{"Miriam Aigner", "ai_officer"}, {"Lukas Ebner", "case_worker"}, {"Sabine Reiter", "works_council"}, {"Jonas Weidinger", "data_protection"}, {"Andreas Pichler", "it"}, {"Claudia Brandt", "auditor"}} {
		people = append(people, DemoPerson{x[0], x[1], "/demo/" + x[1]})
	}
	wrong := web.Words(l, problem.Unauthenticated(problem.SignInWrong))
	add("signin", &SignInPage{Frame: public(PathSignIn), Org: site.Org, Demo: people})
	add("signin-wrong", &SignInPage{Frame: public(PathSignIn), Org: "Stadtwerke Beispiel", Login: "m.aigner@alpenwerk.example", Next: "/nachweise?q=3", Words: wrong})
	add("setup", &SetupPage{Frame: public(PathSetup + "x"), Org: site.Org, Name: "Miriam Aigner", Login: "m.aigner@alpenwerk.example", Action: PathSetup + "x", MinLength: 12, Words: web.Words(l, problem.Invalid(problem.PasswordShort, "n", 12))})
	add("demosignin", &DemoSignInPage{Frame: public("/demo/case_worker"), Org: site.Org, Name: "Lukas Ebner", Role: "case_worker", Action: "/demo/case_worker"})

	list := sampleList(signed(PathEvidence))
	list.Toast = l.T(ToastSignedIn, "name", "Lukas Ebner")
	add("list", list)
	empty := &ListPage{Frame: signed(PathEvidence), Rows: sampleList(web.Frame{}).Rows[9:], Curl: "curl http://localhost:8088/v1/chat/completions \\\n  -H \"Authorization: Bearer lp-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\" \\\n  -d '{\"model\":\"demo\",\"messages\":[{\"role\":\"user\",\"content\":\"Frau Brenner, DE89 3704 0044 0532 0130 00\"}]}'", Log: LogHealth{Newest: 0, Entries: 1}}
	add("list-empty", empty)
	add("list-none", &ListPage{Frame: signed(PathEvidence + "?q=x&von=gestern"), Filter: Filter{Query: "x", From: "gestern", BadQuery: true, BadFrom: true}, Log: site.Log})
	bad := uint64(4711)
	broken := site
	broken.Log.FirstBad = &bad
	broken.Log.Refuses, broken.Log.Since = true, sampleTime
	alarm := sampleList(broken.Frame(l, p, PathEvidence, who))
	alarm.Log, alarm.Filter = broken.Log, Filter{Verdict: "redact"}
	add("list-broken", alarm)

	call := sampleCall(signed(EntryPath("1-48196")))
	add("call", call)
	hidden := sampleCall(signed(EntryPath("1-48196")))
	hidden.Content = Content{State: Hidden, Ask: []Contact{{"Sabine Reiter", "works_council"}, {"Jonas Weidinger", "data_protection"}}}
	hidden.Coverage = Coverage{Sums: []CoverageSum{{"iban", 3, 0, 0, 0}, {"secret", 2, 0, 1, 0}, {"person_rules", 1, 1, 0, 1}}}
	hidden.Proof.Result = nil
	add("call-hidden", hidden)
	refused := sampleCall(signed(EntryPath("1-48209")))
	refused.Verdict, refused.Code, refused.Took = "block", problem.PolicyBlocked, 0
	refused.Words = web.Words(l, problem.Blocked(problem.PolicyBlocked, "rule", "secret.block"))
	refused.Steps = append(refused.Steps[:2:2], StepPolicy(sampleTime, time.Millisecond, "block", []string{"secret.block"}, "standard"), StepRefused(sampleTime, 4*time.Millisecond, 48209))
	refused.Content.Response, refused.Content.Provider, refused.Content.Access = nil, nil, ""
	refused.Content.Request = []web.SplitPart{{Left: refused.Content.Request[1].Left}}
	refused.Proof.Result = &Checked{At: sampleTime, Leaf: false, Tree: true, Sealed: SealedOther, Commit: CommitClosed}
	add("call-refused", refused)
	erased := sampleCall(signed(EntryPath("1-48196")))
	erased.Content = Content{State: Erased, ErasedBy: "1-48206"}
	erased.Open, erased.Took, erased.Coverage = true, 0, Coverage{}
	erased.Steps = append(erased.Steps[:4:4], StepAttempt(sampleTime, 0, 48198, "standard", "lokal"), StepAborted(sampleTime, 48199))
	erased.Proof.Result = &Checked{At: sampleTime, Leaf: true, Tree: true, Sealed: SealedErased, Commit: CommitNone}
	add("call-erased", erased)
	gone := sampleCall(signed(EntryPath("1-48196")))
	gone.Content.Provider = &Received{Model: "demo", Gone: true}
	gone.Case, gone.Activity = "ER-2026-1204", "auslesen"
	gone.Steps = []Step{StepGuards(sampleTime, 0, nil, 1), StepPolicy(sampleTime, 0, "allow", nil, "standard"), StepModel(sampleTime, 0, Answered{Model: "standard", Provider: "lokal", Region: "local", In: 1, Out: 1, Estimated: true}), StepModel(sampleTime, 0, Answered{Model: "standard", Provider: "lokal", Region: "local"}), StepAnswer(sampleTime, 0, 3, 0), StepAnswer(sampleTime, 0, 0, 0), StepClosed(sampleTime, 0, 48197, "client_left")}
	gone.Coverage.Items = nil
	for i := range 8 {
		for _, d := range []string{"iban", "secret"} {
			gone.Coverage.Items = append(gone.Coverage.Items, CoverageItem{fmt.Sprintf("messages.%d", i), d, "ran", ""})
		}
	}
	add("call-gone", gone)

	leaf := &bundle.Leaf{Type: bundle.Erase, System: "KI-2026-001", Time: uint64(sampleTime.Unix()), Instance: "node-1", Epoch: 12, Class: "standard", Entries: []bundle.Span{{From: 48100, To: 48102}}, Keys: []string{"r-48100"}, CMeta: make([]byte, 32), HSealed: make([]byte, 32)}
	proof := sampleProof()
	proof.Hashes = append(LeafHashes(leaf), Hash{"root", strings.Repeat("0c6de8b2", 8)})
	entry := &EntryPage{Frame: signed(EntryPath("1-48206")), ID: "1-48206", Number: 48206, At: sampleTime, Type: "erase", Subject: "KI-2026-001 Briefassistent", Facts: LeafFacts(leaf), Content: SealedFacts("Jonas Weidinger", "Art. 17 DSGVO"), Proof: proof, Near: []Neighbour{{"1-48205", 48205, "retain", false}, {"1-48207", 48207, "change.register", false}}}
	add("entry", entry)
	sealed := *entry
	sealed.Content, sealed.Hidden, sealed.Ask = nil, true, []Contact{{"Sabine Reiter", "works_council"}, {"", "data_protection"}}
	add("entry-hidden", &sealed)

	systems := []PublicSystem{{"KI-2026-001", "Briefassistent", "Briefe und Mails der Verwaltung zusammenfassen und entwerfen"}, {"KI-2026-002", "Recherche", "Fragen zu eigenen Handbüchern beantworten"}}
	tr := TransparencyPage{
		Frame: public(PathTransparency), Org: site.Org, Contact: "datenschutz@alpenwerk.example", Demo: true, Systems: systems, Origin: "leitplanke.example/demo/1",
		VerifierKey: "leitplanke.example/demo/1+a1b2c3d4+AQ==", Fingerprint: strings.Repeat("9f3c", 16), Checkpoint: "leitplanke.example/demo/1\n48213\nDG3osl8Tmn4=\n\n— leitplanke.example/demo/1 obLD1A==", SignedAt: sampleTime, ContentDays: 30, LeafMonths: 24,
	}
	add("transparency", &tr)
	signedTr := tr
	signedTr.Frame, signedTr.Systems = signed(PathTransparency), nil
	add("transparency-signed", &signedTr)

	missing := problem.NotFound(problem.EntryNotFound, "id", "1-99999", "newest", uint64(48213))
	add("error-404", &web.ErrorPage{Frame: signed(EntryPath("1-99999")), Kind: missing.Kind.String(), Words: web.Words(l, missing)})
	add("error-500", &web.ErrorPage{Frame: public("/x"), Kind: "internal", Words: web.Words(l, errors.New("secret cause")), ID: "01JD9K7Q2M"})
	return out
}

// every reader: language and look
func readers() []web.Prefs {
	return []web.Prefs{{Lang: lang.German}, {Lang: lang.English, Theme: "dark", Dense: true}}
}
