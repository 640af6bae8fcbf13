package guard

import (
	"strings"
	"unicode"
)

// canonical gives the form in which two spellings of one value are equal: e-mail addresses in lower case, telephone
// numbers with the German country code, everything else without marks and in capitals.
func canonical(typ, value string) string {
	value = NewView(value, "").Text
	if typ == "EMAIL" {
		return strings.ToLower(value)
	}
	if typ == "PHONE" {
		value = strings.Replace(value, "(0)", "", 1)
	}
	var b strings.Builder
	for _, r := range value {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(unicode.ToUpper(r))
		}
	}
	text := b.String()
	if typ != "PHONE" {
		return text
	}
	switch {
	case strings.HasPrefix(value, "+"):
		return text
	case strings.HasPrefix(text, "00"):
		return text[2:]
	case strings.HasPrefix(text, "0"):
		return "49" + text[1:]
	}
	return text
}

// words gives the words of a person's name in lower case, without titles and forms of address.
func words(name string) []string {
	var list []string
	for _, w := range strings.FieldsFunc(strings.ToLower(NewView(name, "").Text), func(r rune) bool {
		return unicode.IsSpace(r) || r == ',' || r == '.'
	}) {
		switch w {
		case "herr", "herrn", "frau", "dr", "prof", "mr", "mrs", "ms", "miss", "med", "jur", "ing", "dipl-ing":
		default:
			list = append(list, w)
		}
	}
	return list
}
