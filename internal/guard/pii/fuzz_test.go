package pii

import (
	"strings"
	"testing"

	"github.com/leitplanke/leitplanke/internal/guard"
)

func fuzz(f *testing.F, d guard.Detector, seeds ...string) {
	for _, s := range append(seeds, "", "\u00ad", "Frau Dr. Müller, DE02 1005 0000 0024 2906 61, a@b.example, +49 861 555 01 24", "(+(0)0", "an (at) (dot)") {
		f.Add(s, "name")
	}
	f.Fuzz(func(t *testing.T, text, context string) {
		found(t, d, strings.ToValidUTF8(text, "?"), strings.ToValidUTF8(context, "?")) // fails on a range outside
	})
}

func FuzzIBAN(f *testing.F)       { fuzz(f, IBAN{}, "DE02100500000024290661") }
func FuzzCreditCard(f *testing.F) { fuzz(f, CreditCard{}, "4123 4567 8901 2349") }
func FuzzTaxID(f *testing.F)      { fuzz(f, TaxID{}, "65 037 124 863") }
func FuzzEmail(f *testing.F)      { fuzz(f, Email{}, "max (at) firma (punkt) de") }
func FuzzPhone(f *testing.F)      { fuzz(f, Phone{}, "+49 (0)89 / 123 456-78") }
func FuzzPerson(f *testing.F)     { fuzz(f, NewPerson(), "Mit freundlichen Grüßen\n\ni. A. K. Brenner") }

func FuzzPersonExamples(f *testing.F) {
	for _, s := range personExamples {
		plain, _ := marked(s)
		f.Add(plain)
	}
	d := NewPerson()
	f.Fuzz(func(t *testing.T, text string) { found(t, d, strings.ToValidUTF8(text, "?"), "") })
}
