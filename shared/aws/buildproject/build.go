package buildproject

import (
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"rolekeeper/shared/model"
)

// build tells what is known of a build.
func build(b types.Build) model.Build {
	out := model.Build{
		ID: aws.ToString(b.Id), Project: aws.ToString(b.ProjectName), SourceVersion: aws.ToString(b.SourceVersion),
		State: state(b), Started: aws.ToTime(b.StartTime),
	}
	if b.Environment != nil {
		out.Identity, out.Request, out.Repository = value(b.Environment, identity), value(b.Environment, request), value(b.Environment, model.RepositoryVariable)
	}
	// A build has a link from the start, but until it has left the queue there is
	// nothing that it leads to.
	if l := b.Logs; l != nil && aws.ToString(l.StreamName) != "" {
		out.LogURL = aws.ToString(l.DeepLink)
	}
	if out.State.Ended() && out.State != model.BuildSucceeded {
		out.Message = failure(b)
	}
	return out
}

// value gives a variable in plain text, empty when there is none.
func value(e *types.ProjectEnvironment, name string) string {
	for _, v := range e.EnvironmentVariables {
		if aws.ToString(v.Name) == name && (v.Type == "" || v.Type == types.EnvironmentVariableTypePlaintext) {
			return aws.ToString(v.Value)
		}
	}
	return ""
}

// state tells where a build stands. Of a status that nobody has heard of only
// this is known: whether anything more happens.
func state(b types.Build) model.BuildState {
	switch b.BuildStatus {
	case types.StatusTypeInProgress:
		return model.BuildInProgress
	case types.StatusTypeSucceeded:
		return model.BuildSucceeded
	case types.StatusTypeFailed:
		return model.BuildFailed
	case types.StatusTypeFault:
		return model.BuildFault
	case types.StatusTypeTimedOut:
		return model.BuildTimedOut
	case types.StatusTypeStopped:
		return model.BuildStopped
	}
	if b.BuildComplete {
		return model.BuildFailed
	}
	return model.BuildInProgress
}

// failure gives the first phase that did not succeed with its last message:
// later ones fail for that reason. Phases have statuses that the API reference
// does not list, such as CLIENT_ERROR.
func failure(b types.Build) string {
	for _, p := range b.Phases {
		switch p.PhaseStatus {
		case "", types.StatusTypeSucceeded, types.StatusTypeInProgress:
			continue
		}
		what := string(p.PhaseStatus)
		for _, c := range p.Contexts {
			code, message := aws.ToString(c.StatusCode), aws.ToString(c.Message)
			switch {
			case code != "" && message != "":
				what = code + ": " + message
			case code+message != "":
				what = code + message
			}
		}
		return string(p.PhaseType) + ": " + clip(what)
	}
	return string(b.BuildStatus)
}

// Longest message that is kept, in characters: a command may be a script. How it
// ended is at the end.
const (
	keptHead = 300
	keptTail = 100
)

// clip puts a text on one line of bounded length.
func clip(text string) string {
	legible := func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}
	line := []rune(strings.Join(strings.Fields(strings.Map(legible, text)), " "))
	if len(line) <= keptHead+keptTail {
		return string(line)
	}
	return string(line[:keptHead]) + " … " + string(line[len(line)-keptTail:])
}
