package bundle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
)

// A container is a zip file in one exact spelling, or a folder. In the zip every file is stored as it is, sorted by name,
// with the date 1980-01-01 and without extra fields, data descriptors or comments, so that each byte that is not content
// follows from names, sizes and checksums. Zip64 is not used: a larger bundle is a folder.

const (
	zipMaxSize  = 1<<32 - 2
	zipMaxFiles = 1<<16 - 2
	zipDate     = 1<<5 | 1 // 1980-01-01
)

// ErrTooLarge means that a bundle does not fit a zip file: it has to be written as a folder.
var ErrTooLarge = errors.New("the bundle is too large for one zip file; write it as a folder")

// zipFile is one file of a zip container.
type zipFile struct {
	name   string
	size   uint32
	crc    uint32
	header uint32 // offset of its header
}

const (
	localSize = 30
	dirSize   = 46
	endSize   = 22
)

func (f *zipFile) data() int64 { return int64(f.header) + localSize + int64(len(f.name)) }

// local appends the header before the content.
func (f *zipFile) local(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, "PK\x03\x04"...)
	b = le.AppendUint16(b, 20)      // version needed: 2.0
	b = le.AppendUint16(b, 0)       // flags
	b = le.AppendUint16(b, 0)       // method: stored
	b = le.AppendUint16(b, 0)       // time
	b = le.AppendUint16(b, zipDate) // date
	b = le.AppendUint32(b, f.crc)
	b = le.AppendUint32(b, f.size)
	b = le.AppendUint32(b, f.size)
	b = le.AppendUint16(b, uint16(len(f.name)))
	b = le.AppendUint16(b, 0) // extra fields
	return append(b, f.name...)
}

// central appends the record in the directory at the end.
func (f *zipFile) central(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, "PK\x01\x02"...)
	b = le.AppendUint16(b, 20) // made by
	b = le.AppendUint16(b, 20)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint16(b, zipDate)
	b = le.AppendUint32(b, f.crc)
	b = le.AppendUint32(b, f.size)
	b = le.AppendUint32(b, f.size)
	b = le.AppendUint16(b, uint16(len(f.name)))
	b = append(b, make([]byte, 12)...) // extra fields, comment, disk, attributes inside and outside
	b = le.AppendUint32(b, f.header)
	return append(b, f.name...)
}

// zipEnd is the record after the directory.
func zipEnd(files int, start, size int64) []byte {
	le := binary.LittleEndian
	b := append(make([]byte, 0, endSize), "PK\x05\x06\x00\x00\x00\x00"...)
	b = le.AppendUint16(b, uint16(files))
	b = le.AppendUint16(b, uint16(files))
	b = le.AppendUint32(b, uint32(size))
	b = le.AppendUint32(b, uint32(start))
	return le.AppendUint16(b, 0) // comment
}

// container gives the files of a bundle by path.
type container struct {
	sizes map[string]uint64
	crc   map[string]uint32 // of a zip
	at    map[string]int64  // of a zip: where the content begins
	zip   io.ReaderAt       // or
	dir   *os.Root
	io.Closer
}

// open returns a reader of exactly the bytes of a file.
func (c *container) open(name string) (io.ReadCloser, error) {
	size, ok := c.sizes[name]
	if !ok {
		return nil, fmt.Errorf("%s is missing", name)
	}
	if c.zip != nil {
		return io.NopCloser(io.NewSectionReader(c.zip, c.at[name], int64(size))), nil
	}
	return c.dir.Open(name)
}

// read returns the content of a file of at most limit bytes.
func (c *container) read(name string, limit uint64, buf []byte) ([]byte, error) {
	size, ok := c.sizes[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("%s is missing", name)
	case size > limit:
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", name, size, limit)
	}
	r, err := c.open(name)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read", name)
	}
	defer r.Close()
	buf = slices.Grow(buf[:0], int(size))[:size]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, fmt.Errorf("%s cannot be read to its end", name)
	}
	return buf, nil
}

// openContainer opens a zip or a folder. Its errors say what is wrong with the container; only a missing path is an
// error of package os.
func openContainer(name string) (*container, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		root, err := os.OpenRoot(name)
		if err != nil {
			return nil, err
		}
		c := &container{dir: root, Closer: root, sizes: map[string]uint64{}}
		if err := c.listFolder(); err != nil {
			return nil, errors.Join(err, root.Close())
		}
		return c, nil
	}
	if !info.Mode().IsRegular() {
		return nil, badContainer("neither a file nor a folder")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	c := &container{zip: f, Closer: f, sizes: map[string]uint64{}, crc: map[string]uint32{}, at: map[string]int64{}}
	files, err := readZip(f, info.Size())
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	for i := range files {
		z := &files[i]
		c.sizes[z.name], c.crc[z.name], c.at[z.name] = uint64(z.size), z.crc, z.data()
	}
	return c, nil
}

