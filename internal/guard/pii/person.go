package pii

import (
	"strings"
	"unicode/utf8"

	"github.com/leitplanke/leitplanke/internal/guard"
)

// Person finds names of persons by title and context, in German and English.
//
// Rule: a cue word, then the grammar of a name (words with a capital, initials, particles, titles skipped). Cues are forms
// of address (Herr, Frau, Dr., Mr), greetings (Liebe, Hallo, Dear), introductions (mein Name ist), closings (Mit
// freundlichen Grüßen and the line below), signatures (gez., i. A.), labels with a colon or a JSON key (Name:, Von:,
// Ansprechpartner:), and roles (Sachbearbeiterin Müller). A name without any cue is the work of another detector. The
// finding is the name without title and form of address. Source: detection.md section 4.
// Finds: Sehr geehrte Frau Dr. Katharina [Brenner], gez. [M. Özdemir], Name: [Mustermann, Max], Herrn [von der Heide].
// Leaves: Sehr geehrte Damen und Herren, Frau Bundeskanzlerin, Name: Rechnung 4711, Liebe Kolleginnen und Kollegen.
type Person struct {
	cues  map[string]cue
	roles map[string]bool
}

// cue says how a cue word introduces a name.
type cue uint8

const (
	cueAddress cue = iota + 1 // Herr
	cueTitle                  // Dr.
	cueGreet                  // Liebe
	cueIntro                  // Name ist, heiße
	cueClose                  // Grüßen
	cueSign                   // gez., i. A.
	cueLabel                  // Ansprechpartner:
	cueMail                   // Von:, From:
	cueRole                   // Sachbearbeiterin Müller
)

// cueWords lists the cue words of each kind.
func cueWords() map[cue]string {
	return map[cue]string{
		cueAddress: "Herr Herrn Frau herr herrn frau Hr Fr Fräulein Familie HERR HERRN FRAU FAMILIE Mr Mrs Ms Miss Mx Mister Monsieur Madame Signor Signora Señor Señora",
		cueTitle:   "Dr Prof DR PROF Dipl-Ing Dipl",
		cueGreet:   "Liebe Lieber Hallo Hi Hey Moin Servus Tag Morgen Abend Dear Hello Geehrter Geehrte geehrter geehrte",
		cueIntro:   "Name name heiße heisse namens geb geborene geborener",
		cueClose: "Grüßen Grüße Gruß Grüssen Grüsse Gruss MfG mfg VG LG Hochachtungsvoll regards Regards Sincerely sincerely faithfully wishes Wishes " +
			"Cheers",
		cueSign: "gez Gez A V ppa Auftrag Vertretung",
		cueMail: "Von An From To Cc CC Bcc Absender Empfänger Sender Recipient Reply-To",
		cueLabel: "Name Vorname Nachname Familienname Geburtsname Ansprechpartner Ansprechpartnerin Kontakt Kontaktperson Sachbearbeiter Sachbearbeiterin Sachbearbeitung " +
			"Bearbeiter Bearbeiterin Antragsteller Antragstellerin Kunde Kundin Patient Patientin Mieter Mieterin Vermieter Vermieterin Mandant Mandantin " +
			"Versicherter Versicherte Versicherungsnehmer Versicherungsnehmerin Kontoinhaber Kontoinhaberin Karteninhaber Karteninhaberin Mitarbeiter Mitarbeiterin " +
			"Geschäftsführer Geschäftsführerin Inhaber Inhaberin Unterzeichner Unterzeichnerin Verfasser Verfasserin Autor Autorin Bewerber Bewerberin " +
			"Zeuge Zeugin Halter Halterin Fahrer Fahrerin Schüler Schülerin Empfänger Absender Teilnehmer Teilnehmerin Protokollführer Projektleiter Projektleiterin " +
			"Contact Customer Employee Patient Author Client Tenant Applicant Witness Signed-off-by name Full-name Surname Unterschrift Vorgesetzter Vorgesetzte",
		cueRole: "Ansprechpartner Ansprechpartnerin Sachbearbeiter Sachbearbeiterin Rechtsanwalt Rechtsanwältin Geschäftsführer Geschäftsführerin Kollege Kollegin " +
			"Patient Patientin Mandant Mandantin Mieter Mieterin Antragsteller Antragstellerin Zeuge Zeugin Notar Notarin Steuerberater Steuerberaterin " +
			"Bürgermeister Bürgermeisterin Oberbürgermeister Oberbürgermeisterin Hausarzt Hausärztin Betreuer Betreuerin",
	}
}

