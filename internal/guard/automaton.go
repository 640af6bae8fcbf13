package guard

// Automaton finds many patterns in one pass over a text (Aho and Corasick, 1975). It is immutable.
type Automaton struct {
	lengths []int      // by pattern
	class   [256]uint8 // byte → column of next; 0 = in no pattern
	columns int
	next    []int32 // state*columns + class → state
	pattern []int32 // state → longest pattern that ends here, -1 = none
	shorter []int32 // state → next state on the way to shorter patterns that end here, 0 = none
	depth   []int32 // state → length of its prefix
}

// NewAutomaton compiles patterns. With foldCase the letters A-Z and a-z are the same. An empty pattern never matches;
// of two equal patterns the first counts.
func NewAutomaton(patterns []string, foldCase bool) *Automaton {
	a := &Automaton{lengths: make([]int, len(patterns)), columns: 1}
	for _, p := range patterns {
		for i := range len(p) {
			c := p[i]
			if foldCase {
				c = lower(c)
			}
			if a.class[c] == 0 {
				a.class[c] = uint8(a.columns)
				a.columns++
			}
		}
	}
	if foldCase {
		for c := byte('A'); c <= 'Z'; c++ {
			a.class[c] = a.class[lower(c)]
		}
	}
	a.grow(0)
	for i, p := range patterns {
		a.lengths[i] = len(p)
		a.insert(p, int32(i))
	}
	a.link()
	return a
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func (a *Automaton) grow(depth int32) int32 {
	a.next = append(a.next, make([]int32, a.columns)...)
	a.pattern = append(a.pattern, -1)
	a.shorter = append(a.shorter, 0)
	a.depth = append(a.depth, depth)
	return int32(len(a.pattern) - 1)
}

func (a *Automaton) insert(p string, index int32) {
	if p == "" {
		return
	}
	state := int32(0)
	for i := range len(p) {
		at := int(state)*a.columns + int(a.class[p[i]])
		if a.next[at] == 0 {
			child := a.grow(a.depth[state] + 1)
			a.next[at] = child
		}
		state = a.next[at]
	}
	if a.pattern[state] < 0 {
		a.pattern[state] = index
	}
}

// link turns the tree of prefixes into an automaton, breadth first.
func (a *Automaton) link() {
	fail := make([]int32, len(a.pattern))
	queue := make([]int32, 0, len(a.pattern))
	for _, child := range a.next[:a.columns] {
		if child != 0 {
			queue = append(queue, child)
		}
	}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		back := fail[state]
		if a.pattern[back] >= 0 {
			a.shorter[state] = back
		} else {
			a.shorter[state] = a.shorter[back]
		}
		for c := range a.columns {
			at := int(state)*a.columns + c
			target := a.next[int(back)*a.columns+c]
			if child := a.next[at]; child != 0 {
				fail[child] = target
				queue = append(queue, child)
			} else {
				a.next[at] = target
			}
		}
	}
}

// Each calls yield for every occurrence of every pattern, by end, longer first, until yield returns false.
func (a *Automaton) Each(text string, yield func(pattern, start, end int) bool) {
	state := int32(0)
	for i := range len(text) {
		state = a.next[int(state)*a.columns+int(a.class[text[i]])]
		hit := state
		if a.pattern[hit] < 0 {
			hit = a.shorter[hit]
		}
		for ; hit != 0; hit = a.shorter[hit] {
			p := int(a.pattern[hit])
			if !yield(p, i+1-a.lengths[p], i+1) {
				return
			}
		}
	}
}

// Next gives the leftmost occurrence at or after from, and of several that start there the longest. ok is false when
// there is none.
func (a *Automaton) Next(text string, from int) (pattern, start, end int, ok bool) {
	state := int32(0)
	for i := from; i < len(text); i++ {
		state = a.next[int(state)*a.columns+int(a.class[text[i]])]
		if ok && i+1-int(a.depth[state]) > start {
			return pattern, start, end, true
		}
		hit := state
		if a.pattern[hit] < 0 {
			hit = a.shorter[hit]
		}
		for ; hit != 0; hit = a.shorter[hit] {
			p := int(a.pattern[hit])
			if s := i + 1 - a.lengths[p]; !ok || s <= start {
				pattern, start, end, ok = p, s, i+1, true
				break // the chain goes on with shorter ones, which start later
			}
		}
	}
	return pattern, start, end, ok
}
