package bundle

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

// The fields of a sealed part that have a commitment in the leaf.
const (
	FieldRequest  = "request"  // the body that the client sent
	FieldOutbound = "outbound" // the body that left for the provider
	FieldResponse = "response" // the body that the client was given
	FieldMeta     = "meta"     // JSON: person, case, activity, reason, …
)

// Commit returns the commitment to the canonical bytes of a field, HMAC-SHA256 under a random salt of 32 bytes. Without
// the salt it says nothing about the value, however small the space of values is (Art. 29 WP Opinion 05/2014).
func Commit(salt []byte, field string, value []byte) []byte {
	h := hmac.New(sha256.New, salt)
	h.Write([]byte("leitplanke/c/v1"))
	h.Write([]byte(field))
	h.Write(value)
	return h.Sum(nil)
}

// SealedHash is the field HSealed of a leaf: SHA-256 over the record's salt and its ciphertext, so that a flipped byte of
// either is found without any key.
func SealedHash(salt, sealed []byte) []byte {
	h := sha256.New()
	h.Write(salt)
	h.Write(sealed)
	return h.Sum(nil)
}

// Sealed is the content beside a leaf before it is encrypted. Salts belong to the commitments of the fields by name; they
// die with the content.
type Sealed struct {
	Fields []Field
}

// Field is one named value of a sealed part. Salt is empty where the leaf holds no commitment to it.
type Field struct {
	Name  string
	Salt  []byte
	Value []byte
}

// Get returns the value of a field, nil where there is none.
func (s *Sealed) Get(name string) []byte {
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return s.Fields[i].Value
		}
	}
	return nil
}

// Encode writes the sealed part: a CBOR array of [name, salt, value].
func (s *Sealed) Encode() []byte {
	n := 16
	for _, f := range s.Fields {
		n += len(f.Name) + len(f.Salt) + len(f.Value) + 24
	}
	b := appendHead(make([]byte, 0, n), cborArray, uint64(len(s.Fields)))
	for _, f := range s.Fields {
		b = appendHead(b, cborArray, 3)
		b = appendText(b, f.Name)
		b = appendBytes(b, f.Salt)
		b = appendBytes(b, f.Value)
	}
	return b
}

// DecodeSealed reads what Encode writes; the values are slices of b.
func DecodeSealed(b []byte) (*Sealed, error) {
	d := decoder{b: b}
	s := new(Sealed)
	for range d.count(cborArray, maxKeys) {
		if d.count(cborArray, 3) != 3 {
			d.fail(errLen)
			break
		}
		s.Fields = append(s.Fields, Field{d.text(), d.bytes(), d.bytes()})
	}
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("sealed part: %w", err)
	}
	return s, nil
}

// Commitment returns the commitment that a leaf holds to the field of that name, nil where it holds none.
func (l *Leaf) Commitment(field string) []byte {
	switch field {
	case FieldRequest:
		return l.CRequest
	case FieldOutbound:
		return l.COutbound
	case FieldResponse:
		return l.CResponse
	case FieldMeta:
		return l.CMeta
	}
	return nil
}

// CheckSealed compares every salted field of an opened sealed part with the leaf's commitments, and the other way round.
func CheckSealed(l *Leaf, s *Sealed) error {
	found := 0
	for _, f := range s.Fields {
		if len(f.Salt) == 0 {
			continue
		}
		if !hmac.Equal(Commit(f.Salt, f.Name, f.Value), l.Commitment(f.Name)) {
			return fmt.Errorf("field %q does not match its commitment", f.Name)
		}
		found++
	}
	for _, name := range [...]string{FieldRequest, FieldOutbound, FieldResponse, FieldMeta} {
		if l.Commitment(name) != nil {
			found--
		}
	}
	if found != 0 {
		return fmt.Errorf("the leaf commits to fields that the sealed part does not hold")
	}
	return nil
}
