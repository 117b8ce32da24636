package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"rolekeeper/shared/model"
	"rolekeeper/shared/policy"
)

// exact writes a shell script with which an administrator puts a role back as it
// was archived, whatever Rolekeeper makes of it.
func (p program) exact(s stack, r restoring, damaged error) error {
	a := r.from
	refusals := r.Plan().Refusals
	commands, err := s.account.exactly(a.Role, r.Observed)
	if err != nil {
		return fmt.Errorf("%s: %w", a.key, err)
	}
	note := func(format string, args ...any) { p.stdout.line("# "+format, args...) }
	note("%s", a.text())
	note("Others wrote what is in this: read it before you run it.")
	if damaged != nil {
		note("Left out: %s", oneLine(damaged))
	}
	if len(refusals) == 0 {
		note("Rolekeeper does the same: leave out --exact.")
	}
	for _, f := range refusals {
		note("Rolekeeper does not do it: %s [%s].", f.Message, f.Kind)
	}
	for _, n := range r.Notes() {
		note("%s", n)
	}
	if r.Observed == nil {
		note("The role is then nobody's until `rolekeeper adopt %s %s`, which puts on it what all roles have; one with a trust beyond the service is never adopted.", a.Config, a.Agent)
	} else {
		note("There is a role of that name: these commands change it. While it is Rolekeeper's and its agent active, the next look takes that for drift and undoes it.")
	}
	if len(commands) == 0 {
		note("The role is so already.")
	}
	for _, c := range commands {
		p.stdout.line("%s", c)
	}
	return nil
}

// exactly gives the commands that make a role as it was, or change the one that
// is there. Documents and free text go as JSON: the AWS CLI takes a text that
// begins with file:// for the name of a file.
func (a account) exactly(was model.ObservedRole, is *model.ObservedRole) ([]string, error) {
	c := commands{account: a, role: was.Name}
	trust := c.document("trust policy", was.Trust)
	tags := maps.Clone(was.Tags)
	maps.DeleteFunc(tags, func(k, _ string) bool { return model.SystemTag(k) })
	settings := []string{"--max-session-duration", strconv.Itoa(int(was.MaxSessionDuration)), "--cli-input-json", c.json(map[string]string{"Description": was.Description})}
	if is == nil {
		create := append([]string{"--path", cmp.Or(was.Path, "/"), "--assume-role-policy-document", trust}, settings...)
		if was.PermissionsBoundary != "" {
			create = append(create, "--permissions-boundary", was.PermissionsBoundary)
		}
		if len(tags) > 0 {
			create = append(create, "--tags", c.tags(tags))
		}
		c.add("create-role", create...)
		is = &model.ObservedRole{Trust: was.Trust, PermissionsBoundary: was.PermissionsBoundary, Tags: tags, Description: was.Description, MaxSessionDuration: was.MaxSessionDuration}
	}
	switch {
	case was.PermissionsBoundary == is.PermissionsBoundary:
	case was.PermissionsBoundary == "":
		c.add("delete-role-permissions-boundary")
	default:
		c.add("put-role-permissions-boundary", "--permissions-boundary", was.PermissionsBoundary)
	}
	if !policy.Same(was.Trust, is.Trust) {
		c.add("update-assume-role-policy", "--policy-document", trust)
	}
	c.inline(was, *is)
	c.attached(was, *is)
	c.retag(tags, is.Tags)
	if was.Description != is.Description || was.MaxSessionDuration != is.MaxSessionDuration {
		c.add("update-role", settings...)
	}
	return c.lines, c.err
}

// commands gathers commands of the AWS CLI about one role. It keeps the first error.
type commands struct {
	account
	role  string
	lines []string
	err   error
}

func (c *commands) add(operation string, words ...string) {
	c.lines = append(c.lines, c.command(append([]string{"iam", operation, "--role-name", c.role}, words...)...))
}

// inline writes what changes a role's inline policies. What goes makes room: IAM
// bounds what a role has together.
func (c *commands) inline(was, is model.ObservedRole) {
	for _, name := range slices.Sorted(maps.Keys(is.Policies)) {
		if _, wanted := was.Policies[name]; !wanted {
			c.add("delete-role-policy", "--policy-name="+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was.Policies)) {
		if !policy.Same(was.Policies[name], is.Policies[name]) {
			c.add("put-role-policy", "--policy-name="+name, "--policy-document", c.document("policy "+name, was.Policies[name]))
		}
	}
}

func (c *commands) attached(was, is model.ObservedRole) {
	for _, arn := range is.Attached {
		if !slices.Contains(was.Attached, arn) {
			c.add("detach-role-policy", "--policy-arn", arn)
		}
	}
	for _, arn := range was.Attached {
		if !slices.Contains(is.Attached, arn) {
			c.add("attach-role-policy", "--policy-arn", arn)
		}
	}
}

func (c *commands) retag(tags, is map[string]string) {
	var surplus []string
	for _, k := range slices.Sorted(maps.Keys(is)) {
		if _, wanted := tags[k]; !wanted && !model.SystemTag(k) {
			surplus = append(surplus, k)
		}
	}
	if len(surplus) > 0 {
		c.add("untag-role", "--tag-keys", c.json(surplus))
	}
	missing := maps.Clone(tags)
	maps.DeleteFunc(missing, func(k, v string) bool { is, there := is[k]; return there && is == v })
	if len(missing) > 0 {
		c.add("tag-role", "--tags", c.tags(missing))
	}
}

// document gives a policy document in one line.
func (c *commands) document(what, raw string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(raw)); err != nil && c.err == nil {
		c.err = fmt.Errorf("%s: %w", what, err)
	}
	return string(escapeJSON(b.Bytes()))
}

// tags gives tags as the AWS CLI takes them.
func (c *commands) tags(tags map[string]string) string {
	type tag struct{ Key, Value string }
	list := []tag{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, tag{k, tags[k]})
	}
	return c.json(list)
}

func (c *commands) json(v any) string {
	text, err := json.Marshal(v)
	if c.err == nil {
		c.err = err
	}
	return string(escapeJSON(text))
}
