package awsfake

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// build is a build with what decides when it ends by itself.
type build struct {
	types.Build
	queued  bool
	left    time.Time // when it left the queue
	outcome Outcome
}

// Outcome is how a build goes on once it has left the queue.
type Outcome struct {
	// After is for how long it runs; it runs until FinishBuild when this is
	// negative.
	After   time.Duration
	State   types.StatusType     // SUCCEEDED when empty
	Phase   types.BuildPhaseType // the phase that does not succeed: BUILD when empty, or the present one of what did not fail
	Message string               // of that phase: CODE: text
}

type startToken struct {
	request string // the whole of it
	id      string // of the build
	at      time.Time
}

// tokenTime is for how long a token is known (API reference, StartBuild).
const tokenTime = 5 * time.Minute

// LimitBuilds sets how many builds run at the same time. Five times as many wait
// in the queue (user guide, "Builds in AWS CodeBuild"); more are refused.
func (c *Cloud) LimitBuilds(concurrent int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.builds.limit = concurrent
	c.dispatch()
}

// ScaleBuildTimes multiplies the time for which a token is known, and that after
// which a build is ended.
func (c *Cloud) ScaleBuildTimes(by float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.builds.scale = by
}

// RunBuilds has f say how builds go when they leave the queue. Without it they
// run until FinishBuild. f must not use the Cloud.
func (c *Cloud) RunBuilds(f func(types.Build) Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.builds.run = f
}

// Builds gives all builds in the order in which they were started.
func (c *Cloud) Builds() []types.Build {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []types.Build
	for _, b := range c.builds.builds {
		all = append(all, copied(b.Build))
	}
	return all
}

// PendingBuilds gives the number of builds that wait or run.
func (c *Cloud) PendingBuilds() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting, running := c.builds.count()
	return waiting + running
}

// EnterPhase ends the phase that a running build is in and begins another one.
func (c *Cloud) EnterPhase(id string, phase types.BuildPhaseType) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.builds.find(id); i >= 0 && !c.builds.builds[i].BuildComplete && !c.builds.builds[i].queued {
		c.enter(&c.builds.builds[i], phase)
	}
}

// FailPhase ends the phase that a running build is in, which goes on with
// another one; FinishBuild with state FAILED then needs no phase.
func (c *Cloud) FailPhase(id, message string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.builds.find(id); i >= 0 && !c.builds.builds[i].BuildComplete && !c.builds.builds[i].queued {
		b := &c.builds.builds[i]
		b.Phases = slices.Clone(b.Phases)
		c.endPhase(b, types.StatusTypeFailed, message)
	}
}

// FinishBuild ends a build now, whether it waits or runs; After is not looked at.
// It reports whether it did: a build that has ended stays as it is.
func (c *Cloud) FinishBuild(id string, o Outcome) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.builds.find(id)
	if i < 0 || c.builds.builds[i].BuildComplete {
		return false
	}
	c.finish(i, o)
	return true
}

// NextBuild gives when the next build ends by itself, and whether any will.
func (c *Cloud) NextBuild() (at time.Time, any bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, at, _, any = c.builds.next()
	return at, any
}

// pass lets time pass until a build ends by itself, and then on.
func (c *Cloud) pass(until time.Time) {
	for {
		at, end := c.nextEnd()
		if end == nil || at.After(until) {
			break
		}
		if at.After(c.now) {
			c.now = at
		}
		end()
	}
	c.now = until
}

// nextEnd gives what ends first by itself in any Region, and when; nil for nothing.
func (c *Cloud) nextEnd() (first time.Time, end func()) {
	for _, r := range c.regions() {
		if i, at, o, any := r.builds.next(); any && (end == nil || at.Before(first)) {
			first, end = at, func() { r.finish(i, o) }
		}
	}
	if at, pending := c.linked.nextEnd(); pending && (end == nil || at.Before(first)) {
		first, end = at, c.endDeletions
	}
	return first, end
}

