package stored

import (
	"errors"
	"fmt"
	"os"
)

const maxMark = 4096 // bytes

// ReadMark returns the note in the mark file, empty where the file does not exist.
func ReadMark(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, maxMark+1)
	n, err := f.Read(b)
	if n > maxMark {
		return "", errors.New("the mark is too large")
	}
	if n == 0 {
		return "", fmt.Errorf("the mark is empty: %w", err)
	}
	return string(b[:n]), nil
}
