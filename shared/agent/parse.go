package agent

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
)

// maxProblems bounds an answer: a hostile file can have thousands of faults.
const maxProblems = 100

// Parse reads the config in data (YAML or JSON, UTF-8) for the account and
// region of where. It gives every fault of the file at once, in the file's
// order. With a problem of severity error the Config is empty; warnings may come with a
// good one.
func Parse(data []byte, where Place) (Config, []fault.Problem) {
	cfg, problems := Examine(data, where)
	if fault.Blocks(problems) {
		return Config{}, problems
	}
	return cfg, problems
}

// Examine is Parse for who wants to tell everything that is wrong with a file:
// also of a config that is refused it gives the agents that have no fault
// themselves. They are not to be used for more than to find further problems.
func Examine(data []byte, where Place) (Config, []fault.Problem) {
	f := &file{place: where}
	cfg := f.read(data)
	return cfg, f.sorted()
}

// file is one config on its way through Parse.
type file struct {
	place    Place
	problems []fault.Problem
}

func (f *file) add(in scope, at place, code, message, fix string) {
	f.problems = append(f.problems, fault.Problem{
		Code: code, Severity: fault.SeverityError, Agent: in.agent, Field: in.field,
		Line: at.line, Column: at.column, Message: message, Fix: fix,
	})
}

// sorted gives the problems in the file's order, at most maxProblems and one that counts the rest.
func (f *file) sorted() []fault.Problem {
	fault.Sort(f.problems)
	if len(f.problems) <= maxProblems {
		return f.problems
	}
	rest := f.problems[maxProblems:]
	more := fault.Problem{
		Code: "config-too-many-problems", Severity: fault.SeverityWarning, Line: rest[0].Line, Column: rest[0].Column,
		Message: fmt.Sprintf("%d more problems are not shown", len(rest)), Fix: "mend those above and upload again",
	}
	if fault.Blocks(rest) {
		more.Severity = fault.SeverityError
	}
	return append(f.problems[:maxProblems:maxProblems], more)
}

// read gives the agents without faults of their own.
func (f *file) read(data []byte) Config {
	root, ok := f.tree(data)
	if !ok {
		return Config{}
	}
	return Config{Agents: f.agents(root)}
}

// tree gives the map that the file holds, not ok when there is none within bounds.
func (f *file) tree(data []byte) (root *yaml.Node, ok bool) {
	top := place{1, 1}
	if len(data) > MaxBytes {
		f.add(scope{}, top, "config-too-large", fmt.Sprintf("the file has %d bytes, more than the %d allowed", len(data), MaxBytes),
			"upload only the agent config; split it when it describes many agents")
		return nil, false
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		f.add(scope{}, placeAt(data, invalidAt(data)), "config-not-utf8", "the file is not UTF-8 text from here on",
			"save it as UTF-8 (a shell that writes UTF-16 needs to be told), and upload the YAML itself, not an archive")
		return nil, false
	}
	root, err := readTree(joinSurrogates(data))
	switch {
	case errors.Is(err, errManyDocuments):
		f.add(scope{}, place{root.Line, root.Column}, "config-many-documents", "a second YAML document begins here",
			"keep one document per file: put all agents under one agents key and delete the line ---")
		return nil, false
	case err != nil:
		f.add(scope{}, syntaxPlace(data, err), "config-not-yaml", "this is not YAML: "+legible(complaint(err)),
			"mend this line or the one above it: indent with spaces, put a colon and a space after each key, close quotes and brackets")
		return nil, false
	case root == nil || isNull(root):
		f.add(scope{}, top, "config-empty", "the file is empty", "upload the .bedrock_agentcore.yaml that `agentcore configure` writes")
		return nil, false
	case root.Kind != yaml.MappingNode:
		f.add(scope{}, place{root.Line, root.Column}, "config-not-a-map", "the file holds "+kindOf(root)+" where a map is needed",
			"begin with agents: and, below it, one entry per agent")
		return nil, false
	}
	c := &checker{file: f, told: make(map[*yaml.Node]bool)}
	if !c.visit(root, 0, scope{agent: legacyLabel(root)}) {
		return nil, false
	}
	return root, true
}

func invalidAt(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}

