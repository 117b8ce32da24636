package model_test

import (
	"reflect"
	"regexp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rolekeeper/shared/model"
)

var imageTag = regexp.MustCompile(`\Asrc-[0-9a-f]{12}\z`)

func TestAnImageTagTellsTheSourceAndNothingElse(t *testing.T) {
	// printf 3HL4kqtJlcpXroDTDmjVBH40Nrjfkd | sha256sum
	if got, want := model.ImageTag("3HL4kqtJlcpXroDTDmjVBH40Nrjfkd"), "src-c1ee8b0a3db5"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "version"), rapid.String().Draw(t, "other")
		if tag := model.ImageTag(a); !imageTag.MatchString(tag) {
			t.Errorf("version %q: tag %q", a, tag)
		}
		if same := model.ImageTag(a) == model.ImageTag(b); same != (a == b) {
			t.Errorf("versions %q and %q: same tag: %t", a, b, same)
		}
	})
}

// changed gives the project with another value in one of its settings.
func changed(t *testing.T, p model.Project, field string) model.Project {
	t.Helper()
	switch f := reflect.ValueOf(&p).Elem().FieldByName(field); f.Kind() {
	case reflect.String:
		f.SetString(f.String() + "x")
	case reflect.Bool:
		f.SetBool(!f.Bool())
	case reflect.Int32:
		f.SetInt(f.Int() + 1)
	case reflect.Map:
		f.Set(reflect.ValueOf(map[string]string{"REGISTRY": "other"}))
	default:
		t.Fatalf("nobody can change %s", field)
	}
	return p
}

func project() model.Project {
	return model.Project{
		Agent: "a", Name: "bedrock-agentcore-a-builder", ARN: "arn:project", LogRetentionDays: 30, Tags: map[string]string{"t": "v"},
		ProjectSettings: model.ProjectSettings{
			Description: "d", ServiceRole: "arn:role", SourceType: "S3", Source: "bucket/a/source.zip", Buildspec: "version: 0.2", Artifacts: "NO_ARTIFACTS",
			EnvironmentType: "ARM_CONTAINER", Image: "image:4.0", ComputeType: "BUILD_GENERAL1_MEDIUM", Privileged: true,
			Environment: map[string]string{"REGISTRY": "registry"}, LogGroup: "/aws/codebuild/x", TimeoutMinutes: 60, QueuedTimeoutMinutes: 480,
		},
	}
}

func TestABuildIsAnotherWhenWhatComesOutMayBeAnother(t *testing.T) {
	// All settings are here, so that a new one is put on one side or the other.
	shapes := map[string]bool{
		"Description": false, "ServiceRole": false, "SourceType": true, "Source": true, "Buildspec": true, "Artifacts": false,
		"EnvironmentType": true, "Image": true, "ComputeType": true, "Privileged": true, "Environment": true, "LogGroup": false,
		"TimeoutMinutes": false, "QueuedTimeoutMinutes": false,
		"Agent": false, "Name": false, "ARN": false, "LogRetentionDays": false, "Tags": false,
	}
	was := project().Order("v1", true)
	for _, f := range reflect.VisibleFields(reflect.TypeFor[model.Project]()) {
		if f.Anonymous {
			continue
		}
		shaping, known := shapes[f.Name]
		if !known {
			t.Errorf("%s is neither said to shape the image nor not to", f.Name)
			continue
		}
		if is := changed(t, project(), f.Name).Order("v1", true); (is.Identity != was.Identity) != shaping {
			t.Errorf("with another %s: the same build: %t", f.Name, is.Identity == was.Identity)
		}
	}
	if is := project().Order("v2", true); is.Identity == was.Identity {
		t.Error("another source is the same build")
	}
	if is := project().Order("v1", false); is.Identity != was.Identity {
		t.Error("the same image without a tag is another build")
	}
	if is := project().Order("v1", true); is != was || is.ImageTag != model.ImageTag("v1") || is.Project != "bedrock-agentcore-a-builder" || is.Agent != "a" {
		t.Errorf("orders %+v", is)
	}
}

func TestSettingsAreTheSameWhenNoneDiffers(t *testing.T) {
	was := project()
	for _, f := range reflect.VisibleFields(reflect.TypeFor[model.ProjectSettings]()) {
		if changed(t, project(), f.Name).Same(was.ProjectSettings) {
			t.Errorf("another %s is the same", f.Name)
		}
	}
	if !was.Same(project().ProjectSettings) {
		t.Error("the same settings are others")
	}
	none, empty := model.ProjectSettings{}, model.ProjectSettings{Environment: map[string]string{}}
	if !none.Same(empty) || none.Digest() != empty.Digest() {
		t.Error("no environment is another than an empty one")
	}
}

func TestATokenIsOfOneOrder(t *testing.T) {
	o := project().Order("v1", true)
	again := o
	again.Request = "r1"
	other := project().Order("v2", true)
	tokens := []string{o.Token(), again.Token(), other.Token()}
	slices.Sort(tokens)
	if len(slices.Compact(tokens)) != 3 {
		t.Errorf("shared by several orders: %q", tokens)
	}
	if o.Token() != project().Order("v1", true).Token() {
		t.Error("an order has two tokens")
	}
}

func TestAnOrderKnowsItsBuilds(t *testing.T) {
	for name, c := range map[string]struct {
		order, build [2]string // identity and request
		want         bool
	}{
		"its own":                      {[2]string{"i", ""}, [2]string{"i", ""}, true},
		"one that an operator had":     {[2]string{"i", ""}, [2]string{"i", "r"}, true},
		"of another source":            {[2]string{"i", ""}, [2]string{"j", ""}, false},
		"somebody else's":              {[2]string{"i", ""}, [2]string{"", ""}, false},
		"of its request":               {[2]string{"i", "r"}, [2]string{"i", "r"}, true},
		"before its request":           {[2]string{"i", "r"}, [2]string{"i", ""}, false},
		"of another request":           {[2]string{"i", "r"}, [2]string{"i", "q"}, false},
		"of its request, another kind": {[2]string{"i", "r"}, [2]string{"j", "r"}, false},
	} {
		o := model.BuildOrder{Identity: c.order[0], Request: c.order[1]}
		if got := o.Made(model.Build{Identity: c.build[0], Request: c.build[1]}); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestABuildEndsInEveryStateButOne(t *testing.T) {
	for state, want := range map[model.BuildState]bool{
		model.BuildInProgress: false, "": false, "waiting": false, "of tomorrow": false,
		model.BuildSucceeded: true, model.BuildFailed: true, model.BuildFault: true, model.BuildTimedOut: true, model.BuildStopped: true,
	} {
		if state.Ended() != want {
			t.Errorf("%q has ended: %t", state, !want)
		}
	}
}
