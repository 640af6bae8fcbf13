package pii

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// word is a run of letters, with hyphens and apostrophes between letters.
type word struct{ start, end int }

// wordFrom gives the word that starts at i; empty when no letter stands there.
func wordFrom(s string, i int) word {
	w := word{i, i}
	for w.end < len(s) {
		r, n := rune(s[w.end]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[w.end:])
		}
		if unicode.IsLetter(r) || unicode.Is(unicode.M, r) {
			w.end += n
			continue
		}
		if w.end > i && (r == '-' || r == '\'' || r == '’') {
			next, _ := utf8.DecodeRuneInString(s[w.end+n:])
			if unicode.IsLetter(next) {
				w.end += n
				continue
			}
		}
		break
	}
	return w
}

// lineBlanks skips blanks and tabs.
func lineBlanks(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
		i++
	}
	return i
}

// blanks skips white space with at most n line ends.
func blanks(s string, i, n int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r' || s[i] == '\n') {
		if s[i] == '\n' {
			if n == 0 {
				return i
			}
			n--
		}
		i++
	}
	return i
}

func capital(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsUpper(r)
}

// nameRule says how a cue lets a name look.
type nameRule struct {
	most    int  // words that start with a capital
	comma   bool // "Mustermann, Max" is one name
	careful bool // each word after the first must not look like a German noun
}

// name reads a person's name that starts at i, behind titles. It gives the range of the name without titles; ok is
// false when none stands there.
func name(s string, i int, rule nameRule) (start, end int, ok bool) {
	i = titles(s, i)
	start, end = i, i
	count, initials := 0, 0
	free, particles := true, 0
	for count < rule.most {
		w := wordFrom(s, i)
		text := s[w.start:w.end]
		if next := particle(s, w, free, mostParticles); next > 0 && particles < mostParticles {
			i, free = next, true
			particles++
			continue
		}
		free = false
		if w.start == w.end || !capital(text) {
			break
		}
		if utf8.RuneCountInString(text) == 1 { // an initial
			if w.end >= len(s) || s[w.end] != '.' || count+1 >= rule.most {
				break
			}
			count, initials = count+1, initials+1
			end = w.end + 1
			i = lineBlanks(s, w.end+1)
			continue
		}
		if notName(text) || digitBehind(s, w.end) || count > 0 && rule.careful && noun(text) {
			break
		}
		count++
		end = w.end
		i = w.end
		if i < len(s) && s[i] == ' ' {
			i++
			continue
		}
		if rule.comma && count == 1 && strings.HasPrefix(s[i:], ", ") {
			if first := wordFrom(s, titles(s, i+2)); first.end > first.start && given(s, first) {
				rule.comma = false
				i = first.start
				continue
			}
		}
		break
	}
	return start, end, count > initials
}

// given says whether the word behind "Mustermann, " can be a given name that ends the entry.
func given(s string, w word) bool {
	text := s[w.start:w.end]
	if !capital(text) || notName(text) || noun(text) {
		return false
	}
	return true
}

func digitBehind(s string, i int) bool {
	return i < len(s) && (isDigit(s[i]) || s[i] == '_' || s[i] == '@' || s[i] == '/' && i+1 < len(s) && !capital(s[i+1:]))
}

// particle gives the offset behind a particle such as "von" when a name goes on there, else 0. The articles among them
// count only with free: at the start of a name or behind another particle, since "Herr Meier der Leiter" has none.
func particle(s string, w word, free bool, left int) int {
	if left == 0 {
		return 0
	}
	text := s[w.start:w.end]
	switch text {
	case "von", "van", "de", "di", "da", "del", "della", "bin", "ibn", "ten", "ter", "dos", "du", "el", "al", "Von", "Van", "De":
	case "der", "den", "zu", "zur", "zum", "vom", "la", "le":
		if !free {
			return 0
		}
	case "und": // only "von und zu"
		if !strings.HasSuffix(s[:w.start], "von ") || !strings.HasPrefix(s[w.end:], " zu ") {
			return 0
		}
	default:
		return 0
	}
	if w.end >= len(s) || s[w.end] != ' ' {
		return 0
	}
	next := wordFrom(s, w.end+1)
	following := s[next.start:next.end]
	if following == "" || notName(following) || !capital(following) && particle(s, next, true, left-1) == 0 {
		return 0
	}
	return w.end + 1
}

