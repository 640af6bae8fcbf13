package pii

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/leitplanke/leitplanke/internal/guard"
)

// found gives the texts that a detector finds.
func found(t *testing.T, d guard.Detector, text, context string) []string {
	t.Helper()
	v := guard.NewView(text, context)
	list, err := d.Detect(v, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range list {
		if _, _, ok := v.Original(f.Start, f.End); !ok {
			t.Fatalf("%s: bad range %d-%d in %q", d.Name(), f.Start, f.End, text)
		}
		got = append(got, v.Text[f.Start:f.End])
	}
	return got
}

// examples holds texts with what must be found in [[ ]]; a text without marks is a near miss.
type examples struct {
	detector guard.Detector
	texts    []string
}

func marked(text string) (plain string, want []string) {
	for {
		before, rest, ok := strings.Cut(text, "[[")
		plain += before
		if !ok {
			return plain, want
		}
		value, rest, _ := strings.Cut(rest, "]]")
		plain += value
		want = append(want, value)
		text = rest
	}
}

func TestExamples(t *testing.T) {
	all := []examples{
		{IBAN{}, []string{
			"auf [[DE02 1005 0000 0024 2906 61]]. Danke", "[[DE02100500000024290661]]", "iban [[nl91abna0417164300]],", "[[DE02-1005-0000-0024-2906-61]]",
			"[[DE02\u00a01005\u00a00000\u00a00024\u00a02906\u00a061]]", "[[DE02 1005 0000\n  0024 2906 61]]", "[[FR14 2004 1010 0505 0001 3M02 606]]", "[[DE 02 1005 0000 0024 2906 61]]",
			"zwei: [[AT372011100003429418]] und [[BE68539007547034]]",
			"DE03100500000024290661", "DE0210050000002429066", "DE275314980", "XDE02100500000024290661", "DE021005000000242906612", "AB12 ist kein Konto", "RE-2026-4711",
		}},
		{CreditCard{}, []string{
			"Karte [[4123 4567 8901 2349]] gültig 12/27", "[[5430128874551623]]", "[[371449635398431]]", "[[3714-496353-98431]]", "[[4123-4567-8901-2349]].", "[[4123 4567 8901 2349]] 12/27",
			"4123 4567 8901 2348", "9123456789012344", "RE-4123456789012349", "4123 45678 901 2349", "Nr. 41234567890123490000", "2026-11-24", "DE02 1005 0000 0024 2906 61",
		}},
		{TaxID{}, []string{
			"Steuer-ID: [[81573042901]]", "[[65 037 124 863]]", "IdNr. [[23918475017]],", "[[15739204841]]",
			"81573042902", "12345678903", "01573042901", "A81573042901", "815730429011", "81573042901-3", "65 037 1248 63", "0171 1234567",
		}},
		{Email{}, []string{
			"[[k.brenner@hydraulik-brenner.example]].", "<[[max.mustermann@firma-beispiel.de]]>", "mailto:[[a+b@x.org]]", "[[max (at) firma (punkt) de]]", "[[max[at]firma[dot]de]]",
			"[[jörg@müller.de]] und", "[[info@xn--mller-kva.de]]", "von=[[a@b.co]]&x", "[[a@b.example]],[[c@d.example]]", "Max [[max@x.example]]",
			"logo@2x.png", "git@github.com:a/b.git", "@handle", "user@localhost", "a@b", "um 8@9 Uhr", "pkg@1.2.3", "(at) Hause", "x@-y.de",
		}},
		{Phone{}, []string{
			"[[+49 861 555 01 24]]  12.05.2026", "[[+49 861 555 01 24]] 12.05.2026", "[[+49 861 555 01 24]] 4711 0815 123456789012", "[[+43 1 12345678]] 2026-11-24 10 30",
			"unter [[+49 861 555 01 24]] oder", "[[0171 1234567]]", "[[+49 (0)89 / 123 456-78]]", "[[+498912345678]]", "Tel. [[5550124]]", "Tel.: [[089 12345-0]]", "[[(089) 123456]]", "[[0049 89 123456]]",
			"[[089/123456]]", "[[017112345678]]", "[[+43 1 58858-0]]", "[[+41 44 668 18 00]]", "Fax [[0861-5550125]],", "mobil: [[0664 1234567]]", "[[+1 415 555 0123]]", "[[(415) 555-0123]]", "[[0800 1234567]]",
			"Telefon: [[0861 5550124]] / [[0171 1234567]]", "(Tel. [[+49 30 123456]])",
			"2026-11-24", "01.02.2026", "24.11.2026", "RE-2026-4711", "1.190,00 €", "DE02 1005 0000 0024 2906 61", "Rechnung 0815123456", "01/02/2026", "10115 Berlin", "08:15 Uhr", "0,5 %",
			"Nr. 0123456789", "Az. 12 O 345/23", "Kundennummer 0800123456", "2026 1234 5678", "0.123.456", "Seite 089", "ISBN 978-3-16-148410-0", "1.234.567,89 EUR", "DE275314980", "AZR 418/15",
		}},
		{NewPerson(), personExamples},
	}
	for _, e := range all {
		hits, misses := 0, 0
		for _, text := range e.texts {
			plain, want := marked(text)
			view := guard.NewView(plain, "").Text
			for i := range want {
				want[i] = guard.NewView(want[i], "").Text
			}
			if len(want) > 0 {
				hits++
			} else {
				misses++
			}
			if diff := cmp.Diff(want, found(t, e.detector, plain, "")); diff != "" {
				t.Errorf("%s in %q (-want +got):\n%s", e.detector.Name(), view, diff)
			}
		}
		if hits < 3 || misses < 3 {
			t.Errorf("%s: %d examples and %d near misses", e.detector.Name(), hits, misses)
		}
	}
}

var personExamples = []string{
	"Bearbeiter: Fr. [[Lechner]]", "Sachbearbeiter: Hr. Dipl.-Ing. [[Stefan Öttl]]", "Ansprechpartner: Hrn. [[Bauer]]",
	"Sehr geehrte Frau Dr. [[Katharina Brenner]], bitte", "Sehr geehrter Herr [[Müller-Lüdenscheidt]],", "Herrn\n[[Max Mustermann]]\nLindenweg 12", "Herr Prof. Dr. [[Wałęsa]] kam", "Frau [[von der Leyen]] sagte",
	"Frau [[Şahin]] und Herr [[Öztürk]] kommen", "Herr und Frau [[Schmidt]]", "Mein Name ist [[Jürgen Müller]] und ich wohne", "My name is [[John Smith]].", "ich heiße [[Ayşe Yılmaz]]",
	"Mit freundlichen Grüßen\n[[Max Mustermann]]", "Mit freundlichen Grüßen,\n\ni. A. [[K. Brenner]]\nStadtwerke", "Viele Grüße\nIhre [[Petra Schulz]]", "MfG [[Müller]]", "Kind regards,\n[[Jane Doe]]\n",
	"gez. Dr. [[Özdemir]]", "Ansprechpartnerin: Frau [[Weber]]", "Ansprechpartner(in): [[Paul Kowalski]]", "Name: [[Mustermann, Max]]", "Von: [[Max Mustermann]] <max@x.example>", "From: [[Brenner, Katharina]] <k@x.example>",
	"An: [[Max Mustermann]] <m@x.example>; [[Anna Schulz]] <a@x.example>", "Sachbearbeiterin [[Weber]] ist krank", "Liebe [[Katharina]],\ndanke", "Hallo [[Max]]!", "Guten Tag Herr [[Müller]],", "Mr. [[O'Brien]] called", "Mrs [[Anna de Vries]]",
	"Frau [[Müllers]] Antrag", "| Name | [[Max Mustermann]] |", "\"name\": \"[[Max Mustermann]]\"", "Frau Bundeskanzlerin [[Merkel]]", "Herr [[van den Berg]]", "Unser Geschäftsführer [[Max Huber]] hat", "Dear Dr. [[Smith]],",
	"geb. [[Schulz]]", "Frau [[Meier]] Rechnung", "Herr [[Meier]] der Leiter", "frau [[Meier]] rief an",
	"Sehr geehrte Damen und Herren, ", "Frau Bundeskanzlerin, ", "Liebe Kolleginnen und Kollegen,", "Name: Rechnung 4711", "Viele Grüße aus München", "Mit freundlichen Grüßen\nIhr Team", "Von: Montag bis Freitag", "Name: Hydraulik Brenner GmbH",
	"Die Frau ist krank", "Herr Präsident, ", "Mit freundlichen Grüßen\nHydraulik Brenner GmbH", "Hallo zusammen,", "Sehr geehrter Herr Bürgermeister,", "Kontakt: Telefon 089", "im Auftrag der Bundesregierung", "Liebe Grüße", "Mein Name ist egal", "der Name des Schiffs", "Dear Sir or Madam,", "Hi all,",
}
