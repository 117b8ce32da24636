package awsfake_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolekeeper/shared/awsfake"
)

const builder = "builder"

func trustFor(source string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole",` +
		`"Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"},"ArnEquals":{"aws:SourceArn":"` + source + `"}}}]}`
}

func makeRole(t *testing.T, c *awsfake.Cloud, name, trust string) (arn string) {
	t.Helper()
	out, err := c.IAM("t").CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Role.Arn
}

func projectInput(name, role string) *codebuild.CreateProjectInput {
	return &codebuild.CreateProjectInput{
		Name: &name, ServiceRole: &role, Artifacts: &types.ProjectArtifacts{Type: types.ArtifactsTypeNoArtifacts},
		Source: &types.ProjectSource{Type: types.SourceTypeS3, Location: aws.String("sources/agent/source.zip"), Buildspec: aws.String("version: 0.2")},
		Environment: &types.ProjectEnvironment{
			Type: types.EnvironmentTypeArmContainer, ComputeType: types.ComputeTypeBuildGeneral1Medium, Image: aws.String("image"),
			EnvironmentVariables: []types.EnvironmentVariable{{Name: aws.String("A"), Value: aws.String("project's"), Type: types.EnvironmentVariableTypePlaintext}},
		},
	}
}

// builds is an account with one project.
func builds(t *testing.T) *awsfake.Cloud {
	t.Helper()
	c := awsfake.New()
	role := makeRole(t, c, "role", trustFor("arn:aws:codebuild:us-east-1:123456789012:project/"+builder))
	if _, err := c.CodeBuild("t").CreateProject(t.Context(), projectInput(builder, role)); err != nil {
		t.Fatal(err)
	}
	return c
}

func start(t *testing.T, c *awsfake.Cloud) (id string) {
	t.Helper()
	out, err := c.CodeBuild("t").StartBuild(t.Context(), &codebuild.StartBuildInput{ProjectName: aws.String(builder)})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Build.Id
}

func states(c *awsfake.Cloud) string {
	var all []string
	for _, b := range c.Builds() {
		all = append(all, fmt.Sprintf("%s %s", b.BuildStatus, *b.CurrentPhase))
	}
	return strings.Join(all, ", ")
}

func TestABuildRunsUntilItIsFinished(t *testing.T) {
	c := builds(t)
	id := start(t, c)
	c.Advance(59 * time.Minute)
	if got := states(c); got != "IN_PROGRESS PROVISIONING" {
		t.Errorf("before: %s", got)
	}
	if !c.FinishBuild(id, awsfake.Outcome{}) || c.FinishBuild(id, awsfake.Outcome{State: types.StatusTypeFailed}) {
		t.Error("a build must be finished once")
	}
	if got := states(c); got != "SUCCEEDED COMPLETED" {
		t.Errorf("after: %s", got)
	}
}

func TestABuildOutOfTimeEnds(t *testing.T) {
	c := builds(t)
	c.LimitBuilds(1)
	start(t, c)
	start(t, c)
	c.Advance(time.Hour)
	if got := states(c); got != "TIMED_OUT COMPLETED, IN_PROGRESS PROVISIONING" {
		t.Errorf("after an hour: %s", got)
	}
	c.LimitBuilds(0)
	if n := c.PendingBuilds(); n != 1 {
		t.Errorf("%d builds are left", n)
	}
	c.Advance(time.Hour) // the second runs out of time, too, though there is no room for any
	if got := states(c); got != "TIMED_OUT COMPLETED, TIMED_OUT COMPLETED" || c.PendingBuilds() != 0 {
		t.Errorf("after two hours: %s", got)
	}
}

func TestNoBuildRunsLongerThanItsTimeout(t *testing.T) {
	for after, want := range map[time.Duration]string{time.Hour: "SUCCEEDED COMPLETED", time.Hour + 1: "TIMED_OUT COMPLETED"} {
		c := builds(t)
		c.RunBuilds(func(types.Build) awsfake.Outcome { return awsfake.Outcome{After: after} })
		start(t, c)
		c.Advance(2 * time.Hour)
		if b := c.Builds()[0]; states(c) != want || b.EndTime.Sub(*b.StartTime) != time.Hour {
			t.Errorf("after %s: %s", after, states(c))
		}
	}
}

