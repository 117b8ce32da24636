package main

import (
	"fmt"
	"os"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/settings"
)

// readParameters reads a file of the parameters of a stack in the place; no file
// gives the defaults.
func readParameters(file string, place agent.Place) (settings.Parameters, error) {
	if file == "" {
		return settings.ParseParameters(nil, place)
	}
	data, err := os.ReadFile(file) //nolint:gosec // the user names the file
	if err != nil {
		return settings.Parameters{}, fmt.Errorf("read settings: %w", err)
	}
	p, err := settings.ParseParameters(data, place)
	if err != nil {
		return settings.Parameters{}, fmt.Errorf("settings %s: %w", file, err)
	}
	return p, nil
}

// beyondLists gives what the config asks for beyond the stack's allow lists:
// problems by the lists that the file gives. The stack's other lists are not
// known: beyond their defaults there are notes, by the agent's name.
func beyondLists(params settings.Parameters, cfg agent.Config) (problems []fault.Problem, notes map[string][]string) {
	assumed := params.Allowed.Only(func(parameter string) bool { return !params.Given(parameter) })
	return params.Allowed.Only(params.Given).Check(cfg), assumed.Notes(cfg)
}