// NewPerson makes the detector.
func NewPerson() *Person {
	p := &Person{cues: map[string]cue{}, roles: map[string]bool{}}
	for w := range strings.FieldsSeq(cueWords()[cueRole]) {
		p.roles[w] = true
	}
	for kind := cueAddress; kind <= cueRole; kind++ {
		for w := range strings.FieldsSeq(cueWords()[kind]) {
			if p.cues[w] == 0 || kind == cueLabel { // a role with a colon is a label; label looks at both
				p.cues[w] = kind
			}
		}
	}
	p.cues["Name"], p.cues["name"] = cueIntro, cueIntro
	p.cues["Absender"], p.cues["Empfänger"] = cueMail, cueMail
	return p
}

// Name implements guard.Detector.
func (*Person) Name() string { return "person_rules" }

// longestCue bounds a cue word in bytes, so that long words cost no look-up.
const longestCue = len("Versicherungsnehmerin") + 2

// Detect implements guard.Detector.
func (p *Person) Detect(v *guard.View, found []guard.Finding) ([]guard.Finding, error) {
	s := v.Text
	if v.Context != "" && personKey(v.Context) {
		if start, end, ok := name(s, lineBlanks(s, 0), nameRule{most: 4, comma: true}); ok && closed(s, end) {
			found = append(found, person(start, end))
		}
	}
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf && !isLetter(c) {
			i++
			continue
		}
		w := wordFrom(s, i)
		if w.end == i {
			_, n := utf8.DecodeRuneInString(s[i:])
			i += n
			continue
		}
		i = w.end
		if w.end-w.start > longestCue {
			continue
		}
		kind := p.cues[s[w.start:w.end]]
		if kind == 0 {
			continue
		}
		start, end, ok := p.read(s, w, kind)
		if !ok {
			continue
		}
		found = append(found, person(start, end))
		i = max(i, end)
		if kind == cueMail || kind == cueLabel {
			found, i = more(s, end, found)
		}
	}
	return found, nil
}

func person(start, end int) guard.Finding {
	return guard.Finding{Type: guard.TypePerson, Start: start, End: end, Score: guard.ScoreContext}
}

// personKey says whether a JSON key announces a person.
func personKey(key string) bool {
	for _, w := range []string{
		"name", "vorname", "nachname", "firstname", "lastname", "first_name", "last_name", "full_name", "fullname", "surname",
		"customer", "kunde", "kundin", "ansprechpartner", "ansprechpartnerin", "contact", "kontakt", "employee", "mitarbeiter", "patient", "sachbearbeiter", "author",
		"empfaenger", "empfänger", "absender", "recipient", "sender", "person", "inhaber", "kontoinhaber", "customer_name", "kundenname", "customername",
		"antragsteller", "familienname", "contact_name", "user_name", "owner",
	} {
		if strings.EqualFold(key, w) {
			return true
		}
	}
	return false
}

// read looks for the name that a cue word announces.
func (p *Person) read(s string, w word, kind cue) (start, end int, ok bool) {
	text := s[w.start:w.end]
	switch kind {
	case cueAddress:
		return address(s, w)
	case cueTitle:
		if strings.HasPrefix(text, "Dipl") || w.end < len(s) && (s[w.end] == '.' || s[w.end] == ' ') {
			return name(s, w.start, nameRule{most: 3, careful: true})
		}
	case cueGreet:
		return greeting(s, w)
	case cueIntro:
		return intro(s, w)
	case cueClose:
		return closing(s, w)
	case cueSign:
		return signature(s, w)
	case cueMail, cueLabel:
		if start, end, ok = label(s, w, kind); ok {
			return start, end, true
		}
		if p.roles[text] {
			return role(s, w)
		}
	case cueRole:
		if start, end, ok = label(s, w, kind); ok {
			return start, end, true
		}
		return role(s, w)
	}
	return 0, 0, false
}

// address: Herr Müller, Frau Dr. Anna von Berg; in a letter head the name may stand on the next line.
func address(s string, w word) (start, end int, ok bool) {
	i := w.end
	text := s[w.start:w.end]
	if i < len(s) && s[i] == '.' {
		i++
	} else if text == "Hr" || text == "Fr" {
		return 0, 0, false
	}
	next := blanks(s, i, 1)
	if next == i || text == "Familie" && strings.HasPrefix(s[next:], "der ") {
		return 0, 0, false
	}
	return name(s, next, nameRule{most: 3, careful: true})
}

