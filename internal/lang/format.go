package lang

import (
	"strconv"
	"strings"
	"time"
)

// nbsp keeps a number and its unit together.
const nbsp = "\u00a0"

// Num writes a whole number in groups of three: 1.190 or 1,190.
func (l Locale) Num(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "−", s[1:]
	}
	return sign + group(s, l.thousands())
}

// Decimal writes f with the given number of digits after the point: 1.190,00 or 1,190.00.
func (l Locale) Decimal(f float64, digits int) string {
	s := strconv.FormatFloat(f, 'f', digits, 64)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "−", s[1:]
	}
	whole, frac, ok := strings.Cut(s, ".")
	out := sign + group(whole, l.thousands())
	if ok {
		out += l.point() + frac
	}
	return out
}

func (l Locale) thousands() string {
	if l.Lang == English {
		return ","
	}
	return "."
}

func (l Locale) point() string {
	if l.Lang == English {
		return "."
	}
	return ","
}

func group(digits, sep string) string {
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteString(sep)
		}
		b.WriteRune(d)
	}
	return b.String()
}

// Date writes a day: 23.11.2026 or 23 Nov 2026.
func (l Locale) Date(t time.Time) string {
	if l.Lang == English {
		return t.In(l.Zone).Format("2 Jan 2006")
	}
	return t.In(l.Zone).Format("02.01.2006")
}

// Clock writes a time of day to the second, without its zone: 13:54:10.
func (l Locale) Clock(t time.Time) string { return t.In(l.Zone).Format("15:04:05") }

// ClockExact writes a time of day to the millisecond, without its zone: 13:54:10,218 or 13:54:10.218.
func (l Locale) ClockExact(t time.Time) string {
	t = t.In(l.Zone)
	ms := t.Nanosecond() / int(time.Millisecond)
	return t.Format("15:04:05") + l.point() + strconv.Itoa(1000 + ms)[1:]
}

// DateTime writes day, time to the second and zone: 23.11.2026, 13:54:10 MEZ or 23 Nov 2026, 13:54:10 CET.
func (l Locale) DateTime(t time.Time) string {
	return l.Date(t) + ", " + l.Clock(t) + " " + l.ZoneName(t)
}

// ZoneName returns the short name of the zone that holds at t: MEZ or CET.
func (l Locale) ZoneName(t time.Time) string {
	name, _ := t.In(l.Zone).Zone()
	if l.Lang == German {
		switch name {
		case "CET":
			return "MEZ"
		case "CEST":
			return "MESZ"
		}
	}
	if strings.HasPrefix(name, "+") || strings.HasPrefix(name, "-") {
		return "UTC" + name
	}
	return name
}

// Millis writes a duration in milliseconds, for columns in which one unit compares best: 1.784 ms, 0,3 ms, 0,04 ms.
func (l Locale) Millis(d time.Duration) string {
	if d > 0 && d < 100*time.Microsecond {
		return l.Decimal(float64(d)/float64(time.Millisecond), 2) + nbsp + "ms"
	}
	if d > 0 && d < 10*time.Millisecond && d%time.Millisecond != 0 {
		return l.Decimal(float64(d)/float64(time.Millisecond), 1) + nbsp + "ms"
	}
	return l.Num(d.Round(time.Millisecond).Milliseconds()) + nbsp + "ms"
}

// Short writes a duration in the unit that fits it: 3 ms, 1,8 s, 2 min 5 s, 3 h 10 min, 4 d.
func (l Locale) Short(d time.Duration) string {
	switch {
	case d == 0:
		return "0" + nbsp + "s"
	case d < time.Second:
		return l.Millis(d)
	case d < time.Minute:
		if d%time.Second == 0 {
			return l.Num(int64(d/time.Second)) + nbsp + "s"
		}
		return l.Decimal(d.Seconds(), 1) + nbsp + "s"
	case d < time.Hour:
		return l.two(d, time.Minute, "min", time.Second, "s")
	case d < 24*time.Hour:
		return l.two(d, time.Hour, "h", time.Minute, "min")
	default:
		return l.two(d, 24*time.Hour, "d", time.Hour, "h")
	}
}

func (l Locale) two(d, big time.Duration, bigUnit string, small time.Duration, smallUnit string) string {
	out := l.Num(int64(d/big)) + nbsp + bigUnit
	if rest := d % big / small; rest > 0 {
		out += " " + l.Num(int64(rest)) + nbsp + smallUnit
	}
	return out
}

// Long writes a duration with the unit as a word, for headings: 1,8 Sekunden or 1.8 seconds.
func (l Locale) Long(d time.Duration) string {
	switch {
	case d < time.Second:
		return l.T("duration.ms", "n", d.Milliseconds())
	case d < time.Minute:
		if d%time.Second == 0 {
			return l.T("duration.s", "n", int64(d/time.Second))
		}
		return l.T("duration.s", "n", d.Seconds())
	default:
		return l.T("duration.min", "n", d.Minutes())
	}
}

// Size writes a number of bytes: 812 B, 1,5 KiB, 32 MiB.
func (l Locale) Size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	digits := 0
	if i > 0 && f < 100 && f != float64(int64(f)) {
		digits = 1
	}
	return l.Decimal(f, digits) + nbsp + units[i]
}

// Count writes a small number as a word at the beginning of a sentence (Sieben, Seven), and others in figures.
func (l Locale) Count(n int) string {
	if key := "number." + strconv.Itoa(n); Has(key) {
		return l.T(key)
	}
	return l.Num(int64(n))
}

// List joins words as a sentence does: a, b und c.
func (l Locale) List(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	last := len(words) - 1
	return l.T("list.and", "first", strings.Join(words[:last], ", "), "last", words[last])
}
