package bundle

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// The subset of deterministic CBOR (RFC 8949 section 4.2.1) that leaves and sealed parts use: unsigned integers, byte
// strings, text strings, arrays and maps with small unsigned keys in rising order. Nothing is indefinite.
const (
	cborUint  = 0 << 5
	cborBytes = 2 << 5
	cborText  = 3 << 5
	cborArray = 4 << 5
	cborMap   = 5 << 5
)

var (
	errShort = errors.New("data ends too early")
	errType  = errors.New("value of another type expected")
	errSpell = errors.New("not the shortest spelling")
	errUTF8  = errors.New("text is not UTF-8")
	errOrder = errors.New("map keys out of order")
	errKey   = errors.New("unknown map key")
	errTrail = errors.New("bytes after the end")
	errCount = errors.New("too many items")
	errLen   = errors.New("wrong length")
)

func appendHead(b []byte, major byte, v uint64) []byte {
	switch {
	case v < 24:
		return append(b, major|byte(v))
	case v < 1<<8:
		return append(b, major|24, byte(v))
	case v < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(v))
	case v < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), v)
}

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, cborText, uint64(len(s))), s...)
}

func appendBytes(b, s []byte) []byte { return append(appendHead(b, cborBytes, uint64(len(s))), s...) }

// decoder reads the subset and keeps the first error; after an error every read answers zero.
type decoder struct {
	b     []byte
	err   error
	names map[string]string // texts that were read before, so that they are not copied again; may be nil
}

// Texts in leaves are few and short: names of systems, models, rules.
const (
	maxNames   = 4096
	maxNameLen = 64
)

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

func (d *decoder) head(major byte) uint64 {
	if d.err != nil {
		return 0
	}
	if len(d.b) == 0 {
		d.fail(errShort)
		return 0
	}
	first := d.b[0]
	if first&0xe0 != major {
		d.fail(errType)
		return 0
	}
	info := first & 0x1f
	if info < 24 {
		d.b = d.b[1:]
		return uint64(info)
	}
	if info > 27 {
		d.fail(errType)
		return 0
	}
	n := 1 << (info - 24)
	if len(d.b) < 1+n {
		d.fail(errShort)
		return 0
	}
	var v uint64
	for _, c := range d.b[1 : 1+n] {
		v = v<<8 | uint64(c)
	}
	d.b = d.b[1+n:]
	if v < 24 || (n > 1 && v < 1<<(4*n)) {
		d.fail(errSpell)
		return 0
	}
	return v
}

func (d *decoder) uint() uint64 { return d.head(cborUint) }

func (d *decoder) take(n uint64) []byte {
	if d.err != nil {
		return nil
	}
	if n > uint64(len(d.b)) {
		d.fail(errShort)
		return nil
	}
	s := d.b[:n:n]
	d.b = d.b[n:]
	return s
}

// bytes returns a slice of the input, not a copy.
func (d *decoder) bytes() []byte { return d.take(d.head(cborBytes)) }

func (d *decoder) text() string {
	s := d.take(d.head(cborText))
	if !utf8.Valid(s) {
		d.fail(errUTF8)
		return ""
	}
	if have, ok := d.names[string(s)]; ok {
		return have
	}
	text := string(s)
	if d.names != nil && len(d.names) < maxNames && len(text) <= maxNameLen {
		d.names[text] = text
	}
	return text
}

// count reads the head of an array or map whose items take at least one byte each.
func (d *decoder) count(major byte, limit uint64) int {
	n := d.head(major)
	if n > limit || n > uint64(len(d.b)) {
		d.fail(errCount)
		return 0
	}
	return int(n)
}

// fields walks a map with rising keys; f reads the value of one key and reports whether it knows the key.
func (d *decoder) fields(limit uint64, f func(key uint64) bool) {
	n := d.count(cborMap, limit)
	last := uint64(0)
	for i := 0; i < n && d.err == nil; i++ {
		key := d.uint()
		if i > 0 && key <= last {
			d.fail(errOrder)
			return
		}
		last = key
		if d.err == nil && !f(key) {
			d.fail(errKey)
		}
	}
}

func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail(errTrail)
	}
	return d.err
}