// next gives which build ends first by itself, when and how.
func (s *codeBuild) next() (first int, at time.Time, o Outcome, any bool) {
	for i, b := range s.builds {
		if b.BuildComplete {
			continue
		}
		ends, how := s.end(b)
		if !any || ends.Before(at) {
			first, at, o, any = i, ends, how, true
		}
	}
	return first, at, o, any
}

func (s *codeBuild) end(b build) (time.Time, Outcome) {
	if b.queued {
		return b.StartTime.Add(s.scaled(minutes(b.QueuedTimeoutInMinutes))), Outcome{State: types.StatusTypeTimedOut}
	}
	timeout := s.scaled(minutes(b.TimeoutInMinutes))
	if b.outcome.After >= 0 && b.outcome.After <= timeout {
		return b.left.Add(b.outcome.After), b.outcome
	}
	return b.left.Add(timeout), Outcome{State: types.StatusTypeTimedOut}
}

func (s *codeBuild) scaled(d time.Duration) time.Duration { return time.Duration(float64(d) * s.scale) }

func minutes(n *int32) time.Duration { return time.Duration(*n) * time.Minute }

func (s *codeBuild) find(id string) int {
	return slices.IndexFunc(s.builds, func(b build) bool { return *b.Id == id })
}

// dispatch lets builds leave the queue while there is room. AWS's order cannot be
// predicted; here it is that of their start.
func (c *Cloud) dispatch() {
	s := c.builds
	waiting, running := s.count()
	for i := range s.builds {
		b := &s.builds[i]
		if !b.queued || b.BuildComplete {
			continue
		}
		if waiting == 0 || running >= s.limit {
			return
		}
		waiting, running = waiting-1, running+1
		b.queued, b.left, b.outcome = false, c.now, Outcome{After: -1}
		c.use(aws.ToString(b.ServiceRole)) // from here to its end
		c.enter(b, types.BuildPhaseTypeProvisioning)
		if s.run != nil {
			b.outcome = s.run(copied(b.Build))
		}
	}
}

func (s *codeBuild) count() (waiting, running int) {
	for _, b := range s.builds {
		switch {
		case b.BuildComplete:
		case b.queued:
			waiting++
		default:
			running++
		}
	}
	return waiting, running
}

// enter ends the present phase and begins another.
func (c *Cloud) enter(b *build, phase types.BuildPhaseType) {
	b.Phases = slices.Clone(b.Phases)
	c.endPhase(b, types.StatusTypeSucceeded, "")
	b.Phases = append(b.Phases, types.BuildPhase{PhaseType: phase, StartTime: aws.Time(c.now)})
	b.CurrentPhase = aws.String(string(phase))
	if phase == types.BuildPhaseTypeProvisioning {
		b.Logs = c.logsOf(b.Build)
	}
}

func (c *Cloud) endPhase(b *build, status types.StatusType, message string) {
	if len(b.Phases) == 0 || b.Phases[len(b.Phases)-1].EndTime != nil {
		return
	}
	p := &b.Phases[len(b.Phases)-1]
	p.PhaseStatus, p.EndTime = status, aws.Time(c.now)
	p.DurationInSeconds = aws.Int64(int64(c.now.Sub(*p.StartTime) / time.Second))
	if p.PhaseType != types.BuildPhaseTypeSubmitted && p.PhaseType != types.BuildPhaseTypeQueued || message != "" {
		code, text, found := strings.Cut(message, ": ")
		if !found {
			code, text = "", message
		}
		p.Contexts = []types.PhaseContext{{StatusCode: &code, Message: &text}}
	}
}

// phases are those of a build, in order (user guide, "Build phase transitions").
func phases() []types.BuildPhaseType {
	return []types.BuildPhaseType{
		types.BuildPhaseTypeSubmitted, types.BuildPhaseTypeQueued, types.BuildPhaseTypeProvisioning, types.BuildPhaseTypeDownloadSource,
		types.BuildPhaseTypeInstall, types.BuildPhaseTypePreBuild, types.BuildPhaseTypeBuild, types.BuildPhaseTypePostBuild,
		types.BuildPhaseTypeUploadArtifacts, types.BuildPhaseTypeFinalizing, types.BuildPhaseTypeCompleted,
	}
}

