package lang

import (
	"testing"
	"time"
)

func berlin(t *testing.T, l Lang) Locale {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zone data on this machine: ", err)
	}
	return Locale{Lang: l, Zone: zone}
}

func TestFormats(t *testing.T) {
	de, en := berlin(t, German), berlin(t, English)
	winter := time.Date(2026, 11, 23, 12, 54, 10, 218_000_000, time.UTC)
	summer := time.Date(2026, 7, 1, 12, 0, 5, 7_000_000, time.UTC)
	cases := []struct{ name, got, want string }{
		{"number de", de.Num(1234567), "1.234.567"},
		{"number en", en.Num(1234567), "1,234,567"},
		{"small number", de.Num(12), "12"},
		{"three digits", de.Num(999), "999"},
		{"negative", de.Num(-1000), "−1.000"},
		{"decimal de", de.Decimal(1190, 2), "1.190,00"},
		{"decimal en", en.Decimal(1190, 2), "1,190.00"},
		{"negative decimal", en.Decimal(-0.5, 1), "−0.5"},
		{"date de", de.Date(winter), "23.11.2026"},
		{"date en", en.Date(winter), "23 Nov 2026"},
		{"time de", de.DateTime(winter), "23.11.2026, 13:54:10 MEZ"},
		{"time en", en.DateTime(winter), "23 Nov 2026, 13:54:10 CET"},
		{"summer de", de.DateTime(summer), "01.07.2026, 14:00:05 MESZ"},
		{"summer en", en.DateTime(summer), "1 Jul 2026, 14:00:05 CEST"},
		{"exact de", de.ClockExact(winter), "13:54:10,218"},
		{"exact en", en.ClockExact(summer), "14:00:05.007"},
		{"millis", de.Millis(1784 * time.Millisecond), "1.784\u00a0ms"},
		{"millis below ten", de.Millis(2100 * time.Microsecond), "2,1\u00a0ms"},
		{"millis far below", de.Millis(35 * time.Microsecond), "0,04\u00a0ms"},
		{"short ms", de.Short(3 * time.Millisecond), "3\u00a0ms"},
		{"short s", de.Short(1840 * time.Millisecond), "1,8\u00a0s"},
		{"whole seconds", en.Short(4 * time.Second), "4\u00a0s"},
		{"minutes", de.Short(125 * time.Second), "2\u00a0min 5\u00a0s"},
		{"hours", de.Short(3*time.Hour + 10*time.Minute), "3\u00a0h 10\u00a0min"},
		{"days", de.Short(96 * time.Hour), "4\u00a0d"},
		{"long de", de.Long(1840 * time.Millisecond), "1,8 Sekunden"},
		{"long en", en.Long(time.Second), "1 second"},
		{"long ms", de.Long(12 * time.Millisecond), "12 Millisekunden"},
		{"long min", en.Long(90 * time.Second), "1.5 minutes"},
		{"bytes", de.Size(812), "812\u00a0B"},
		{"kib", de.Size(1536), "1,5\u00a0KiB"},
		{"mib", en.Size(32 << 20), "32\u00a0MiB"},
		{"nothing", de.Short(0), "0\u00a0s"},
		{"word", de.Count(7), "Sieben"},
		{"figures", en.Count(13), "13"},
		{"list", de.List([]string{"a", "b", "c"}), "a, b und c"},
		{"list of one", en.List([]string{"a"}), "a"},
		{"as of", de.T("time.as_of", "age", 4*time.Second), "Stand vor 4\u00a0s"},
		{
			"size argument", en.T("problem.body_too_large", "limit", Bytes(32<<20)),
			"The request is larger than allowed (32\u00a0MiB). Send less text or split it into several calls.",
		},
	}
	for _, c := range cases {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
	if len(cases) < 30 {
		t.Fatal("cases are missing")
	}
}

func TestZoneNames(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	if got := (Locale{German, time.UTC}).ZoneName(at); got != "UTC" {
		t.Errorf("UTC: %q", got)
	}
	if got := (Locale{German, time.FixedZone("+03", 3*3600)}).ZoneName(at); got != "UTC+03" {
		t.Errorf("fixed zone: %q", got)
	}
}

func TestAccept(t *testing.T) {
	cases := map[string]Lang{
		"":                               German,
		"de-DE,de;q=0.9,en;q=0.8":        German,
		"en-GB,en;q=0.9,de;q=0.8":        English,
		"fr,de;q=0.3,en;q=0.7":           English,
		"fr-FR,fr":                       English,
		"en;q=0,de":                      German,
		"de;q=abc,en;q=0.1":              English,
		"*":                              English,
		"DE":                             German,
		"pl, de-AT ; q=0.5 , en ; q=0.4": German,
	}
	for header, want := range cases {
		if got := Accept(header); got != want {
			t.Errorf("Accept(%q) = %q, want %q", header, got, want)
		}
	}
}

type loud string

func (s loud) In(l Locale) string { return string(s) + "/" + string(l.Lang) }

func TestFill(t *testing.T) {
	l := Locale{English, time.UTC}
	cases := []struct{ text, want string }{
		{"{n} {n|entry|entries}", "1 entry"},
		{"{m} {m|entry|entries}", "1,200 entries"},
		{"{who} and {missing}", "x/en and {missing}"},
		{"open { brace", "open { brace"},
		{"{word}", "masked"},
		{"{f}", "1.5"},
	}
	args := []any{"n", 1, "m", uint64(1200), "who", loud("x"), "word", Key("verdict.redact"), "f", 1.5}
	for _, c := range cases {
		if got := l.fill(c.text, args); got != c.want {
			t.Errorf("fill(%q) = %q, want %q", c.text, got, c.want)
		}
	}
	if got := l.T("no.such.key"); got != "no.such.key" {
		t.Errorf("unknown key: %q", got)
	}
	if got, want := l.T("problem.invalid_request.unheard.of"), l.T("problem.invalid_request"); got != want || got == "problem.invalid_request" {
		t.Errorf("narrower problem: %q", got)
	}
	if got := l.T("problem.unheard.of"); got != "problem.unheard.of" {
		t.Errorf("unknown problem: %q", got)
	}
	if got := l.Word("finding.", "MARTIAN"); got != "MARTIAN" {
		t.Errorf("unknown code: %q", got)
	}
}