func TestABuildWaitsInTheQueueForSoLong(t *testing.T) {
	c := builds(t)
	c.RunBuilds(func(types.Build) awsfake.Outcome { return awsfake.Outcome{After: 59 * time.Minute} })
	c.LimitBuilds(1)
	start(t, c)
	waiting := start(t, c)
	c.LimitBuilds(0)
	c.Advance(8 * time.Hour)
	if got := states(c); got != "SUCCEEDED COMPLETED, TIMED_OUT COMPLETED" {
		t.Errorf("%s", got)
	}
	b := c.Builds()[1]
	if p := b.Phases[1]; *b.Id != waiting || len(b.Phases) != 3 || p.PhaseType != types.BuildPhaseTypeQueued || p.PhaseStatus != types.StatusTypeTimedOut {
		t.Errorf("phases %+v", b.Phases)
	}
}

func TestBuildsEndByThemselvesAsTimePasses(t *testing.T) {
	c := builds(t)
	c.LimitBuilds(20)
	c.RunBuilds(func(types.Build) awsfake.Outcome { return awsfake.Outcome{After: time.Minute} })
	begun := c.Now()
	for range 100 {
		start(t, c)
	}
	if at, any := c.NextBuild(); !any || at.Sub(begun) != time.Minute {
		t.Errorf("the next ends after %v, %v", at.Sub(begun), any)
	}
	c.Advance(10 * time.Minute)
	ends := map[time.Duration]int{}
	for _, b := range c.Builds() {
		if b.BuildStatus != types.StatusTypeSucceeded || b.EndTime == nil {
			t.Fatalf("build %+v", b)
		}
		ends[b.EndTime.Sub(begun)]++
	}
	for n := range 5 {
		if ends[time.Duration(n+1)*time.Minute] != 20 {
			t.Errorf("builds by when they ended: %v", ends)
		}
	}
	if _, any := c.NextBuild(); any || c.Now().Sub(begun) != 10*time.Minute {
		t.Errorf("a build is left, or time is %v", c.Now().Sub(begun))
	}
}

func TestMoreBuildsThanTheQueueHoldsAreRefused(t *testing.T) {
	for limit, most := range map[int]int{0: 0, 1: 6, 5: 30} {
		c := builds(t)
		c.LimitBuilds(limit)
		for range most {
			start(t, c)
		}
		_, err := c.CodeBuild("t").StartBuild(t.Context(), &codebuild.StartBuildInput{ProjectName: aws.String(builder)})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("AccountLimitExceededException: Cannot have more than %d builds in queue for the account", limit)) {
			t.Errorf("limit %d: %v", limit, err)
		}
		running := 0
		for _, b := range c.Builds() {
			if *b.CurrentPhase != "QUEUED" {
				running++
			}
		}
		if running != limit {
			t.Errorf("limit %d: %d run", limit, running)
		}
	}
}

func TestPhasesFollowFromTheOneThatFails(t *testing.T) {
	for phase, want := range map[types.BuildPhaseType]string{
		"DOWNLOAD_SOURCE": "DOWNLOAD_SOURCE FAILED, FINALIZING SUCCEEDED, COMPLETED ",
		"PRE_BUILD":       "PRE_BUILD FAILED, FINALIZING SUCCEEDED, COMPLETED ",
		"":                "BUILD FAILED, POST_BUILD SUCCEEDED, UPLOAD_ARTIFACTS SUCCEEDED, FINALIZING SUCCEEDED, COMPLETED ",
		"POST_BUILD":      "POST_BUILD FAILED, UPLOAD_ARTIFACTS SUCCEEDED, FINALIZING SUCCEEDED, COMPLETED ",
	} {
		t.Run(string(phase), func(t *testing.T) {
			c := builds(t)
			c.FinishBuild(start(t, c), awsfake.Outcome{State: types.StatusTypeFailed, Phase: phase, Message: "CODE: text: more"})
			var got []string
			for _, p := range c.Builds()[0].Phases {
				got = append(got, fmt.Sprintf("%s %s", p.PhaseType, p.PhaseStatus))
				if p.PhaseStatus == types.StatusTypeFailed && (*p.Contexts[0].StatusCode != "CODE" || *p.Contexts[0].Message != "text: more") {
					t.Errorf("contexts %+v", p.Contexts)
				}
			}
			if text := strings.Join(got, ", "); !strings.HasPrefix(text, "SUBMITTED SUCCEEDED, QUEUED SUCCEEDED, PROVISIONING SUCCEEDED, ") || !strings.HasSuffix(text, want) {
				t.Errorf("phases %s", text)
			}
		})
	}
}