// greeting: Liebe Katharina, - a name alone up to a comma, a mark or the end of the line.
func greeting(s string, w word) (start, end int, ok bool) {
	i := w.end
	if i >= len(s) || s[i] != ' ' {
		return 0, 0, false
	}
	start, end, ok = name(s, i+1, nameRule{most: 3})
	if !ok || noun(s[start:end]) {
		return 0, 0, false
	}
	if end < len(s) && strings.IndexByte(",!\n\r", s[end]) < 0 {
		return 0, 0, false
	}
	before := strings.TrimRight(s[:w.start], " ")
	sentence := before == "" || strings.IndexByte(".!?\n,:\">", before[len(before)-1]) >= 0
	return start, end, sentence || strings.HasSuffix(before, "Guten") || strings.HasSuffix(before, "Sehr") || strings.HasSuffix(before, "Good")
}

// intro: mein Name ist Max Mustermann, ich heiße, geb. Schulz; "Name:" is a label.
func intro(s string, w word) (start, end int, ok bool) {
	rule := nameRule{most: 3, careful: true}
	switch s[w.start:w.end] {
	case "Name", "name":
		rest := s[w.end:]
		for _, verb := range []string{" ist ", " is ", " lautet "} {
			if strings.HasPrefix(rest, verb) && (strings.HasSuffix(s[:w.start], "ein ") || strings.HasSuffix(s[:w.start], "y ")) {
				return name(s, w.end+len(verb), rule)
			}
		}
		return label(s, w, cueLabel)
	case "geb":
		if !strings.HasPrefix(s[w.end:], ". ") {
			return 0, 0, false
		}
		return name(s, w.end+2, nameRule{most: 1})
	case "geborene", "geborener": // Wally geborene Müller, but not: der 1967 geborene Kläger, die in Wien geborene Malerin
		before := s[max(0, w.start-longestCue):w.start]
		k := strings.LastIndexByte(strings.TrimSuffix(before, " "), ' ')
		if k < 0 || !capital(before[k+1:]) || strings.HasSuffix(before[:k], " in") || strings.HasSuffix(before[:k], " im") {
			return 0, 0, false
		}
	case "heiße", "heisse":
		if !strings.HasSuffix(s[:w.start], "ch ") {
			return 0, 0, false
		}
	}
	if w.end >= len(s) || s[w.end] != ' ' {
		return 0, 0, false
	}
	return name(s, w.end+1, rule)
}

// closing: Mit freundlichen Grüßen, then a line that is a name and nothing else.
func closing(s string, w word) (start, end int, ok bool) {
	i := w.end
	for i < len(s) && (s[i] == ',' || s[i] == '!' || s[i] == '.') {
		i++
	}
	comma := i > w.end
	next := blanks(s, i, 3)
	newLine := strings.IndexByte(s[i:next], '\n') >= 0
	if len(s[w.start:w.end]) <= len("MfG") { // LG is a company too: it must open a line or follow a sentence
		before := strings.TrimRight(s[:w.start], " ")
		if before != "" && strings.IndexByte("\n.!?", before[len(before)-1]) < 0 {
			return 0, 0, false
		}
	} else if !comma && !newLine {
		return 0, 0, false
	}
	return signed(s, next)
}

// signed reads a line that is a name, behind "Ihr", "i. A." and the like.
func signed(s string, i int) (start, end int, ok bool) {
	for _, skip := range []string{"gez. ", "i. A. ", "i.A. ", "i. V. ", "i.V. ", "im Auftrag ", "im Auftrag\n", "ppa. ", "Ihr ", "Ihre ", "Dein ", "Deine ", "Euer ", "Eure ", "Herr ", "Frau "} {
		if strings.HasPrefix(s[i:], skip) {
			i = blanks(s, i+len(skip), 2)
		}
	}
	start, end, ok = name(s, i, nameRule{most: 4})
	return start, end, ok && closed(s, end) && !firm(s[end:])
}

// closed says whether a line or an entry ends at i, perhaps with a mark.
func closed(s string, i int) bool {
	k := lineBlanks(s, i)
	if k >= len(s) {
		return true
	}
	switch s[k] {
	case '\n', '\r', ',', ';', '<', '(', '|', '"', '\'', '/', '\\', '*', '!', ')', ']':
		return true
	case '.', '-':
		return k+1 >= len(s) || s[k+1] == ' ' || s[k+1] == '\n'
	}
	return false
}

// firm says whether the rest of a line names a company.
func firm(rest string) bool {
	line, _, _ := strings.Cut(rest[:min(len(rest), 40)], "\n")
	for _, form := range []string{"GmbH", " AG", " KG", " UG", "e.V.", "e. V.", " SE", "OHG", " Ltd", " Inc"} {
		if strings.Contains(line, form) {
			return true
		}
	}
	return false
}

