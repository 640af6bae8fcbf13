package lang

// problemMessages are the sentences of package problem: what happened, why, and what to do about it.
var problemMessages = map[string]message{
	// refusals of the gateway
	"problem.invalid_api_key": {
		"Aufruf abgelehnt: Der Schlüssel ist unbekannt, abgelaufen oder gesperrt. Prüfen Sie, ob er vollständig übertragen wird (Authorization: Bearer lp-…), oder lassen Sie sich einen neuen Zugang ausstellen.",
		"Call refused: the key is unknown, expired or revoked. Check that it is sent in full (Authorization: Bearer lp-…), or ask for a new one.",
	},
	"problem.policy_blocked": {
		"Aufruf abgelehnt: Regel {rule} lässt diesen Inhalt nicht zu. Nichts hat das Haus verlassen. Entfernen Sie die im Nachweis markierte Stelle und senden Sie den Aufruf erneut.",
		"Call refused: rule {rule} does not allow this content. Nothing left the house. Remove the passage marked in the record and send the call again.",
	},
	"problem.policy_blocked.failed": {
		"Aufruf abgelehnt: Eine Leitplanke ist ausgefallen, deshalb konnte der Inhalt nicht geprüft werden. Nichts hat das Haus verlassen. Versuchen Sie es erneut; bleibt der Fehler, hilft die IT mit der Kennung.",
		"Call refused: a guardrail failed, so the content could not be checked. Nothing left the house. Try again; if the failure stays, IT can help with the id.",
	},
	"problem.system_stopped": {
		"Aufruf abgelehnt: Das KI-System {system} ist angehalten. Wer es angehalten hat und warum, steht in den Nachweisen. Sobald der Stopp aufgehoben ist, geht derselbe Aufruf wieder.",
		"Call refused: the AI system {system} is stopped. Who stopped it and why stands in the evidence. Once the stop is lifted, the same call works again.",
	},
	"problem.system_stopped.all": {
		"Aufruf abgelehnt: Alle KI-Systeme sind angehalten. Wer sie angehalten hat und warum, steht in den Nachweisen. Sobald der Stopp aufgehoben ist, geht derselbe Aufruf wieder.",
		"Call refused: all AI systems are stopped. Who stopped them and why stands in the evidence. Once the stop is lifted, the same call works again.",
	},
	"problem.system_stopped.access": {
		"Aufruf abgelehnt: Dieser Zugang ist angehalten. Wer ihn angehalten hat und warum, steht in den Nachweisen. Sobald der Stopp aufgehoben ist, geht derselbe Aufruf wieder.",
		"Call refused: this key is stopped. Who stopped it and why stands in the evidence. Once the stop is lifted, the same call works again.",
	},
	"problem.system_unknown": {
		"Aufruf abgelehnt: Dieser Zugang gehört zu keinem eingetragenen KI-System ({system}). Lassen Sie das System eintragen oder verwenden Sie den Schlüssel eines eingetragenen Systems.",
		"Call refused: this key belongs to no registered AI system ({system}). Have the system registered, or use the key of a registered one.",
	},
	"problem.model_not_found": {
		"Aufruf abgelehnt: Das Modell {model} ist für das KI-System {system} nicht eingetragen. /v1/models nennt die Modelle, die dieser Zugang verwenden darf.",
		"Call refused: the model {model} is not registered for the AI system {system}. /v1/models lists the models that this key may use.",
	},
	"problem.model_not_evidenced": {
		"Aufruf abgelehnt: Für das Modell {model} liegt kein gültiger Nachweis des Anbieters vor. Die IT kann ihn hinterlegen; bis dahin ist die Route abgeschaltet.",
		"Call refused: there is no valid proof from the provider for the model {model}. IT can file it; until then the route is off.",
	},
	"problem.region_not_allowed": {
		"Aufruf abgelehnt: Das Modell {model} läuft in der Region {region}, die für dieses KI-System nicht erlaubt ist. Wählen Sie ein Modell in einer erlaubten Region.",
		"Call refused: the model {model} runs in the region {region}, which is not allowed for this AI system. Choose a model in an allowed region.",
	},
	"problem.path_not_found": {
		"Diese Adresse gibt es in der Schnittstelle nicht. Prüfen Sie Pfad und Methode, zum Beispiel POST /v1/chat/completions.",
		"This address does not exist in the interface. Check path and method, for instance POST /v1/chat/completions.",
	},
	"problem.invalid_request": {
		"Aufruf abgelehnt: Die Anfrage lässt sich nicht lesen. Prüfen Sie das Feld, das die Antwort nennt, und senden Sie sie erneut.",
		"Call refused: the request cannot be read. Check the field that the answer names, and send it again.",
	},
	"problem.invalid_request.object": {
		"Aufruf abgelehnt: Die Anfrage ist kein JSON-Objekt. Senden Sie ein Objekt, wie es die Schnittstelle beschreibt.",
		"Call refused: the request is not a JSON object. Send an object as the interface describes it.",
	},
	"problem.invalid_request.json": {
		"Aufruf abgelehnt: Das JSON der Anfrage ist in Zeile {line}, Spalte {column} nicht eindeutig lesbar ({reason}). Berichtigen Sie die Stelle und senden Sie die Anfrage erneut.",
		"Call refused: the request's JSON cannot be read unambiguously at line {line}, column {column} ({reason}). Correct that place and send the request again.",
	},
	"problem.invalid_request.field": {
		"Aufruf abgelehnt: Das Feld {field} fehlt oder hat eine andere Form als vorgesehen. Berichtigen Sie es und senden Sie die Anfrage erneut.",
		"Call refused: the field {field} is missing or has another form than intended. Correct it and send the request again.",
	},
	"problem.invalid_request.count": {
		"Aufruf abgelehnt: Das Feld {field} hat mehr als {n} Teile. Kürzen Sie das Gespräch oder teilen Sie es auf.",
		"Call refused: the field {field} has more than {n} parts. Shorten the conversation or split it.",
	},
	"problem.invalid_request.two_keys": {
		"Aufruf abgelehnt: Die Anfrage trägt zwei verschiedene Schlüssel. Senden Sie nur einen, als Authorization: Bearer lp-…",
		"Call refused: the request carries two different keys. Send only one, as Authorization: Bearer lp-…",
	},
	"problem.invalid_request.header": {
		"Aufruf abgelehnt: Der Kopf {header} hat einen Wert, den Leitplanke nicht annimmt. Senden Sie höchstens 128 Byte, prozentkodiert und ohne Personendaten.",
		"Call refused: the header {header} has a value that Leitplanke does not accept. Send at most 128 bytes, percent-encoded and without personal data.",
	},
	"problem.invalid_request.body": {
		"Aufruf abgelehnt: Die Anfrage kam nicht vollständig an. Senden Sie sie erneut.",
		"Call refused: the request did not arrive in full. Send it again.",
	},
	"problem.invalid_request.stream": {
		"Aufruf abgelehnt: Antworten in Teilen (stream) gibt es hier noch nicht. Senden Sie die Anfrage ohne stream oder mit stream: false.",
		"Call refused: streamed answers are not available here yet. Send the request without stream, or with stream: false.",
	},
	"problem.upstream_unavailable": {
		"Der Anbieter {provider} war nicht erreichbar. Die Anfrage ist festgehalten; versuchen Sie es erneut oder wählen Sie ein anderes Modell.",
		"The provider {provider} could not be reached. The request is recorded; try again or choose another model.",
	},
	"problem.upstream_unreadable": {
		"Die Antwort des Anbieters {provider} ließ sich nicht lesen und wurde deshalb nicht herausgegeben. Versuchen Sie es erneut oder wählen Sie ein anderes Modell.",
		"The answer of the provider {provider} could not be read, so it was not released. Try again or choose another model.",
	},
	"problem.client_left": {
		"Die Verbindung wurde vor der Antwort beendet. Der Aufruf ist bis dahin festgehalten.",
		"The connection ended before the answer. The call is recorded up to that point.",
	},
	"problem.part_not_inspectable": {
		"Aufruf abgelehnt: Der Teil {part} lässt sich nicht prüfen, und dieses KI-System maskiert seine Texte. Senden Sie den Inhalt als Text oder lassen Sie den Teil weg.",
		"Call refused: the part {part} cannot be inspected, and this AI system masks its texts. Send the content as text, or leave the part out.",
	},
	"problem.body_too_large": {
		"Die Anfrage ist größer als erlaubt ({limit}). Senden Sie weniger Text oder teilen Sie ihn auf mehrere Aufrufe auf.",
		"The request is larger than allowed ({limit}). Send less text or split it into several calls.",
	},
	"problem.rate_limited": {
		"Aufruf abgelehnt: Dieser Zugang hat zu viele Aufrufe auf einmal gesendet. In {seconds} {seconds|Sekunde|Sekunden} geht es weiter.",
		"Call refused: this key sent too many calls at once. It works again in {seconds} {seconds|second|seconds}.",
	},
	"problem.body_too_large.part": {
		"Aufruf abgelehnt: Der Teil {part} ist zu lang oder enthält zu viele Funde, um ganz geprüft zu werden. Teilen Sie ihn auf mehrere Aufrufe auf.",
		"Call refused: the part {part} is too long, or holds too many findings, to be inspected as a whole. Split it into several calls.",
	},
	"problem.part_not_inspectable.number": {
		"Aufruf abgelehnt: Die Zahl in {part} ist ein personenbezogenes Kennzeichen und lässt sich als Zahl nicht maskieren. Senden Sie sie als Text in Anführungszeichen.",
		"Call refused: the number in {part} identifies a person and cannot be masked as a number. Send it as text, in quotes.",
	},
	"problem.invalid_request.user": {
		"Aufruf abgelehnt: X-Leitplanke-User ist für diesen Zugang nicht vorgesehen. Lassen Sie den Header weg.",
		"Call refused: X-Leitplanke-User is not provided for this key. Leave the header out.",
	},
	"problem.method_not_allowed": {
		"Diese Adresse kennt die Methode {method} nicht.",
		"This address does not know the method {method}.",
	},
	"problem.record_unavailable": {
		"Aufruf abgelehnt: Das Protokoll kann nicht geschrieben werden, und ohne Eintrag gibt es keinen Aufruf. Die IT sieht den Grund mit „leitplanke doctor“; danach geht derselbe Aufruf wieder.",
		"Call refused: the log cannot be written, and without an entry there is no call. IT sees the reason with “leitplanke doctor”; after that the same call works again.",
	},

	// administration
	"problem.access_exists": {
		"Den Zugang {access} gibt es schon. Wählen Sie eine andere Kennung oder sperren Sie den alten zuerst.",
		"The key {access} exists already. Choose another id, or revoke the old one first.",
	},
	"problem.access_revoked": {
		"Der Zugang {access} wurde gesperrt; sein Schlüssel kommt nicht zurück. Nehmen Sie ihn aus der Datei, oder löschen Sie seine Schlüsseldatei: dann entsteht ein neuer Schlüssel.",
		"The key {access} was revoked and does not come back. Take it out of the file, or delete its key file: then a new key is made.",
	},
	"problem.access_unknown": {
		"Einen Zugang {access} gibt es nicht. „leitplanke access list“ zeigt alle.",
		"There is no key {access}. “leitplanke access list” shows all of them.",
	},
	"problem.system_not_found": {
		"Ein KI-System {system} ist nicht eingetragen. „leitplanke export config“ zeigt alle eingetragenen.",
		"No AI system {system} is registered. “leitplanke export config” shows the registered ones.",
	},
	"problem.stop_scope": {
		"„{scope}“ lässt sich nicht anhalten. Möglich sind alles, ein KI-System oder ein Zugang.",
		"“{scope}” cannot be stopped. Possible are everything, an AI system or a key.",
	},

	// pages
	"problem.internal": {
		"Hier ist etwas schiefgegangen, das wir nicht vorhergesehen haben. Ihre Eingabe hat nichts verändert. Versuchen Sie es erneut; bleibt der Fehler, hilft die IT mit der Kennung.",
		"Something went wrong that we did not foresee. Your input changed nothing. Try again; if it stays, IT can help with the id.",
	},
	"problem.not_found": {
		"Unter dieser Adresse gibt es nichts, oder nichts, was Sie sehen dürfen. Prüfen Sie die Adresse oder suchen Sie in den Nachweisen.",
		"There is nothing at this address, or nothing that you may see. Check the address, or search the evidence.",
	},
	"problem.input_unreadable": {
		"Diese Angaben lassen sich nicht lesen: Sie sind zu lang, unvollständig oder stammen von einer anderen Seite. Gehen Sie zurück und geben Sie sie neu ein.",
		"This input cannot be read: it is too long, incomplete or from another page. Go back and enter it again.",
	},
	"problem.entry_not_found": {
		"Den Eintrag {id} gibt es nicht. Der neueste Eintrag hat die Nummer {newest}.",
		"There is no entry {id}. The newest entry has the number {newest}.",
	},
	"problem.forbidden": {
		"Ihre Rolle darf das nicht. Wer es darf, steht unter Transparenz; die KI-Beauftragte kann Rollen ändern.",
		"Your role may not do this. The transparency page says who may; the AI officer can change roles.",
	},
	"problem.cross_site": {
		"Diese Anfrage kam von einer anderen Website und wurde deshalb nicht ausgeführt. Öffnen Sie Leitplanke direkt und wiederholen Sie den Schritt.",
		"This request came from another website, so it was not carried out. Open Leitplanke directly and repeat the step.",
	},
	"problem.sign_in_wrong": {
		"Anmeldename und Kennwort passen nicht zusammen. Prüfen Sie die Schreibweise; ein neues Kennwort stellt die IT mit „leitplanke user reset“ aus.",
		"Sign-in name and password do not match. Check the spelling; IT can issue a new password with “leitplanke user reset”.",
	},
	"problem.sign_in_paused": {
		"Zu viele Versuche. Die Anmeldung für dieses Konto ruht noch {seconds} {seconds|Sekunde|Sekunden}; danach geht es weiter.",
		"Too many attempts. Sign-in for this account rests for another {seconds} {seconds|second|seconds}; then it works again.",
	},
	"problem.account_ended": {
		"Dieses Konto ist seit dem {date} beendet. Die KI-Beauftragte kann es verlängern.",
		"This account ended on {date}. The AI officer can extend it.",
	},
	"problem.link_used": {
		"Dieser Link wurde schon benutzt oder ist abgelaufen. Die IT stellt mit „leitplanke user reset“ einen neuen aus.",
		"This link has been used or has expired. IT can issue a new one with “leitplanke user reset”.",
	},
	"problem.password_short": {
		"Das Kennwort ist zu kurz. Nehmen Sie mindestens {n} Zeichen; ein Satz ist leichter zu merken als Sonderzeichen.",
		"The password is too short. Use at least {n} characters; a sentence is easier to remember than special characters.",
	},
	"problem.password_differs": {
		"Die beiden Eingaben sind verschieden. Geben Sie das Kennwort zweimal gleich ein.",
		"The two entries differ. Type the same password twice.",
	},
	"problem.log_refuses": {
		"Das Protokoll nimmt keine Einträge an, deshalb ist dieser Schritt nicht möglich. Lesen und Prüfen gehen weiter. Die IT sieht den Grund mit „leitplanke doctor“.",
		"The log takes no entries, so this step is not possible. Reading and verifying still work. IT sees the reason with “leitplanke doctor”.",
	},

	// accounts
	"problem.user_incomplete": {
		"Ein Konto braucht Anmeldename, Namen und mindestens eine Rolle.",
		"An account needs a sign-in name, a name and at least one role.",
	},
	"problem.role_unknown": {
		"Die Rolle „{role}“ gibt es nicht. Möglich sind management, ai_officer, works_council, data_protection, it, process_owner, case_worker, staff, auditor und guest.",
		"There is no role “{role}”. Possible are management, ai_officer, works_council, data_protection, it, process_owner, case_worker, staff, auditor and guest.",
	},
	"problem.role_needs_end": {
		"Ein Konto mit der Rolle {role} braucht ein Enddatum (--until 2027-03-31).",
		"An account with the role {role} needs an end date (--until 2027-03-31).",
	},
	"problem.user_exists": {
		"Das Konto {login} gibt es schon. Einen neuen Einrichtungslink gibt „leitplanke user reset“.",
		"The account {login} exists already. “leitplanke user reset” gives a new setup link.",
	},
	"problem.user_unknown": {
		"Das Konto {login} gibt es nicht.",
		"There is no account {login}.",
	},
	"problem.password_long": {
		"Das Kennwort ist zu lang. Nehmen Sie höchstens {n} Zeichen.",
		"The password is too long. Use at most {n} characters.",
	},
	"problem.session_ended": {
		"Ihre Anmeldung ist abgelaufen. Melden Sie sich wieder an; Sie kommen dann auf diese Seite zurück.",
		"Your session has ended. Sign in again; you then return to this page.",
	},
}