// badContainer is what is wrong with a container.
type badContainer string

func (e badContainer) Error() string { return string(e) }

func badZip(format string, args ...any) error {
	return badContainer("zip: " + fmt.Sprintf(format, args...))
}

// readZip reads the headers of a zip from its beginning, and compares every byte that is not content with the one
// spelling that the format allows.
func readZip(r io.ReaderAt, size int64) ([]zipFile, error) {
	if size > zipMaxSize {
		return nil, badZip("%d bytes are too many", size)
	}
	var files []zipFile
	var at int64
	last := "the beginning"
	head := make([]byte, localSize+maxName)
	for {
		if size-at < localSize {
			return nil, badZip("it ends after %s", last)
		}
		if _, err := r.ReadAt(head[:localSize], at); err != nil {
			return nil, badZip("it cannot be read after %s", last)
		}
		if string(head[:4]) == "PK\x01\x02" {
			break
		}
		if string(head[:4]) != "PK\x03\x04" {
			return nil, badZip("no header of a file after %s", last)
		}
		le := binary.LittleEndian
		n := int64(le.Uint16(head[26:]))
		f := zipFile{crc: le.Uint32(head[14:]), size: le.Uint32(head[22:]), header: uint32(at)}
		if n == 0 || n > maxName || size-at-localSize < n+int64(f.size) || len(files) >= zipMaxFiles {
			return nil, badZip("the header after %s does not fit", last)
		}
		if _, err := r.ReadAt(head[localSize:localSize+n], at+localSize); err != nil {
			return nil, badZip("it cannot be read after %s", last)
		}
		f.name = string(head[localSize : localSize+n])
		if checkPath(f.name) != nil || len(files) > 0 && f.name <= files[len(files)-1].name {
			return nil, badZip("the file after %s has a name that is wrong or out of order", last)
		}
		if i := differs(f.local(nil), head[:localSize+n]); i >= 0 {
			return nil, badZip("byte %d of the header of %s is not what it has to be", i, f.name)
		}
		files = append(files, f)
		at = f.data() + int64(f.size)
		last = f.name
	}
	start := at
	for i := range files {
		f := &files[i]
		want := f.central(nil)
		got := make([]byte, len(want))
		if _, err := r.ReadAt(got, at); err != nil {
			return nil, badZip("the directory ends before %s", f.name)
		}
		if i := differs(want, got); i >= 0 {
			return nil, badZip("byte %d of the directory record of %s is not what it has to be", i, f.name)
		}
		at += int64(len(want))
	}
	want := zipEnd(len(files), start, at-start)
	if size-at != int64(len(want)) {
		return nil, badZip("%d bytes after the directory instead of %d", size-at, len(want))
	}
	got := make([]byte, len(want))
	if _, err := r.ReadAt(got, at); err != nil {
		return nil, badZip("the end record cannot be read")
	}
	if i := differs(want, got); i >= 0 {
		return nil, badZip("byte %d of the end record is not what it has to be", i)
	}
	return files, nil
}

// differs is the first index at which two slices of one length differ, -1 where they do not.
func differs(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// listFolder lists a folder level by level, at most as many files and folders as a bundle can have.
func (c *container) listFolder() error {
	todo := []string{"."}
	seen := 0
	for len(todo) > 0 {
		dir := todo[0]
		todo = todo[1:]
		f, err := c.dir.Open(dir)
		if err != nil {
			return badContainer(fmt.Sprintf("the folder %s cannot be read", dir))
		}
		for {
			list, err := f.ReadDir(1000)
			for _, e := range list {
				name := path.Join(dir, e.Name())
				if seen++; seen > 2*MaxFiles {
					err = badContainer("the folder has too many files")
				} else if checkPath(name) != nil {
					err = badContainer(fmt.Sprintf("%.200q is not a file of a bundle", name))
				} else if e.IsDir() {
					todo = append(todo, name)
					continue
				} else if info, infoErr := e.Info(); infoErr != nil || info.Mode().Type() != fs.FileMode(0) {
					err = badContainer(fmt.Sprintf("%s is not a plain file", name))
				} else {
					c.sizes[name] = uint64(info.Size())
					continue
				}
				break
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				f.Close()
				if bad, ok := errors.AsType[badContainer](err); ok {
					return bad
				}
				return badContainer(fmt.Sprintf("the folder %s cannot be read", dir))
			}
		}
		f.Close()
	}
	return nil
}