// agents reads the agents of a file in any of its forms.
func (f *file) agents(root *yaml.Node) []Agent {
	list, ok := lookup(root, "agents")
	if !ok {
		_, named := lookup(root, "name")
		if _, ok := lookup(root, "entrypoint"); !named || !ok {
			f.add(scope{agent: legacyLabel(root)}, place{root.Line, root.Column}, "config-no-agents",
				"the file has no agents key, nor name and entrypoint as a file of one agent in the old form",
				"put the agents under agents:, one entry each")
			return nil
		}
		e := newEntry(f, root, place{root.Line, root.Column}, "")
		e.legacy = true
		return f.good([]Agent{e.read()})
	}
	in := scope{field: "agents"}
	node := resolve(list.value)
	switch {
	case !isNull(node) && node.Kind != yaml.MappingNode:
		f.add(in, list.place(), "config-agents-not-a-map", "agents is "+kindOf(node)+" where a map is needed",
			"write one entry per agent below agents: the agent's name as key, its fields below it")
		return nil
	case isNull(node) || len(node.Content) == 0:
		f.add(in, list.place(), "config-no-agents", "agents has no entry",
			"add an agent; to take the last one away, delete the file")
		return nil
	}
	entries := distinct(pairs(node))
	if len(entries) > maxAgents {
		f.add(in, list.place(), "config-too-many-agents", fmt.Sprintf("the file has %d agents, more than the %d allowed", len(entries), maxAgents),
			"split it into several files")
		return nil
	}
	var agents []Agent
	for _, p := range entries {
		value := resolve(p.value)
		at := place{p.key.Line, p.key.Column}
		if value.Kind != yaml.MappingNode {
			f.add(scope{agent: label(p.key, value)}, at, "agent-not-a-map", "the agent is "+kindOf(value)+" where a map is needed",
				"write its fields below it: name, entrypoint, aws")
			continue
		}
		agents = append(agents, newEntry(f, value, at, label(p.key, value)).read())
	}
	f.checkNames(agents)
	return f.good(agents)
}

// good gives the agents without a fault of their own.
func (f *file) good(agents []Agent) []Agent {
	return slices.DeleteFunc(agents, func(a Agent) bool {
		return a.faulty || slices.ContainsFunc(f.problems, func(p fault.Problem) bool {
			return p.Severity == fault.SeverityError && p.Agent == a.Name // one that was found between agents
		})
	})
}

// errors counts the problems of severity error so far.
func (f *file) errors() int {
	n := 0
	for _, p := range f.problems {
		if p.Severity == fault.SeverityError {
			n++
		}
	}
	return n
}

// checkNames finds agents that would share what must be one agent's own.
func (f *file) checkNames(agents []Agent) {
	for i, a := range agents {
		for _, b := range agents[:i] {
			if a.Name == "" || b.Name == "" {
				continue // reported where the name was read
			}
			if a.Name == b.Name {
				f.problems = append(f.problems, a.Problem("agent-name-duplicate", "name",
					fmt.Sprintf("an agent of this name is already in line %d of the file", b.where("name").line),
					"give one of the two another name, or delete it"))
				break
			}
			if naming.Hash(a.Name) == naming.Hash(b.Name) {
				f.problems = append(f.problems, a.Problem("agent-names-collide", "name",
					fmt.Sprintf("the agents %s and %s would share their roles: the first 10 digits of the SHA-256 of both names are %s", b.Name, a.Name, naming.Hash(a.Name)),
					"rename one of the two"))
				break
			}
			if a.Deployment == Container && b.Deployment == Container && naming.Project(a.Name) == naming.Project(b.Name) {
				f.problems = append(f.problems, a.Problem("agent-names-collide", "name",
					fmt.Sprintf("the agents %s and %s would share the build project %s and the repository %s, since case and runs of _ do not count there",
						b.Name, a.Name, naming.Project(a.Name), naming.Repository(a.Name)),
					"rename one of the two so that they differ in more than case and underscores"))
				break
			}
		}
	}
}

// below gives the scope of a map's value. The entries of the file's agents map
// are agents, and fields are counted from there.
func (f *file) below(in scope, key, value *yaml.Node) scope {
	if in == (scope{field: "agents"}) {
		return scope{agent: label(resolve(key), resolve(value))}
	}
	return in.key(resolve(key).Value)
}

// label says which agent a problem is about, also where the name is unusable:
// the name, else the key it stands under. It reads no merged keys, since the
// tree may not be checked yet.
func label(key, value *yaml.Node) string {
	if name := ownText(value, "name"); name != "" {
		return legible(name)
	}
	return legible(key.Value)
}

// legacyLabel is label for a file of one agent in the old form, "" for others.
func legacyLabel(root *yaml.Node) string {
	if own(root, "agents") != nil {
		return ""
	}
	return legible(ownText(root, "name"))
}

func ownText(m *yaml.Node, key string) string {
	v := own(m, key)
	if v == nil || v.Kind != yaml.ScalarNode || isNull(v) {
		return ""
	}
	return strings.TrimSpace(v.Value)
}

func own(m *yaml.Node, key string) *yaml.Node {
	if m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if k := m.Content[i]; k.Kind == yaml.ScalarNode && k.Value == key {
			return resolve(m.Content[i+1])
		}
	}
	return nil
}
