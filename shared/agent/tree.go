package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"rolekeeper/shared/expression"
)

// Bounds on a file, checked before anything of it is used. A deployed agent with
// every field the toolkit writes has about 130 nodes and 6 levels.
const (
	// MaxBytes is how large a config may be.
	MaxBytes  = 256 << 10
	maxAgents = 50
	maxDepth  = 20
	maxNodes  = 20_000 // aliases count as often as they are used
)

// errManyDocuments is told apart from errors of syntax.
var errManyDocuments = errors.New("more than one document")

// readTree gives the root node of the one document in data, nil when there is
// nothing but comments; with errManyDocuments the second document.
func readTree(data []byte) (root *yaml.Node, err error) {
	defer func() {
		// The library reports through panics inside, and some have escaped it.
		if r := recover(); r != nil {
			root, err = nil, fmt.Errorf("unreadable: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	if err := dec.Decode(&first); errors.Is(err, io.EOF) {
		return nil, nil //nolint:nilnil // a file may hold nothing, and that is no error of reading it
	} else if err != nil {
		return nil, err
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		return &second, errManyDocuments
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	return first.Content[0], nil
}

var (
	yamlLine = expression.Lazy(`\A(?:yaml: )?(?:line \d+: )?`)
	jsonFile = expression.Lazy(`\A\s*\{\s*["}]`)
)

// complaint gives the library's message without the line, which for half of its
// errors is that of the enclosing block, counted from 0.
func complaint(err error) string { return yamlLine().ReplaceAllString(err.Error(), "") }

// syntaxPlace finds where data stops being readable: for JSON by the JSON
// parser, else as the end of the shortest run of lines that is wrong in the same way.
func syntaxPlace(data []byte, err error) place {
	var js *json.SyntaxError
	var discard json.RawMessage
	if jsonFile().Match(data) && errors.As(json.Unmarshal(data, &discard), &js) {
		return placeAt(data, int(js.Offset)-1)
	}
	var ends []int
	for i := range data {
		if data[i] == '\n' || i == len(data)-1 {
			ends = append(ends, i+1)
		}
	}
	want := complaint(err)
	n := sort.Search(len(ends)-1, func(i int) bool {
		_, err := readTree(data[:ends[i]])
		return err != nil && complaint(err) == want
	})
	start := 0
	if n > 0 {
		start = ends[n-1]
	}
	line := data[start:ends[n]]
	if text := bytes.TrimLeft(line, " \t\r\n"); len(text) > 0 {
		start += len(line) - len(text)
	}
	return placeAt(data, start)
}

// placeAt gives the place of the byte at offset.
func placeAt(data []byte, offset int) place {
	before := data[:max(0, min(offset, len(data)))]
	return place{
		line:   bytes.Count(before, []byte("\n")) + 1,
		column: utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1,
	}
}

// joinSurrogates rewrites the pairs by which JSON escapes characters beyond
// U+FFFF in the one escape that YAML has for them. Other bytes stay.
func joinSurrogates(data []byte) []byte {
	if !bytes.Contains(data, []byte(`\u`)) || !json.Valid(data) {
		return data
	}
	unit := func(i int) rune {
		if i+6 > len(data) || data[i] != '\\' || data[i+1] != 'u' {
			return -1
		}
		v, err := strconv.ParseUint(string(data[i+2:i+6]), 16, 16)
		if err != nil {
			return -1
		}
		return rune(v)
	}
	var out []byte
	for i := 0; i < len(data); {
		if r := utf16.DecodeRune(unit(i), unit(i+6)); r != utf8.RuneError {
			out = fmt.Appendf(out, `\U%08X`, r)
			i += 12
			continue
		}
		n := 1
		if data[i] == '\\' && i+1 < len(data) {
			n = 2
		}
		out = append(out, data[i:i+n]...)
		i += n
	}
	return out
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge"
}

// pair is one key of a map with its value, which may be an alias.
type pair struct{ key, value *yaml.Node }

// place gives where a reader looks for the pair: a single value itself, else its key.
func (p pair) place() place {
	at := p.key
	if v := resolve(p.value); v.Kind == yaml.ScalarNode && !isNull(v) {
		at = p.value
	}
	return place{at.Line, at.Column}
}

// pairs gives the pairs of a map in the order in which they count, the last one
// of a key holding: first what is merged in ("<<"), then the map's own. So does
// PyYAML, by which the toolkit reads. Only for trees that checker has passed.
func pairs(m *yaml.Node) []pair {
	var merged, own []pair
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		if !isMerge(key) {
			own = append(own, pair{resolve(key), value})
			continue
		}
		sources := []*yaml.Node{value}
		if v := resolve(value); v.Kind == yaml.SequenceNode {
			// In a list the first source holds.
			sources = slices.Clone(v.Content)
			slices.Reverse(sources)
		}
		for _, s := range sources {
			if s = resolve(s); s.Kind == yaml.MappingNode {
				merged = append(merged, pairs(s)...)
			}
		}
	}
	return append(merged, own...)
}

// lookup gives the pair of a map that holds for a key.
func lookup(m *yaml.Node, key string) (pair, bool) {
	for _, p := range slices.Backward(pairs(m)) {
		if p.key.Value == key && p.key.ShortTag() == "!!str" {
			return p, true
		}
	}
	return pair{}, false
}

// distinct drops pairs that a later one of the same key replaces.
func distinct(all []pair) []pair {
	last := make(map[string]int, len(all))
	for i, p := range all {
		last[keyID(p.key)] = i
	}
	var out []pair
	for i, p := range all {
		if last[keyID(p.key)] == i {
			out = append(out, p)
		}
	}
	return out
}

// keyID tells keys apart as YAML does: 1 and "1" are two.
func keyID(key *yaml.Node) string { return key.ShortTag() + " " + key.Value }

// checker walks a whole tree once: it holds the bounds, aliases expanded, and
// finds what is wrong with maps anywhere, in parts that nobody reads too.
type checker struct {
	file  *file
	nodes int
	told  map[*yaml.Node]bool // maps whose own faults are reported; aliases lead to them again
}

// visit reports whether the tree below n is within bounds. The file's one
// problem about bounds is reported when it is not.
func (c *checker) visit(n *yaml.Node, depth int, in scope) bool {
	c.nodes++
	at := place{n.Line, n.Column}
	if c.nodes > maxNodes {
		c.file.add(in, at, "config-too-many-nodes",
			fmt.Sprintf("the file has more than %d values, each alias counted as often as it is used", maxNodes),
			"write fewer values, or fewer aliases of large anchors")
		return false
	}
	n = resolve(n)
	switch n.Kind {
	case yaml.MappingNode, yaml.SequenceNode:
		if depth++; depth > maxDepth {
			c.file.add(in, at, "config-too-deep",
				fmt.Sprintf("maps and lists are nested more than %d levels deep", maxDepth), "nest less; an agent needs 6 levels")
			return false
		}
	default:
		return true
	}
	if n.Kind == yaml.SequenceNode {
		for i, item := range n.Content {
			if !c.visit(item, depth, in.index(i)) {
				return false
			}
		}
		return true
	}
	told := c.told[n]
	c.told[n] = true
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !told {
			c.key(key, value, lines, in)
		}
		if !c.visit(key, depth, in) || !c.visit(value, depth, c.file.below(in, key, value)) {
			return false
		}
	}
	return true
}

// key reports what is wrong with one key of a map; lines has the lines of the keys before it.
func (c *checker) key(key, value *yaml.Node, lines map[string]int, in scope) {
	at := place{key.Line, key.Column}
	k := resolve(key)
	if k.Kind != yaml.ScalarNode {
		c.file.add(in, at, "config-key-invalid", "a key is "+kindOf(k), "use plain text as the key")
		return
	}
	if line, ok := lines[keyID(k)]; ok {
		c.file.add(in.key(k.Value), at, "config-duplicate-key",
			fmt.Sprintf("the key %s is in this map a second time; the first is in line %d", quoted(k.Value), line),
			"keep one of the two and delete the other")
		return
	}
	lines[keyID(k)] = key.Line
	if isMerge(key) && !mergeable(value) {
		c.file.add(in.key(k.Value), at, "config-merge-invalid",
			"a merge key (<<) needs a map or a list of maps", "merge an anchored map: <<: *anchor")
	}
}

func mergeable(value *yaml.Node) bool {
	v := resolve(value)
	if v.Kind == yaml.SequenceNode {
		return !slices.ContainsFunc(v.Content, func(n *yaml.Node) bool { return resolve(n).Kind != yaml.MappingNode })
	}
	return v.Kind == yaml.MappingNode
}

// scope is the agent and the field that a part of the file belongs to.
type scope struct{ agent, field string }

func (s scope) key(key string) scope {
	key = legible(key)
	if s.field != "" {
		key = s.field + "." + key
	}
	return scope{s.agent, key}
}

func (s scope) index(i int) scope { return scope{s.agent, fmt.Sprintf("%s[%d]", s.field, i)} }

// kindOf names what a node holds, for messages: "a list".
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a true/false value"
	case "!!timestamp":
		return "a date"
	case "!!null":
		return "null"
	}
	return "a value of another type"
}

// cut shortens a value of the user's that is too long to be shown.
func cut(s string) string {
	const most = 100
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-3]) + "..."
}

// quoted gives a value of the user's in quotes, in ASCII: letters that only
// look like the right ones show, and nothing reaches a terminal as a command.
func quoted(s string) string { return strconv.QuoteToASCII(cut(s)) }

// legible is quoted without the quotes, for fields of a problem.
func legible(s string) string {
	q := quoted(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}