func TestABuildGoesOnAfterAPhaseThatFails(t *testing.T) {
	c := builds(t)
	id := start(t, c)
	c.EnterPhase(id, types.BuildPhaseTypeBuild)
	c.FailPhase(id, "CODE: text")
	c.EnterPhase(id, types.BuildPhaseTypePostBuild)
	c.FinishBuild(id, awsfake.Outcome{State: types.StatusTypeFailed})
	var got []string
	for _, p := range c.Builds()[0].Phases[2:] {
		got = append(got, fmt.Sprintf("%s %s", p.PhaseType, p.PhaseStatus))
	}
	if want := "PROVISIONING SUCCEEDED, BUILD FAILED, POST_BUILD SUCCEEDED, UPLOAD_ARTIFACTS SUCCEEDED, FINALIZING SUCCEEDED, COMPLETED "; strings.Join(got, ", ") != want {
		t.Errorf("phases %s", strings.Join(got, ", "))
	}
}

func TestATokenIsKnownForFiveMinutes(t *testing.T) {
	for by, c := range map[float64]struct {
		after time.Duration
		same  bool
	}{1: {5*time.Minute - 1, true}, 1.5: {7 * time.Minute, true}, 0.1: {30 * time.Second, false}, 1.0001: {6 * time.Minute, false}} {
		cloud := builds(t)
		cloud.ScaleBuildTimes(by)
		in := &codebuild.StartBuildInput{ProjectName: aws.String(builder), IdempotencyToken: aws.String("token"), SourceVersion: aws.String("v1")}
		var ids []string
		for range 2 {
			out, err := cloud.CodeBuild("t").StartBuild(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, *out.Build.Id)
			cloud.Advance(c.after)
		}
		if (ids[0] == ids[1]) != c.same {
			t.Errorf("times %v after %v: builds %q", by, c.after, ids)
		}
	}
}

func TestEventsOfBuildsDecode(t *testing.T) {
	c := builds(t)
	url := c.AddQueue("q", time.Minute, 0, "")
	c.NotifyBuilds(url)
	watched := 0
	c.WatchBuilds(func(awsfake.BuildEvent) { watched++ })
	id := start(t, c)
	c.Advance(3 * time.Minute)
	c.FinishBuild(id, awsfake.Outcome{State: types.StatusTypeFailed, Phase: types.BuildPhaseTypePreBuild, Message: "COMMAND_EXECUTION_ERROR: no"})
	var all []events.CodeBuildEvent
	for _, m := range c.Messages(url) {
		var e events.CodeBuildEvent
		if err := json.Unmarshal([]byte(m.Body), &e); err != nil {
			t.Fatalf("%v: %s", err, m.Body)
		}
		all = append(all, e)
	}
	if len(all) != 2 || watched != 2 {
		t.Fatalf("%d events, %d watched", len(all), watched)
	}
	arn := "arn:aws:codebuild:us-east-1:123456789012:build/" + id
	for _, e := range all {
		if e.Source != events.CodeBuildEventSource || e.DetailType != events.CodeBuildStateChangeDetailType || e.AccountID != c.Account || e.Region != c.Region ||
			!slices.Equal(e.Resources, []string{arn}) || e.Detail.BuildID != arn || e.Detail.ProjectName != builder ||
			len(e.Detail.AdditionalInformation.Environment.EnvironmentVariables) != 1 {
			t.Errorf("event %+v", e)
		}
	}
	if d := all[0].Detail; d.BuildStatus != "IN_PROGRESS" || d.CurrentPhase != "SUBMITTED" || d.AdditionalInformation.BuildComplete {
		t.Errorf("first %+v", d)
	}
	d := all[1].Detail
	if d.BuildStatus != "FAILED" || d.CurrentPhase != "COMPLETED" || !d.AdditionalInformation.BuildComplete || d.AdditionalInformation.Logs.StreamName == "" {
		t.Errorf("last %+v", d)
	}
	if p := d.AdditionalInformation.Phases[5]; p.PhaseType != "PRE_BUILD" || p.PhaseStatus != "FAILED" || p.PhaseContext[0] != "COMMAND_EXECUTION_ERROR: no" {
		t.Errorf("phase %+v", p)
	}
}