// finish ends a build through all phases that come before its end.
func (c *Cloud) finish(i int, o Outcome) {
	b := &c.builds.builds[i]
	if o.State == "" {
		o.State = types.StatusTypeSucceeded
	}
	now, status := types.BuildPhaseType(*b.CurrentPhase), o.State
	failed := slices.ContainsFunc(b.Phases, func(p types.BuildPhase) bool { return p.PhaseStatus == types.StatusTypeFailed })
	switch {
	case failed && o.State == types.StatusTypeFailed:
		o.Phase, status = now, types.StatusTypeSucceeded
	case o.State == types.StatusTypeSucceeded:
		o.Phase = types.BuildPhaseTypeCompleted
	case o.Phase == "" && o.State == types.StatusTypeFailed:
		o.Phase = types.BuildPhaseTypeBuild
	}
	all := phases()
	if slices.Index(all, o.Phase) < slices.Index(all, now) { // what is over has succeeded
		o.Phase = now
	}
	for _, next := range all[slices.Index(all, now)+1:] {
		if slices.Index(all, next) > slices.Index(all, o.Phase) {
			break
		}
		c.enter(b, next)
	}
	if o.State != types.StatusTypeSucceeded {
		b.Phases = slices.Clone(b.Phases)
		c.endPhase(b, status, o.Message)
		for _, next := range afterFailure(o) {
			b.Phases = append(b.Phases, types.BuildPhase{PhaseType: next, StartTime: aws.Time(c.now)})
			b.CurrentPhase = aws.String(string(next))
			if next != types.BuildPhaseTypeCompleted {
				c.endPhase(b, types.StatusTypeSucceeded, "")
			}
		}
	}
	if !b.queued {
		c.use(aws.ToString(b.ServiceRole))
	}
	b.BuildComplete, b.BuildStatus, b.EndTime, b.queued = true, o.State, aws.Time(c.now), false
	c.tell(b.Build)
	c.dispatch()
}

// afterFailure gives the phases that follow one that did not succeed.
func afterFailure(o Outcome) []types.BuildPhaseType {
	last := []types.BuildPhaseType{types.BuildPhaseTypeCompleted}
	if o.State != types.StatusTypeFailed {
		return last
	}
	switch o.Phase {
	case types.BuildPhaseTypeDownloadSource, types.BuildPhaseTypeInstall, types.BuildPhaseTypePreBuild, types.BuildPhaseTypeUploadArtifacts:
		return phases()[9:]
	case types.BuildPhaseTypeBuild:
		return phases()[7:]
	case types.BuildPhaseTypePostBuild:
		return phases()[8:]
	default:
		return last
	}
}