// Bounds of one name.
const (
	mostParticles = 3
	mostTitles    = 8
)

// titles skips academic and official titles, and forms of address behind a label.
func titles(s string, i int) int {
	for range mostTitles {
		w := wordFrom(s, i)
		next := w.end
		if next < len(s) && s[next] == '.' {
			next++
		}
		switch text := s[w.start:w.end]; {
		case text == "":
			return i
		case text == "h" && strings.HasPrefix(s[w.start:], "h. c."):
			next = w.start + len("h. c.")
		case text == "h" && strings.HasPrefix(s[w.start:], "h.c."):
			next = w.start + len("h.c.")
		case text == "Dipl-Ing" || text == "Dipl":
			for next < len(s) && s[next] != ' ' && s[next] != '\n' {
				next++
			}
		case text == "Fr" || text == "Hr" || text == "Hrn":
			if next == w.end { // without the point it is a name
				return i
			}
		case isTitle(text):
			if strings.HasPrefix(s[next:], "-Ing.") {
				next += len("-Ing.")
			}
		default:
			return i
		}
		next = lineBlanks(s, next)
		if surnameToo(s[w.start:w.end]) {
			if follow := wordFrom(s, next); !capital(s[next:]) && particle(s, follow, true, mostParticles) == 0 {
				return i
			}
		}
		i = next
	}
	return i
}

func isTitle(text string) bool {
	switch text {
	case "Dr", "Prof", "med", "jur", "rer", "nat", "phil", "pol", "oec", "dent", "habil", "Mag", "Ing", "PD", "RA", "RAin", "StB", "MdB",
		"Doktor", "Professor", "Professorin", "Rechtsanwalt", "Rechtsanwältin", "Bürgermeister", "Bürgermeisterin",
		"Oberbürgermeister", "Oberbürgermeisterin", "Bundeskanzler", "Bundeskanzlerin", "Kanzlerin", "Kanzler", "Präsident",
		"Präsidentin", "Bundespräsident", "Ministerpräsident", "Ministerpräsidentin", "Minister", "Ministerin", "Bundesminister",
		"Bundesministerin", "Staatssekretär", "Staatssekretärin", "Staatsanwalt", "Staatsanwältin", "Direktor", "Direktorin", "Kollege",
		"Kollegen", "Kollegin", "Landrat", "Landrätin", "Pfarrer", "Pfarrerin", "Notar", "Notarin", "Abgeordneter", "Abgeordnete",
		"Kommissar", "Kommissarin", "Vorsitzender", "Vorsitzende", "Berichterstatter", "Berichterstatterin", "Ratspräsident",
		"Kommissionspräsident", "Kommissionspräsidentin", "Parlamentspräsident", "Vizepräsident", "Vizepräsidentin",
		"Graf", "Gräfin", "Freiherr", "Freifrau", "Baron", "Baronin", "Fürst", "Prinz", "Prinzessin", "President", "Doctor":
		return true
	}
	return false
}

// surnameToo says whether a title is a usual surname as well.
func surnameToo(text string) bool {
	switch text {
	case "Graf", "Baron", "Fürst", "Prinz", "Kanzler", "Pfarrer", "Direktor", "Notar":
		return true
	}
	return false
}

// noun says whether a word ends like a German noun that is no name.
func noun(text string) bool {
	for _, suffix := range []string{
		"ung", "ungen", "heit", "keit", "keiten", "schaft", "tion", "tionen", "ismus", "tät", "täten", "nummer", "antrag", "vertrag",
		"schreiben", "termin", "straße", "nisse", "nis", "amt", "recht", "gesetz", "brief", "Mail", "rinnen", "bericht", "frage", "fragen",
	} {
		if len(text) > len(suffix) && strings.HasSuffix(text, suffix) {
			return true
		}
	}
	return false
}
