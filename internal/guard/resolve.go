package guard

import (
	"cmp"
	"slices"
	"strings"
)

// class orders evidence: checksum, context, grammar, model, list. A secret comes before all of it, so that no part of
// one is ever taken for a value that may be restored. Source: detection.md section 5.
func class(f Finding) int {
	switch {
	case f.Type == TypeSecret:
		return 5
	case f.Score >= ScoreChecksum:
		return 4
	case f.Score >= ScoreContext:
		return 3
	case f.Score >= ScoreGrammar:
		return 2
	case f.Score > 0.4:
		return 1
	}
	return 0
}

// resolve settles overlaps: stronger evidence wins, then the longer, then the earlier finding. What only a loser covers
// remains a finding of the loser, so that nothing leaks at the edges; touching pieces of one type become one. The
// result is sorted by Start. text is the part's text.
func resolve(text string, found []Finding) []Finding {
	if len(found) < 2 {
		return found
	}
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(class(b), class(a)), cmp.Compare(b.End-b.Start, a.End-a.Start), cmp.Compare(a.Start, b.Start))
	})
	var kept []Finding
	for _, f := range found {
		kept = add(text, kept, f, true)
	}
	return kept
}

// add puts f into kept, which is sorted and without overlaps, leaving out what kept covers already. With widen a piece
// that remains of f becomes part of a neighbour of the same type that it overlapped.
func add(text string, kept []Finding, f Finding, widen bool) []Finding {
	i, _ := slices.BinarySearchFunc(kept, f.Start, func(k Finding, at int) int { return cmp.Compare(k.End, at+1) })
	whole := f.End - f.Start
	for f.Start < f.End {
		if i == len(kept) || kept[i].Start >= f.End {
			if f.End-f.Start < whole {
				f = trim(text, f)
			}
			if f.Start < f.End {
				kept = slices.Insert(kept, i, f)
			}
			return kept
		}
		k := &kept[i]
		if f.Start < k.Start {
			if widen && k.Type == f.Type && k.Type != TypeSecret {
				k.Start = f.Start
			} else {
				piece := f
				piece.End = k.Start
				if piece = trim(text, piece); piece.Start < piece.End {
					kept = slices.Insert(kept, i, piece)
					i++
				}
			}
		}
		k = &kept[i]
		rest := f.End
		if i+1 < len(kept) {
			rest = min(rest, kept[i+1].Start)
		}
		if widen && k.Type == f.Type && rest > k.End {
			k.End = rest
		}
		f.Start = max(f.Start, k.End)
		i++
	}
	return kept
}

// trim takes blanks and marks off the ends of a piece: alone they say nothing.
func trim(text string, f Finding) Finding {
	const blank = " \t\r\n.,;:-/()"
	for f.Start < f.End && strings.IndexByte(blank, text[f.Start]) >= 0 {
		f.Start++
	}
	for f.Start < f.End && strings.IndexByte(blank, text[f.End-1]) >= 0 {
		f.End--
	}
	return f
}