func TestACloneHasBuildsOfItsOwn(t *testing.T) {
	c := builds(t)
	url := c.AddQueue("q", time.Minute, 0, "")
	c.NotifyBuilds(url)
	id := start(t, c)
	watched := 0
	c.WatchBuilds(func(awsfake.BuildEvent) { watched++ })
	out := c.Clone()
	out.FinishBuild(id, awsfake.Outcome{})
	start(t, out)
	if _, err := out.CodeBuild("t").DeleteProject(t.Context(), &codebuild.DeleteProjectInput{Name: aws.String(builder)}); err != nil {
		t.Fatal(err)
	}
	if got := states(c); got != "IN_PROGRESS PROVISIONING" || len(c.Messages(url)) != 1 || len(c.Projects()) != 1 || watched != 0 {
		t.Errorf("the first: %s", got)
	}
	if phases := c.Builds()[0].Phases; len(phases) != 3 || phases[2].EndTime != nil {
		t.Errorf("phases of the first: %+v", phases)
	}
	if got := states(out); got != "SUCCEEDED COMPLETED, IN_PROGRESS PROVISIONING" || len(out.Messages(url)) != 3 || len(out.Projects()) != 0 {
		t.Errorf("the clone: %s", got)
	}
	c.EnterPhase(id, types.BuildPhaseTypeBuild)
	if got := states(c); got != "IN_PROGRESS BUILD" {
		t.Errorf("the first, later: %s", got)
	}
	if got := len(out.Builds()[0].Phases); got != 11 {
		t.Errorf("%d phases in the clone", got)
	}
}

func TestRolesAreAssumedOnlyByWhoTheyTrustAndNotAtOnce(t *testing.T) {
	const project = "arn:aws:codebuild:us-east-1:123456789012:project/project"
	for name, c := range map[string]struct {
		trust  string
		age    time.Duration
		settle time.Duration
		role   string
		can    bool
	}{
		"the project":              {trust: trustFor(project), can: true},
		"any project":              {trust: trustFor("arn:aws:codebuild:*:123456789012:project/*"), can: true},
		"another project":          {trust: trustFor(project + "-other")},
		"another account":          {trust: strings.Replace(trustFor(project), `"123456789012"`, `"999999999999"`, 1)},
		"another service":          {trust: strings.Replace(trustFor(project), "codebuild.", "ecs.", 1)},
		"a condition on something": {trust: strings.Replace(trustFor(project), "aws:SourceAccount", "aws:SourceOrgID", 1)},
		"denied":                   {trust: strings.Replace(trustFor(project), "Allow", "Deny", 1)},
		"denied what is allowed": {trust: strings.Replace(trustFor(project), `"Statement":[`, `"Statement":[{"Effect":"Deny","Principal":{"Service":["codebuild.amazonaws.com"]},"Action":["sts:AssumeRole"],`+
			`"Condition":{"ArnLike":{"aws:SourceArn":"*:project/pro*"}}},`, 1)},
		"too new":                {trust: trustFor(project), settle: 10 * time.Second, age: 9 * time.Second},
		"old enough":             {trust: trustFor(project), settle: 10 * time.Second, age: 10 * time.Second, can: true},
		"no such role":           {trust: trustFor(project), role: "arn:aws:iam::123456789012:role/other"},
		"a role on another path": {trust: trustFor(project), role: "arn:aws:iam::123456789012:role/path/role"},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := awsfake.New()
			cloud.SettleRoles(c.settle)
			role := makeRole(t, cloud, "role", c.trust)
			cloud.Advance(c.age)
			if c.role != "" {
				role = c.role
			}
			_, err := cloud.CodeBuild("t").CreateProject(t.Context(), projectInput("project", role))
			if c.can && err != nil || !c.can && (err == nil || !strings.Contains(err.Error(), "InvalidInputException: CodeBuild is not authorized to perform: sts:AssumeRole on "+role)) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAProjectWithManyBuildsCannotBeSorted(t *testing.T) {
	c := builds(t)
	var want []string
	for range 101 {
		want = append(want, start(t, c))
	}
	slices.Reverse(want)
	_, err := c.CodeBuild("t").ListBuildsForProject(t.Context(), &codebuild.ListBuildsForProjectInput{ProjectName: aws.String(builder), SortOrder: types.SortOrderTypeDescending})
	if err == nil {
		t.Error("101 builds were sorted")
	}
	var got []string
	in := &codebuild.ListBuildsForProjectInput{ProjectName: aws.String(builder)}
	for {
		out, err := c.CodeBuild("t").ListBuildsForProject(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, out.Ids...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d of %d ids, or in another order", len(got), len(want))
	}
}
