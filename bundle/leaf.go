package bundle

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// LeafVersion is the version of the leaf format that this package writes. A new field means a new version.
const LeafVersion = 1

// MaxLeaf is the largest encoded leaf in bytes: what an entry bundle of tlog-tiles can hold.
const MaxLeaf = 1<<16 - 1

// Type says what an entry records.
type Type string

// The types of entries that this release writes.
const (
	CallOpen       Type = "call.open"    // a call may go to a provider
	CallAttempt    Type = "call.attempt" // bytes go to another route than the opening names
	CallClose      Type = "call.close"   // the call ended; its answer may be released
	CallAbort      Type = "call.abort"   // the call had no end and its process is gone
	CallRefuse     Type = "call.refuse"  // the call was not allowed
	StopOn         Type = "stop.on"
	StopOff        Type = "stop.off"
	ChangeRegister Type = "change.register" // a provider, model or system changed; Object names it
	ChangeAccess   Type = "change.access"   // a Zugang was made, changed or revoked
	ChangeRole     Type = "change.role"     // an account or its roles changed
	Access         Type = "access"          // sealed content was shown to a person
	Erase          Type = "erase"           // sealed content of Entries was destroyed on request
	Retain         Type = "retain"          // content or leaves past their term were destroyed
	Export         Type = "export"          // an evidence bundle was written; Digest is that of its manifest
	LogStart       Type = "log.start"
	LogFork        Type = "log.fork"    // first entry of a log that goes on after a break; the Prior fields name the old one
	LogRestart     Type = "log.restart" // the first start after an I/O error
)

// Governs reports whether entries of this type alter what is allowed, and so raise the epoch.
func (t Type) Governs() bool {
	return strings.HasPrefix(string(t), "change.") || strings.HasPrefix(string(t), "stop.")
}

// Ends reports whether an entry of this type is the one end of an opening.
func (t Type) Ends() bool { return t == CallClose || t == CallAbort }

// Count is how often findings of one type occurred.
type Count struct {
	Type string `json:"type"`
	N    uint64 `json:"n"`
}

// Ran sums up for one detector on how many parts of a call it ran, was skipped, failed, or could not look.
type Ran struct {
	Detector     string `json:"detector"`
	Ran          uint64 `json:"ran"`
	Skipped      uint64 `json:"skipped"`
	Failed       uint64 `json:"failed"`
	NotInspected uint64 `json:"not_inspected"`
}

// Span is a range of entries, From included, To not.
type Span struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// Leaf is the public half of an entry. None of its fields is about a person: no user, no pseudonym, no free text, no
// bare hash of content. Zero fields are not written. Its encoding is a CBOR map with the keys given below.
type Leaf struct {
	Version    uint64   // 0
	Type       Type     // 1
	Event      [16]byte // 2; random, tells whether an unknown commit reached the log
	Ref        *uint64  // 3; number of the opening that this entry belongs to
	Epoch      uint64   // 4; of the rules that judged an opening or refusal, or that this change begins
	Kind       string   // 5; "user", or the product's own: "canary", "eval", …
	Time       uint64   // 6; seconds since 1970, UTC
	Instance   string   // 7; node that wrote it
	System     string   // 8; AI system
	Policy     string   // 9; id of the rules
	PolicyHash []byte   // 10; SHA-256 of the rules
	Model      string   // 11
	Provider   string   // 12
	Verdict    string   // 13; allow, redact, hold, block
	Rules      []string // 14; that decided
	Findings   []Count  // 15; sorted by type
	TokensIn   uint64   // 16
	TokensOut  uint64   // 17
	Estimated  bool     // 18; the token counts are estimates (written as 1)
	Class      string   // 19; retention class
	Key        string   // 20; reference of the key that seals the part beside the leaf
	CRequest   []byte   // 21; commitments, 32 bytes each (see Commit)
	COutbound  []byte   // 22; what left the house
	CResponse  []byte   // 23; what the caller was given
	CMeta      []byte   // 24; person, case, activity, reason: whatever could be about people
	HSealed    []byte   // 25; see SealedHash
	Code       string   // 26; refusal code, or end reason of a call
	Coverage   []Ran    // 27
	Object     string   // 28; what changed: "system/KI-2026-001"
	Revision   uint64   // 29; version of the changed object
	CRow       []byte   // 30; commitment to the changed object's canonical row
	Entries    []Span   // 31; whose content or leaf is gone
	Keys       []string // 32; references of destroyed keys
	Digest     []byte   // 33; SHA-256 of a manifest
	PriorLog   string   // 34; origin of the log before the fork
	PriorSize  uint64   // 35; size of its last known checkpoint
	PriorRoot  []byte   // 36
	FoundSize  uint64   // 37; entries that were found when the log forked
}

