package bundle

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Trust is what a reader knows of a log from elsewhere.
type Trust struct {
	Keys        []string // note verifier keys
	Checkpoints []string // signed notes
}

const maxTrust = 1000 // keys and checkpoints in one file

// ParseTrust reads a text of verifier keys, one a line, and signed checkpoints, in any order. Empty lines between them and
// lines that begin with # are skipped.
func ParseTrust(b []byte) (Trust, error) {
	var t Trust
	if len(b) > maxSmall {
		return t, fmt.Errorf("the trust file has %d bytes, at most %d are read", len(b), maxSmall)
	}
	lines := strings.Split(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); {
		line := lines[i]
		if line == "" || line[0] == '#' {
			i++
			continue
		}
		if len(t.Keys)+len(t.Checkpoints) >= maxTrust {
			return t, fmt.Errorf("line %d: more than %d keys and checkpoints", i+1, maxTrust)
		}
		if _, err := publicKey(line); err == nil {
			t.Keys = append(t.Keys, line)
			i++
			continue
		}
		end := i + 4
		for end < len(lines) && strings.HasPrefix(lines[end], "— ") {
			end++
		}
		if i+4 >= len(lines) || lines[i+3] != "" || end == i+4 {
			return t, fmt.Errorf("line %d: neither a verifier key nor the beginning of a signed checkpoint", i+1)
		}
		if _, err := ParseCheckpoint(strings.Join(lines[i:i+3], "\n") + "\n"); err != nil {
			return t, fmt.Errorf("line %d: %w", i+1, err)
		}
		t.Checkpoints = append(t.Checkpoints, strings.Join(lines[i:end], "\n")+"\n")
		i = end
	}
	return t, nil
}

// Of leaves out the checkpoints of other logs. What is left may say nothing of this log.
func (t *Trust) Of(origin string) Trust {
	of := Trust{Keys: t.Keys}
	for _, c := range t.Checkpoints {
		if strings.HasPrefix(c, origin+"\n") {
			of.Checkpoints = append(of.Checkpoints, c)
		}
	}
	return of
}

// confirm compares the log key with the trusted ones, and returns the trusted checkpoints of this log. What is of other
// logs is passed over; a file that says nothing of this log does not confirm it, and that is an error.
func (t *Trust) confirm(vkey, origin string) (confirmed bool, list []Signed, err error) {
	if len(t.Keys)+len(t.Checkpoints) == 0 {
		return false, nil, nil
	}
	own, err := publicKey(vkey)
	if err != nil {
		return false, nil, err
	}
	differs := false
	for _, k := range t.Keys {
		pub, err := publicKey(k)
		if err != nil {
			return false, nil, err
		}
		name, _, _ := strings.Cut(k, "+")
		if bytes.Equal(pub, own) {
			confirmed = true
		} else if name == origin {
			differs = true
		}
	}
	if differs && !confirmed {
		return false, nil, fmt.Errorf("the log key is not the trusted key of %s", origin)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return false, nil, err
	}
	for _, s := range t.Checkpoints {
		if first, _, _ := strings.Cut(s, "\n"); first != origin {
			continue
		}
		cp, err := OpenCheckpoint(s, note.VerifierList(v))
		if err != nil {
			return false, nil, fmt.Errorf("the trusted checkpoint was not signed by this log: %w", err)
		}
		list = append(list, Signed{Size: cp.Size, Note: s, What: "trusted checkpoint"})
	}
	if !confirmed && len(list) == 0 {
		return false, nil, fmt.Errorf("the trusted keys and checkpoints are of other logs than %s", origin)
	}
	return confirmed, list, nil
}
