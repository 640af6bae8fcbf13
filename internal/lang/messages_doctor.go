package lang

// doctorMessages are what leitplanke doctor says.
var doctorMessages = map[string]message{
	"doctor.green":         {"gut", "good"},
	"doctor.yellow":        {"bald", "soon"},
	"doctor.red":           {"JETZT", "NOW"},
	"doctor.clock":         {"Uhr: {now}", "clock: {now}"},
	"doctor.clock_behind":  {"Uhr: {now}; das ist vor dem Bau dieses Programms. Stellen Sie die Uhr.", "clock: {now}; that is before this program was built. Set the clock."},
	"doctor.disk":          {"Platz: {free} frei; eine Vorhersage gibt es nach einem Tag", "disk: {free} free; there is a forecast after one day"},
	"doctor.disk_forecast": {"Platz: {free} frei, beim bisherigen Wachstum für {days} {days|Tag|Tage}", "disk: {free} free, enough for {days} {days|day|days} at the growth so far"},
	"doctor.disk_unknown":  {"Platz: unbekannt ({reason})", "disk: unknown ({reason})"},
	"doctor.sync":          {"dauerhaftes Schreiben (fsync): {took}; so lange wartet ein einzelner Eintrag", "durable write (fsync): {took}; a lone entry waits that long"},
	"doctor.sync_failed":   {"dauerhaftes Schreiben geht nicht: {reason}", "durable writing fails: {reason}"},
	"doctor.log_good":      {"Protokoll: {entries} Einträge, alle geprüft; {open} offene Aufrufe", "log: {entries} entries, all verified; {open} open calls"},
	"doctor.log_bad":       {"Protokoll {origin} ist nicht in Ordnung: {what}", "log {origin} is not sound: {what}"},
	"doctor.log_old":       {"Das frühere Protokoll {origin} endete mit einem Bruch: {what}", "the earlier log {origin} ended with a break: {what}"},
	"doctor.log_unread":    {"Protokoll lässt sich nicht lesen: {reason}", "log cannot be read: {reason}"},
	"doctor.mark_same":     {"Marke und Daten liegen auf demselben Datenträger. Ein zurückgespielter Stand beider fällt nicht auf; legen Sie die Marke woandershin (mark:).", "mark and data are on one file system. If both are rolled back nobody notices; put the mark elsewhere (mark:)."},
	"doctor.mark_apart":    {"Marke liegt getrennt von den Daten", "mark is apart from the data"},
	"doctor.keys_never":    {"Schlüssel sind nicht gesichert: leitplanke keys backup --to age1… -o DATEI", "keys are not backed up: leitplanke keys backup --to age1… -o FILE"},
	"doctor.keys_old":      {"Schlüssel wurden zuletzt am {at} gesichert, das ist über 30 Tage her: leitplanke keys backup", "keys were last backed up on {at}, more than 30 days ago: leitplanke keys backup"},
	"doctor.keys_fresh":    {"Schlüssel wurden am {at} gesichert", "keys were backed up on {at}"},
	"doctor.secret_env":    {"Der Schlüssel des Anbieters {provider} steht in der Umgebung. Sicherer sind file: oder credential:.", "the key of provider {provider} is in the environment. file: or credential: are safer."},
	"doctor.provider":      {"Anbieter {provider} ist erreichbar", "provider {provider} can be reached"},
	"doctor.provider_away": {"Anbieter {provider} ist nicht erreichbar", "provider {provider} cannot be reached"},
	"doctor.io_error":      {"Der Datenträger hat beim Schreiben einen Fehler gemeldet. Der nächste Start prüft alles; bis zum Neustart des Rechners kann der Seitenpuffer einen Verlust verdecken.", "the disk reported an error while writing. The next start verifies everything; until the host is rebooted the page cache may hide a loss."},
}