const (
	maxList = 4096 // items in one array of a leaf
	maxKeys = 64   // keys in one map
)

// Encode returns the canonical bytes of the leaf. It fails only for a leaf above MaxLeaf.
func (l *Leaf) Encode() ([]byte, error) { return l.append(make([]byte, 0, 512)) }

// append encodes the leaf into b, which is empty.
func (l *Leaf) append(body []byte) ([]byte, error) {
	n := uint64(0)
	body = append(body, 0, 0) // room for the head of the map
	key := func(k uint64) { n++; body = appendHead(body, cborUint, k) }
	num := func(k, v uint64) {
		if v != 0 {
			key(k)
			body = appendHead(body, cborUint, v)
		}
	}
	text := func(k uint64, s string) {
		if s != "" {
			key(k)
			body = appendText(body, s)
		}
	}
	bin := func(k uint64, s []byte) {
		if len(s) > 0 {
			key(k)
			body = appendBytes(body, s)
		}
	}
	texts := func(k uint64, list []string) {
		if len(list) > 0 {
			key(k)
			body = appendHead(body, cborArray, uint64(len(list)))
			for _, s := range list {
				body = appendText(body, s)
			}
		}
	}
	num(0, l.Version)
	text(1, string(l.Type))
	bin(2, l.Event[:])
	if l.Ref != nil {
		key(3)
		body = appendHead(body, cborUint, *l.Ref)
	}
	num(4, l.Epoch)
	text(5, l.Kind)
	num(6, l.Time)
	text(7, l.Instance)
	text(8, l.System)
	text(9, l.Policy)
	bin(10, l.PolicyHash)
	text(11, l.Model)
	text(12, l.Provider)
	text(13, l.Verdict)
	texts(14, l.Rules)
	if len(l.Findings) > 0 {
		key(15)
		body = appendHead(body, cborArray, uint64(len(l.Findings)))
		for _, c := range l.Findings {
			body = appendHead(body, cborArray, 2)
			body = appendText(body, c.Type)
			body = appendHead(body, cborUint, c.N)
		}
	}
	num(16, l.TokensIn)
	num(17, l.TokensOut)
	if l.Estimated {
		num(18, 1)
	}
	text(19, l.Class)
	text(20, l.Key)
	bin(21, l.CRequest)
	bin(22, l.COutbound)
	bin(23, l.CResponse)
	bin(24, l.CMeta)
	bin(25, l.HSealed)
	text(26, l.Code)
	if len(l.Coverage) > 0 {
		key(27)
		body = appendHead(body, cborArray, uint64(len(l.Coverage)))
		for _, r := range l.Coverage {
			body = appendHead(body, cborArray, 5)
			body = appendText(body, r.Detector)
			for _, v := range [4]uint64{r.Ran, r.Skipped, r.Failed, r.NotInspected} {
				body = appendHead(body, cborUint, v)
			}
		}
	}
	text(28, l.Object)
	num(29, l.Revision)
	bin(30, l.CRow)
	if len(l.Entries) > 0 {
		key(31)
		body = appendHead(body, cborArray, uint64(len(l.Entries)))
		for _, s := range l.Entries {
			body = appendHead(body, cborArray, 2)
			body = appendHead(body, cborUint, s.From)
			body = appendHead(body, cborUint, s.To)
		}
	}
	texts(32, l.Keys)
	bin(33, l.Digest)
	text(34, l.PriorLog)
	num(35, l.PriorSize)
	bin(36, l.PriorRoot)
	num(37, l.FoundSize)
	if n < 24 { // the head takes one byte
		body = body[1:]
		body[0] = cborMap | byte(n)
	} else {
		body[0], body[1] = cborMap|24, byte(n)
	}
	if len(body) > MaxLeaf {
		return nil, fmt.Errorf("leaf of %d bytes, at most %d fit", len(body), MaxLeaf)
	}
	return body, nil
}

// DecodeLeaf reads a leaf. Any spelling other than the one that Encode writes is an error.
func DecodeLeaf(b []byte) (*Leaf, error) {
	l := new(Leaf)
	if err := new(leafReader).read(l, b); err != nil {
		return nil, err
	}
	return l, nil
}

// leafReader reads leaves one after another without allocating for each.
type leafReader struct {
	scratch []byte            // the second encoding of a leaf
	names   map[string]string // see decoder
}

