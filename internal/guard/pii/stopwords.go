package pii

import "strings"

// notName says whether a word with a capital is not part of a name: forms of address without a name, words that open a
// sentence, days, months, and what follows a label in forms and letters. The list is written by hand; it grows with the
// false findings that the golden score table counts.
func notName(text string) bool {
	if len(text) > len(longestStop) {
		return strings.HasSuffix(text, "innen") || strings.HasSuffix(text, "GmbH")
	}
	i := strings.Index(stopWords, " "+text+" ")
	return i >= 0 || strings.HasSuffix(text, "innen")
}

const longestStop = "Wirtschaftsministerium"

const stopWords = " " +
	// forms of address and groups
	"Herr Herrn Herren Herrschaften Frau Frauen Damen Dame Fräulein Familie Alle Allen Team Teams Zusammen Kunde Kunden Kundin Gast Gäste " +
	"Freunde Freund Freundin Bürger Leser Mitglieder Mitglied Eltern Kinder Kollegen Kolleginnen Kollege Kollegin Nachbarn Nachbar Mitarbeiter " +
	"Mitarbeitende Mitarbeitenden Studierende Studierenden Teilnehmer Teilnehmende Partner Partnerin Schüler Schülerinnen Lehrer Leute Welt Schwester Bruder " +
	"Brüder Schwestern Zuhörer Zuschauer Genossen Genosse Abgeordnete Abgeordneten Vorsitzende Vorsitzender Mama Papa Oma Opa Mutter Vater Tante Onkel Sohn " +
	"Tochter Mann Mensch Menschen Gott Doktor Professor Präsident Kommissar Kommissarin Minister Ministerin Sir Madam Sirs Everyone All There Customer Colleagues Friends Germany " +
	"World Universe Kommission Rat Parlament Regierung Gericht Anwalt Ratspräsident " +
	"Kläger Klägerin Klägers Beklagte Beklagten Beklagter Beschwerdeführer Beschwerdeführerin Angeklagte Angeklagten Angeklagter Antragsgegner Antragsgegnerin " +
	"Beschuldigte Beschuldigten Schuldner Schuldnerin Gläubiger Gläubigerin Betroffene Betroffenen Zeugen Geschädigte Geschädigten Komplementärin " +
	// words that open a sentence
	"Sie Ihr Ihre Ihren Ihrem Ihrer Ihres Ihnen Er Es Wir Ich Du Der Die Das Den Dem Des Ein Eine Einen Einem Einer Eines Und Oder Aber In Im Am An Auf Aus Bei Beim " +
	"Bis Für Gegen Mit Nach Ohne Seit Um Unter Von Vom Vor Zu Zum Zur Zwischen Wenn Weil Dass Da Dann Wie Was Wer Wo Wann Warum Welche Welcher Welches Bitte Danke " +
	"Hallo Guten Tag Morgen Abend Liebe Lieber Liebes Sehr Geehrte Geehrter Vielen Dank Hier Heute Gestern Nicht Kein Keine Nur Auch Noch Schon So Sein Seine " +
	"Unser Unsere Unserem Unseren Mein Meine Dieser Diese Dieses Diesen Diesem Jeder Jede Jedes Man Ja Nein Ob Als Über Durch Alles Dies Sowie Wird Werden Hat Haben Ist Sind " +
	"The And Or But This That These We You He She It They I My Our Your His Her Their To From For With On At By As If When What Who Please Thank Thanks Dear Hello " +
	"Hi Hey Best Kind Regards Yours Not No Yes Is Are Was Will Can May Should Has Have Of " +
	// letters and forms
	"Grüße Grüßen Gruß Gruss Grüsse Grüssen Anlage Anlagen Betreff Betr Datum Telefon Tel Fax Mobil Handy E-Mail Email Mail Adresse Anschrift Straße Str PLZ Ort Nr Nummer " +
	"Name Vorname Nachname Geburtsdatum Geburtsname Unterschrift Antrag Antragsteller Rechnung Vertrag Kundennummer Aktenzeichen IBAN BIC Konto Steuer-ID Steuernummer Firma Abteilung Referat " +
	"Stabsstelle Sekretariat Buchhaltung Personal Personalabteilung Vertrieb Einkauf Support Service Kundenservice Kundendienst Info Zentrale Geschäftsführung Geschäftsleitung " +
	"Vorstand Verwaltung Stadt Stadtwerke Stadtverwaltung Landratsamt Amt Amtsgericht Landgericht Finanzamt Gemeinde Gemeindeverwaltung Kreis Land Bund Bundesamt Ministerium " +
	"Universität Hochschule Schule Klinik Krankenhaus Praxis Verein Verband Institut Bank Sparkasse Volksbank Versicherung GmbH AG KG UG OHG GbR SE eG EG EU USA Ltd Inc " +
	"Unbekannt Keine Angabe Siehe Projekt Thema Titel Version Status Datei Test Beispiel Rolle Position Funktion Original Kopie Ja Nein Null None True False Undefined N/A " +
	"Auftrag Vertretung Vollmacht Bezug Zeichen Leiter Leiterin Leitung Sachbearbeiter Sachbearbeiterin Geschäftsführer Geschäftsführerin Bürgermeister Bürgermeisterin Hilfe Kontakt " +
	"Support-Team Redaktion Sales Department Office Manager Director Company University City County " +
	// days and months
	"Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonnabend Sonntag Januar Februar März April Mai Juni Juli August September Oktober November Dezember Monday Tuesday " +
	"Wednesday Thursday Friday Saturday Sunday January February March June July October December Uhr Woche Jahr Monat Ende Anfang Mitte " +
	// countries, whose genitive follows titles
	"Deutschland Deutschlands Österreich Österreichs Schweiz Frankreich Frankreichs Italien Italiens Spanien Spaniens Russland Russlands China Chinas Polen Polens Europa Europas " +
	"Berlin Berlins Bayern Bayerns Nach München Hamburg Hamburgs Köln Brüssel "
