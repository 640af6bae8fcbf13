package lang

// catalogue holds every message, one map per subject. It never changes.
var catalogue = []map[string]message{commonMessages, problemMessages, configMessages, doctorMessages, webMessages, domainMessages, listMessages, callMessages, publicMessages}

// commonMessages are parts of other messages.
var commonMessages = map[string]message{
	"list.and":      {"{first} und {last}", "{first} and {last}"},
	"duration.ms":   {"{n} {n|Millisekunde|Millisekunden}", "{n} {n|millisecond|milliseconds}"},
	"duration.s":    {"{n} {n|Sekunde|Sekunden}", "{n} {n|second|seconds}"},
	"duration.min":  {"{n} {n|Minute|Minuten}", "{n} {n|minute|minutes}"},
	"time.as_of":    {"Stand vor {age}", "As of {age} ago"},
	"number.1":      {"Ein", "One"},
	"number.2":      {"Zwei", "Two"},
	"number.3":      {"Drei", "Three"},
	"number.4":      {"Vier", "Four"},
	"number.5":      {"Fünf", "Five"},
	"number.6":      {"Sechs", "Six"},
	"number.7":      {"Sieben", "Seven"},
	"number.8":      {"Acht", "Eight"},
	"number.9":      {"Neun", "Nine"},
	"number.10":     {"Zehn", "Ten"},
	"number.11":     {"Elf", "Eleven"},
	"number.12":     {"Zwölf", "Twelve"},
	"lang.name.de":  {"Deutsch", "Deutsch"},
	"lang.name.en":  {"English", "English"},
	"lang.short.de": {"DE", "DE"},
	"lang.short.en": {"EN", "EN"},
}
