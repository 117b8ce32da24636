package agent

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Declared gives the accounts and the regions that the agents of a config name,
// each once, in the file's order; what cannot be an account or a region is left
// out. It is not ok when the file has no agent to look at: Parse then says why,
// whatever the place.
func Declared(data []byte) (accounts, regions []string, ok bool) {
	f := &file{} // its problems are for Parse to tell
	root, ok := f.tree(data)
	if !ok {
		return nil, nil, false
	}
	entries := f.entries(root)
	for _, n := range entries {
		e := newEntry(f, n, place{}, "")
		aws := e.section(e.root, "aws")
		accounts = collect(accounts, e.child(aws, "account"), accountID().MatchString)
		regions = collect(regions, e.child(aws, "region"), regionID().MatchString)
	}
	return accounts, regions, len(entries) > 0
}

// entries gives the maps that Parse reads agents from.
func (f *file) entries(root *yaml.Node) []*yaml.Node {
	list, ok := lookup(root, "agents")
	if !ok {
		_, named := lookup(root, "name")
		if _, ok := lookup(root, "entrypoint"); !named || !ok {
			return nil
		}
		return []*yaml.Node{root}
	}
	node := resolve(list.value)
	if node.Kind != yaml.MappingNode {
		return nil
	}
	var all []*yaml.Node
	for _, p := range distinct(pairs(node)) {
		if v := resolve(p.value); v.Kind == yaml.MappingNode {
			all = append(all, v)
		}
	}
	return all
}

// collect adds the text of f when it is valid and not there yet.
func collect(all []string, f field, valid func(string) bool) []string {
	if f.node == nil || f.node.Kind != yaml.ScalarNode || !valid(f.node.Value) || slices.Contains(all, f.node.Value) {
		return all
	}
	return append(all, f.node.Value)
}

// Check says what is wrong with the place, nil when nothing is.
func (p Place) Check() error {
	switch {
	case !accountID().MatchString(p.Account):
		return fmt.Errorf("%s is not an account number, which has 12 digits", quoted(p.Account))
	case !regionID().MatchString(p.Region):
		return fmt.Errorf("%s is not the name of a Region", quoted(p.Region))
	}
	return nil
}