// signature: gez. Müller, i. A. Özdemir, im Auftrag and a line.
func signature(s string, w word) (start, end int, ok bool) {
	i := w.end
	switch s[w.start:w.end] {
	case "A", "V":
		if !strings.HasSuffix(s[:w.start], "i. ") && !strings.HasSuffix(s[:w.start], "i.") || i >= len(s) || s[i] != '.' {
			return 0, 0, false
		}
		if before := strings.TrimSuffix(strings.TrimSuffix(s[:w.start], " "), "i."); before != "" && wordBefore(s, len(before)) {
			return 0, 0, false
		}
		i++
	case "Auftrag", "Vertretung":
		if !strings.HasSuffix(s[:w.start], "m ") && !strings.HasSuffix(s[:w.start], "n ") || i >= len(s) || s[i] != '\n' {
			return 0, 0, false
		}
	default:
		if i < len(s) && (s[i] == '.' || s[i] == ':') {
			i++
		} else if s[w.start:w.end] != "gez" {
			return 0, 0, false
		}
	}
	next := blanks(s, i, 2)
	if next == i {
		return 0, 0, false
	}
	return signed(s, next)
}

// label: Ansprechpartner(in): Max Mustermann, Name | Mustermann, Max, "name": "Max".
func label(s string, w word, kind cue) (start, end int, ok bool) {
	i := w.end
	for _, form := range []string{"(in)", "/in", "/-in", ":in", "*in", "(r)"} {
		if strings.HasPrefix(s[i:], form) {
			i += len(form)
			break
		}
	}
	for i < len(s) && (s[i] == '"' || s[i] == '*' || s[i] == ' ' || s[i] == '\'') && i-w.end < 12 {
		i++
	}
	if i >= len(s) || s[i] != ':' && s[i] != '=' && (s[i] != '|' && s[i] != '\t' || kind == cueMail) {
		return 0, 0, false
	}
	if kind == cueMail && w.start > 0 && s[w.start-1] != '\n' && s[w.start-1] != '*' && s[w.start-1] != '>' && s[w.start-1] != ' ' {
		return 0, 0, false
	}
	i++
	for i < len(s) && strings.IndexByte(" \t*\"'|", s[i]) >= 0 && i-w.end < 24 {
		i++
	}
	if i == w.end+1 && !capital(s[i:]) {
		return 0, 0, false
	}
	i = formOfAddress(s, i)
	start, end, ok = name(s, i, nameRule{most: 4, comma: true})
	if !ok || firm(s[end:]) || noun(s[start:end]) {
		return 0, 0, false
	}
	if text := s[w.start:w.end]; strings.IndexByte(s[start:end], ' ') < 0 && (text == "name" || text == "Name" && s[i-1] == '"') {
		return 0, 0, false // in source code everything has a name
	}
	return start, end, closed(s, end) || followedByVerb(s, end)
}

func formOfAddress(s string, i int) int {
	for _, form := range []string{"Herrn ", "Herr ", "Frau ", "Mr. ", "Mrs. ", "Ms. "} {
		if strings.HasPrefix(s[i:], form) {
			return i + len(form)
		}
	}
	return i
}

func followedByVerb(s string, i int) bool {
	return i+1 < len(s) && s[i] == ' ' && 'a' <= s[i+1] && s[i+1] <= 'z'
}

// role: Sachbearbeiterin Müller - two nouns in a row, the second of which is a name.
func role(s string, w word) (start, end int, ok bool) {
	if w.end >= len(s) || s[w.end] != ' ' {
		return 0, 0, false
	}
	i := formOfAddress(s, w.end+1)
	start, end, ok = name(s, i, nameRule{most: 3, careful: true})
	return start, end, ok && capital(s[i:]) && !noun(s[start:end]) && !firm(s[end:])
}

// more reads the other names of a list of recipients: Max Mustermann <max@x.example>; Anna Schulz.
func more(s string, i int, found []guard.Finding) ([]guard.Finding, int) {
	const longestAddress = 260
	for {
		next := lineBlanks(s, i)
		if next < len(s) && (s[next] == '<' || s[next] == '"') {
			k := strings.IndexByte(s[next:min(len(s), next+longestAddress)], '>')
			if k < 0 || strings.IndexByte(s[next:next+k], '\n') >= 0 {
				return found, i
			}
			next += k + 1
		}
		if next >= len(s) || s[next] != ';' && s[next] != ',' {
			return found, i
		}
		start, end, ok := name(s, lineBlanks(s, next+1), nameRule{most: 4, comma: true})
		if !ok || !closed(s, end) || end-start < 3 {
			return found, i
		}
		found = append(found, person(start, end))
		i = end
	}
}