// read reads a leaf into l, whose slices it uses again. The byte fields of the leaf are slices of b.
func (r *leafReader) read(l *Leaf, b []byte) error {
	if len(b) > MaxLeaf {
		return fmt.Errorf("leaf of %d bytes, at most %d fit", len(b), MaxLeaf)
	}
	*l = Leaf{Rules: l.Rules[:0], Findings: l.Findings[:0], Coverage: l.Coverage[:0], Entries: l.Entries[:0], Keys: l.Keys[:0]}
	d := decoder{b: b, names: r.names}
	texts := func(list []string) []string {
		for range d.count(cborArray, maxList) {
			list = append(list, d.text())
		}
		return list
	}
	tuple := func(n int) {
		if d.count(cborArray, maxList) != n {
			d.fail(errLen)
		}
	}
	d.fields(maxKeys, func(key uint64) bool {
		switch key {
		case 0:
			l.Version = d.uint()
		case 1:
			l.Type = Type(d.text())
		case 2:
			if copy(l.Event[:], d.bytes()) != len(l.Event) {
				d.fail(errLen)
			}
		case 3:
			v := d.uint()
			l.Ref = &v
		case 4:
			l.Epoch = d.uint()
		case 5:
			l.Kind = d.text()
		case 6:
			l.Time = d.uint()
		case 7:
			l.Instance = d.text()
		case 8:
			l.System = d.text()
		case 9:
			l.Policy = d.text()
		case 10:
			l.PolicyHash = d.bytes()
		case 11:
			l.Model = d.text()
		case 12:
			l.Provider = d.text()
		case 13:
			l.Verdict = d.text()
		case 14:
			l.Rules = texts(l.Rules)
		case 15:
			for range d.count(cborArray, maxList) {
				tuple(2)
				l.Findings = append(l.Findings, Count{d.text(), d.uint()})
			}
		case 16:
			l.TokensIn = d.uint()
		case 17:
			l.TokensOut = d.uint()
		case 18:
			l.Estimated = d.uint() == 1
		case 19:
			l.Class = d.text()
		case 20:
			l.Key = d.text()
		case 21:
			l.CRequest = d.bytes()
		case 22:
			l.COutbound = d.bytes()
		case 23:
			l.CResponse = d.bytes()
		case 24:
			l.CMeta = d.bytes()
		case 25:
			l.HSealed = d.bytes()
		case 26:
			l.Code = d.text()
		case 27:
			for range d.count(cborArray, maxList) {
				tuple(5)
				l.Coverage = append(l.Coverage, Ran{d.text(), d.uint(), d.uint(), d.uint(), d.uint()})
			}
		case 28:
			l.Object = d.text()
		case 29:
			l.Revision = d.uint()
		case 30:
			l.CRow = d.bytes()
		case 31:
			for range d.count(cborArray, maxList) {
				tuple(2)
				l.Entries = append(l.Entries, Span{d.uint(), d.uint()})
			}
		case 32:
			l.Keys = texts(l.Keys)
		case 33:
			l.Digest = d.bytes()
		case 34:
			l.PriorLog = d.text()
		case 35:
			l.PriorSize = d.uint()
		case 36:
			l.PriorRoot = d.bytes()
		case 37:
			l.FoundSize = d.uint()
		default:
			return false
		}
		return true
	})
	if err := d.end(); err != nil {
		return fmt.Errorf("leaf: %w", err)
	}
	if l.Version != LeafVersion {
		return fmt.Errorf("leaf: version %d is not known here", l.Version)
	}
	if cap(r.scratch) < len(b)+2 {
		r.scratch = make([]byte, 0, 2*len(b)+2)
	}
	again, err := l.append(r.scratch[:0])
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("leaf: %w", errSpell)
	}
	return nil
}

// CallID is the name of an entry for people and clients: the ordinal of the log and the number of the entry, "1-482113".
func CallID(log int, n uint64) string {
	return strconv.Itoa(log) + "-" + strconv.FormatUint(n, 10)
}

// ParseCallID reads what CallID writes.
func ParseCallID(s string) (log int, n uint64, err error) {
	a, b, ok := strings.Cut(s, "-")
	if ok {
		if log, err = strconv.Atoi(a); err == nil {
			n, err = strconv.ParseUint(b, 10, 63)
		}
	}
	if !ok || err != nil || log < 1 || CallID(log, n) != s {
		return 0, 0, fmt.Errorf("%q is not the number of an entry, as in 1-482113", s)
	}
	return log, n, nil
}
