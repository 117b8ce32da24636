package awsfake

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// BuildEvent is CodeBuild's event about a change of a build's state.
type BuildEvent struct {
	Build     types.Build
	Time      time.Time
	Resources []string
	Detail    json.RawMessage
}

// What is said of every BuildEvent.
const (
	BuildEventSource     = "aws.codebuild"
	BuildEventDetailType = "CodeBuild Build State Change"
)

// NotifyBuilds sends every event about a build to a queue, as a rule of
// EventBridge with that queue as target does.
func (c *Cloud) NotifyBuilds(queueURL string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.builds.queues = append(c.builds.queues, queueURL)
}

// WatchBuilds calls f with every event about a build, one after the other. f must
// not use the Cloud. A clone is not watched.
func (c *Cloud) WatchBuilds(f func(BuildEvent)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.builds.watch = f
}

// tell sends the event about a build's state.
func (c *Cloud) tell(b types.Build) {
	e := BuildEvent{Build: copied(b), Time: c.now, Resources: []string{*b.Arn}, Detail: must(json.Marshal(detail(b)))}
	if c.builds.watch != nil {
		c.builds.watch(e)
	}
	for _, url := range c.builds.queues {
		body := must(json.Marshal(map[string]any{
			"version": "0", "id": fmt.Sprintf("event-%06d", c.next()), "source": BuildEventSource, "detail-type": BuildEventDetailType,
			"account": c.Account, "region": c.Region, "time": e.Time.Format(time.RFC3339), "resources": e.Resources, "detail": e.Detail,
		}))
		q, ok := c.queues[url]
		if !ok {
			panic("no queue " + url) // the test's own mistake
		}
		q.add(c, message{body: string(body)})
	}
}

// eventTime is how CodeBuild's events write times.
func eventTime(t time.Time) string { return t.UTC().Format("Jan 2, 2006 3:04:05 PM") }

// detail gives the detail of the event (user guide, "Build notifications input
// format reference").
func detail(b types.Build) map[string]any {
	more := map[string]any{
		"timeout-in-minutes": *b.TimeoutInMinutes, "build-complete": b.BuildComplete, "build-number": *b.BuildNumber, "initiator": *b.Initiator,
		"build-start-time": eventTime(*b.StartTime), "source": map[string]any{"location": aws.ToString(b.Source.Location), "type": b.Source.Type},
		"artifact": map[string]any{"location": aws.ToString(b.Artifacts.Location)},
		"environment": map[string]any{
			"image": aws.ToString(b.Environment.Image), "privileged-mode": aws.ToBool(b.Environment.PrivilegedMode),
			"compute-type": b.Environment.ComputeType, "type": b.Environment.Type, "environment-variables": eventVariables(b),
		},
		"phases": eventPhases(b),
	}
	if b.SourceVersion != nil {
		more["source-version"] = *b.SourceVersion
	}
	logs := map[string]any{"deep-link": aws.ToString(b.Logs.DeepLink)}
	if b.Logs.StreamName != nil {
		logs["group-name"], logs["stream-name"] = *b.Logs.GroupName, *b.Logs.StreamName
	}
	more["logs"] = logs
	phase := *b.CurrentPhase
	if !b.BuildComplete {
		phase = string(types.BuildPhaseTypeSubmitted) // it is told of as soon as it is submitted
	}
	return map[string]any{
		"build-status": b.BuildStatus, "project-name": *b.ProjectName, "build-id": *b.Arn, "additional-information": more,
		"current-phase": phase, "current-phase-context": "[]", "version": "1",
	}
}

func eventVariables(b types.Build) []map[string]any {
	list := []map[string]any{}
	for _, v := range b.Environment.EnvironmentVariables {
		list = append(list, map[string]any{"name": *v.Name, "value": *v.Value, "type": v.Type})
	}
	return list
}

func eventPhases(b types.Build) []map[string]any {
	var list []map[string]any
	for _, p := range b.Phases {
		e := map[string]any{"phase-type": p.PhaseType, "start-time": eventTime(*p.StartTime)}
		if p.EndTime != nil {
			texts := []string{}
			for _, c := range p.Contexts {
				texts = append(texts, aws.ToString(c.StatusCode)+": "+aws.ToString(c.Message))
			}
			e["end-time"], e["duration-in-seconds"], e["phase-status"], e["phase-context"] = eventTime(*p.EndTime), *p.DurationInSeconds, p.PhaseStatus, texts
		}
		list = append(list, e)
	}
	return list
}