// StartBuild is codebuild:StartBuild, with overrides of variables alone.
func (b *CodeBuild) StartBuild(_ context.Context, in *codebuild.StartBuildInput, _ ...func(*codebuild.Options)) (*codebuild.StartBuildOutput, error) {
	var out codebuild.StartBuildOutput
	return &out, b.call("StartBuild", aws.ToString(in.ProjectName), func(s *codeBuild) error {
		c, in := b.cloud, copied(*in)
		p, err := c.project(aws.ToString(in.ProjectName))
		if err != nil {
			return err
		}
		if err := onlyKnown(in); err != nil {
			return err
		}
		request, token := string(must(json.Marshal(in))), aws.ToString(in.IdempotencyToken)
		if t, known := s.tokens[token]; known && token != "" && c.now.Sub(t.at) < s.scaled(tokenTime) {
			if t.request != request {
				return invalidInput("The idempotency token %s was used with other parameters", token) // the API reference names no code
			}
			out.Build = new(copied(s.builds[s.find(t.id)].Build))
			return nil
		}
		if err := c.assumable(p); err != nil {
			return err
		}
		if waiting, running := s.count(); running >= s.limit && waiting >= 5*s.limit {
			return &types.AccountLimitExceededException{Message: aws.String(fmt.Sprintf("Cannot have more than %d builds in queue for the account", s.limit))}
		}
		started := c.begin(p, in, b.caller)
		if token != "" {
			s.tokens[token] = startToken{request, *started.Id, c.now}
		}
		s.builds = append(s.builds, started)
		c.tell(started.Build)
		out.Build = new(copied(started.Build))
		c.dispatch()
		return nil
	})
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

// onlyKnown refuses what this fake would not act on.
func onlyKnown(in codebuild.StartBuildInput) error {
	in.ProjectName, in.SourceVersion, in.IdempotencyToken = nil, nil, nil
	variables := in.EnvironmentVariablesOverride
	in.EnvironmentVariablesOverride = nil
	if given := string(must(json.Marshal(in))); given != string(must(json.Marshal(codebuild.StartBuildInput{}))) {
		return APIError("NotImplemented", "this fake knows overrides of the source version and of variables, not of "+given)
	}
	return validVariables(variables)
}

// begin makes a build that is in the queue.
func (c *Cloud) begin(p types.Project, in codebuild.StartBuildInput, caller string) build {
	n := c.next()
	p = copied(p)
	id := fmt.Sprintf("%s:%08x-0000-4000-8000-%012x", *p.Name, n, n)
	number := int64(1)
	for _, b := range c.builds.builds {
		if *b.ProjectName == *p.Name {
			number++
		}
	}
	for _, v := range in.EnvironmentVariablesOverride {
		at := slices.IndexFunc(p.Environment.EnvironmentVariables, func(old types.EnvironmentVariable) bool { return *old.Name == *v.Name })
		if at >= 0 {
			p.Environment.EnvironmentVariables[at] = v
		} else {
			p.Environment.EnvironmentVariables = append(p.Environment.EnvironmentVariables, v)
		}
	}
	if in.SourceVersion == nil {
		in.SourceVersion = p.SourceVersion
	}
	b := build{queued: true, Build: types.Build{
		Id: &id, Arn: aws.String(c.codeBuildARN("build", id)), BuildNumber: &number, ProjectName: p.Name, Initiator: &caller,
		BuildStatus: types.StatusTypeInProgress, StartTime: aws.Time(c.now), SourceVersion: in.SourceVersion, Source: p.Source,
		Artifacts: &types.BuildArtifacts{Location: aws.String("")}, Cache: p.Cache, Environment: p.Environment, ServiceRole: p.ServiceRole,
		EncryptionKey: p.EncryptionKey, VpcConfig: p.VpcConfig, TimeoutInMinutes: p.TimeoutInMinutes, QueuedTimeoutInMinutes: p.QueuedTimeoutInMinutes,
		// There is no stream yet, and a link that leads nowhere.
		Logs: &types.LogsLocation{DeepLink: aws.String(c.console() + "#logEvent:group=null;stream=null"), CloudWatchLogs: p.LogsConfig.CloudWatchLogs},
	}}
	c.enter(&b, types.BuildPhaseTypeSubmitted)
	c.enter(&b, types.BuildPhaseTypeQueued)
	return b
}

func (c *Cloud) console() string {
	return "https://console.aws.amazon.com/cloudwatch/home?region=" + c.Region
}

// logsOf gives where a build that has left the queue writes to.
func (c *Cloud) logsOf(b types.Build) *types.LogsLocation {
	group, stream := "/aws/codebuild/"+*b.ProjectName, (*b.Id)[strings.LastIndexByte(*b.Id, ':')+1:]
	config := b.Logs.CloudWatchLogs
	if config != nil && config.GroupName != nil {
		group = *config.GroupName
	}
	return &types.LogsLocation{
		GroupName: &group, StreamName: &stream, CloudWatchLogs: config,
		CloudWatchLogsArn: aws.String("arn:" + c.Partition + ":logs:" + c.Region + ":" + c.Account + ":log-group:" + group + ":log-stream:" + stream),
		DeepLink:          aws.String(c.console() + "#logsV2:log-groups/log-group/" + strings.ReplaceAll(group, "/", "$252F") + "/log-events/" + stream),
	}
}

// StopBuild is codebuild:StopBuild.
func (b *CodeBuild) StopBuild(_ context.Context, in *codebuild.StopBuildInput, _ ...func(*codebuild.Options)) (*codebuild.StopBuildOutput, error) {
	var out codebuild.StopBuildOutput
	return &out, b.call("StopBuild", projectOf(aws.ToString(in.Id)), func(s *codeBuild) error {
		i := s.find(aws.ToString(in.Id))
		if i < 0 {
			return &types.ResourceNotFoundException{Message: aws.String("Build " + aws.ToString(in.Id) + " cannot be found")}
		}
		if !s.builds[i].BuildComplete {
			b.cloud.finish(i, Outcome{State: types.StatusTypeStopped})
		}
		out.Build = new(copied(s.builds[i].Build))
		return nil
	})
}

// projectOf gives the project of a build by its id.
func projectOf(id string) string { return id[:max(strings.LastIndexByte(id, ':'), 0)] }

// BatchGetBuilds is codebuild:BatchGetBuilds, by ids or ARNs.
func (b *CodeBuild) BatchGetBuilds(_ context.Context, in *codebuild.BatchGetBuildsInput, _ ...func(*codebuild.Options)) (*codebuild.BatchGetBuildsOutput, error) {
	var out codebuild.BatchGetBuildsOutput
	var of []string
	for _, id := range in.Ids {
		if p := projectOf(id); !slices.Contains(of, p) {
			of = append(of, p)
		}
	}
	return &out, b.call("BatchGetBuilds", strings.Join(of, ","), func(s *codeBuild) error {
		if err := batch(in.Ids); err != nil {
			return err
		}
		for _, id := range in.Ids {
			if i := s.find(strings.TrimPrefix(id, b.cloud.codeBuildARN("build", ""))); i >= 0 {
				out.Builds = append(out.Builds, copied(s.builds[i].Build))
			} else {
				out.BuildsNotFound = append(out.BuildsNotFound, id)
			}
		}
		return nil
	})
}

// ListBuildsForProject is codebuild:ListBuildsForProject.
func (b *CodeBuild) ListBuildsForProject(_ context.Context, in *codebuild.ListBuildsForProjectInput, _ ...func(*codebuild.Options)) (*codebuild.ListBuildsForProjectOutput, error) {
	var out codebuild.ListBuildsForProjectOutput
	return &out, b.call("ListBuildsForProject", aws.ToString(in.ProjectName), func(s *codeBuild) error {
		if _, err := b.cloud.project(aws.ToString(in.ProjectName)); err != nil {
			return err
		}
		var ids []string
		for _, one := range s.builds {
			if *one.ProjectName == *in.ProjectName {
				ids = append(ids, *one.Id)
			}
		}
		const page = 100
		if len(ids) > page && in.SortOrder != "" { // API reference, sortOrder
			return invalidInput("a project with more than %d builds cannot be sorted", page)
		}
		if in.SortOrder != types.SortOrderTypeAscending {
			slices.Reverse(ids)
		}
		from := 0
		if in.NextToken != nil {
			n, err := strconv.Atoi(*in.NextToken)
			if err != nil || n < 0 || n > len(ids) {
				return invalidInput("Invalid nextToken")
			}
			from = n
		}
		to := min(from+page, len(ids))
		if to < len(ids) {
			out.NextToken = aws.String(strconv.Itoa(to))
		}
		out.Ids = ids[from:to]
		return nil
	})
}
