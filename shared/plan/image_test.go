package plan_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/model"
	"rolekeeper/shared/plan"
)

var (
	repositoryMade = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	projectMade    = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
)

func repository() model.Repository {
	return model.Repository{
		Agent: "a", Name: "repository-a", ARN: "arn:repository-a", URI: "registry/repository-a", ScanOnPush: true,
		Tags: map[string]string{"t1": "v1", "t2": "v2"},
	}
}

func project() model.Project {
	return model.Project{
		Agent: "a", Name: "project-a", ARN: "arn:project-a", LogRetentionDays: 30, Tags: map[string]string{"t1": "v1", "t2": "v2"},
		ProjectSettings: model.ProjectSettings{
			Description: "of a", ServiceRole: "arn:aws:iam::123456789012:role/role-build", Source: "bucket/a/source.zip", Buildspec: "version: 0.2",
			Environment: map[string]string{"REGISTRY": "registry"}, LogGroup: "/aws/codebuild/project-a",
		},
	}
}

// image gives a repository and a project that are ours and as they should be,
// without a source, then changed.
func image(change ...func(*plan.Image)) plan.Image {
	r, d := repository(), project()
	i := plan.Image{
		Repository: r, Project: &d, BuildRole: "role-build",
		ObservedRepository: &model.ObservedRepository{
			Name: r.Name, ARN: r.ARN, Created: repositoryMade, ScanOnPush: true, LatestMutable: true, Tags: maps.Clone(r.Tags),
		},
		ObservedProject: &model.ObservedProject{
			Name: d.Name, ARN: d.ARN, Created: projectMade, ProjectSettings: d.ProjectSettings, Tags: maps.Clone(d.Tags),
		},
		Claim: model.Claim{V: 1, Config: "configs/a", Agent: "a", RepositoryCreated: repositoryMade, ProjectCreated: projectMade},
	}
	i.Applied = plan.ImageDigests(i)
	for _, c := range change {
		c(&i)
	}
	return i
}

func neverMade(i *plan.Image) {
	i.ObservedRepository, i.ObservedProject, i.Applied = nil, nil, nil
	i.Claim = model.Claim{V: 1, Config: "configs/a", Agent: "a"}
}

// halfMadeParts makes parts as a run that died left them.
func halfMadeParts(parts ...model.Part) func(*plan.Image) {
	return func(i *plan.Image) {
		for _, part := range parts {
			nonce := model.Nonce(part, "random")
			i.Claim = i.Claim.WithCreated(part, time.Time{}).WithCreating(model.HashNonce(nonce))
			if part == model.RepositoryPart {
				i.ObservedRepository.Tags[model.TagCreation] = nonce
			} else {
				i.ObservedProject.Tags[model.TagCreation] = nonce
			}
		}
	}
}

func named(i *plan.Image) { i.Repository.Named = true }

// sourced gives the image a source, and its project the builds, newest first.
func sourced(builds ...model.Build) func(*plan.Image) {
	return func(i *plan.Image) {
		o := i.Project.Order("v1", true)
		i.Order, i.Builds = &o, builds
	}
}

// asked has an operator ask for the build.
func asked(request string) func(*plan.Image) {
	return func(i *plan.Image) { i.Order.Request = request }
}

// build gives a build of ours of a source.
func build(version string, state model.BuildState) model.Build {
	return model.Build{ID: "project-a:" + version, Project: "project-a", Identity: project().Order(version, true).Identity, SourceVersion: version, State: state}
}

func manyTags(n int, and map[string]string) map[string]string {
	tags := maps.Clone(and)
	if tags == nil {
		tags = map[string]string{}
	}
	for i := range n {
		tags[fmt.Sprint("theirs", i)] = ""
	}
	return tags
}

func TestComputeImages(t *testing.T) {
	const claim = "claims/projects/a-agent.json"
	for name, c := range map[string]struct {
		image plan.Image
		want  []string
	}{
		"nothing differs": {image: image()},
		"everything is new": {
			image: image(neverMade, sourced()),
			want: []string{
				"reserve-creation " + claim + "[repository project] []  create",
				"create-repository repository-a  create", "create-project project-a  create",
				"record-parts " + claim + "[] []  create",
				"create-log-group project-a  create", "retain-logs project-a  create", "start-build project-a  create",
			},
		},
		"everything is new but there is no source": {
			image: image(neverMade),
			want: []string{
				"reserve-creation " + claim + "[repository project] []  create",
				"create-repository repository-a  create", "create-project project-a  create",
				"record-parts " + claim + "[] []  create",
				"create-log-group project-a  create", "retain-logs project-a  create",
			},
		},
		"the repository is half-made, the project absent": {
			image: image(halfMadeParts(model.RepositoryPart), func(i *plan.Image) {
				i.ObservedProject, i.Claim.ProjectCreated, i.Applied = nil, time.Time{}, nil
			}),
			want: []string{
				"reserve-creation " + claim + "[project] [repository]  create", "create-project project-a  create",
				"record-parts " + claim + "[] [repository]  create",
				"create-log-group project-a  create", "retain-logs project-a  create",
			},
		},
		"both are half-made and the config was changed meanwhile": {
			image: image(halfMadeParts(model.RepositoryPart, model.ProjectPart), func(i *plan.Image) {
				i.Applied = nil
				i.Repository.Tags["t1"], i.Project.Tags["t1"], i.Project.Buildspec, i.Repository.ScanOnPush = "new", "new", "new", false
			}),
			want: []string{
				"record-parts " + claim + "[] [project repository]  create",
				"scan-on-push repository-a  create", "tag-repository repository-a  create", "update-project project-a  create",
				"create-log-group project-a  create", "retain-logs project-a  create",
			},
		},
		"a nonce of the other part is a stranger's": {
			image: image(halfMadeParts(model.RepositoryPart), func(i *plan.Image) {
				nonce := model.Nonce(model.ProjectPart, "random")
				i.Claim = i.Claim.WithCreating(model.HashNonce(nonce))
				i.ObservedRepository.Tags[model.TagCreation] = nonce
			}),
			want: []string{"refused repository-a repository-not-ours"},
		},
		"nonces of parts that are recorded are forgotten": {
			image: image(func(i *plan.Image) { i.Claim.Creating = []string{"x"} }),
			want:  []string{"record-parts " + claim + "[] []  create"},
		},
		"the repository was deleted": {
			image: image(func(i *plan.Image) { i.ObservedRepository = nil }),
			want: []string{
				"reserve-creation " + claim + "[repository] []  create", "create-repository repository-a  create", "record-parts " + claim + "[] []  create",
				"found repository missing repaired=true",
			},
		},
		"the project was deleted, and an image was never built": {
			image: image(func(i *plan.Image) { i.ObservedProject = nil }, sourced()),
			want: []string{
				"reserve-creation " + claim + "[project] []  create", "create-project project-a  create", "record-parts " + claim + "[] []  create",
				"create-log-group project-a  create", "retain-logs project-a  create", "start-build project-a  create",
				"found project missing repaired=true",
			},
		},
		"settings and tags changed": {
			image: image(func(i *plan.Image) {
				i.Repository.ScanOnPush, i.Repository.Tags["t1"] = false, "new"
				i.Project.Buildspec, i.Project.Tags["t1"], i.Project.LogRetentionDays = "new", "new", 60
			}),
			want: []string{
				"scan-on-push repository-a  change", "tag-repository repository-a  change", "update-project project-a  change",
				"create-log-group project-a  change", "retain-logs project-a  change",
			},
		},
		"somebody edited everything": {
			image: image(func(i *plan.Image) {
				i.ObservedRepository.ScanOnPush, i.ObservedRepository.Tags = false, nil
				i.ObservedProject.Environment, i.ObservedProject.Tags = map[string]string{"REGISTRY": "theirs"}, nil
				i.ObservedProject.Extras = []string{"vpc", "webhook"}
			}),
			want: []string{
				"scan-on-push repository-a  drift", "tag-repository repository-a  drift", "update-project project-a  drift",
				"found repository/scanning edited repaired=true", "found repository/tags edited repaired=true",
				"found project/settings edited repaired=true", "found project/tags edited repaired=true",
				"found project/extra/vpc extra repaired=false", "found project/extra/webhook extra repaired=false",
			},
		},
		"the config changed the settings and somebody the tags": {
			image: image(func(i *plan.Image) { i.Project.Buildspec, i.ObservedProject.Tags = "new", nil }),
			want:  []string{"update-project project-a  change", "found project/tags edited repaired=true"},
		},
		"what a lost status leaves different is drift, and the logs are written again": {
			image: image(func(i *plan.Image) { i.ObservedProject.Buildspec, i.Applied = "theirs", nil }),
			want: []string{
				"update-project project-a  drift", "create-log-group project-a  create", "retain-logs project-a  create",
				"found project/settings edited repaired=true",
			},
		},
		"a project of a version that kept no digests of it is changed": {
			image: image(func(i *plan.Image) {
				i.ObservedProject.Buildspec, i.Applied = "old", map[string]string{"build/trust": "x"}
			}),
			want: []string{"update-project project-a  change", "create-log-group project-a  create", "retain-logs project-a  create"},
		},
		"tags of somebody else's are no drift": {
			image: image(func(i *plan.Image) { i.ObservedRepository.Tags["cost"], i.ObservedProject.Tags["cost"] = "42", "42" }),
		},
		"tags of somebody else's leave no room for ours": {
			image: image(func(i *plan.Image) {
				i.ObservedRepository.Tags, i.ObservedProject.Tags = manyTags(49, nil), manyTags(49, nil)
				i.ObservedRepository.ScanOnPush, i.ObservedProject.Buildspec = false, "theirs"
			}, sourced()),
			want: []string{
				"scan-on-push repository-a  drift", "update-project project-a  drift", "start-build project-a  create",
				"found repository/scanning edited repaired=true", "found repository/tags edited repaired=false",
				"found project/settings edited repaired=true", "found project/tags edited repaired=false",
			},
		},
		"a repository without a record is a stranger's": {
			image: image(sourced(), func(i *plan.Image) { i.Claim.RepositoryCreated = time.Time{} }),
			want:  []string{"refused repository-a repository-not-ours"},
		},
		"a project without a record is a stranger's": {
			image: image(sourced(), func(i *plan.Image) {
				i.Claim.ProjectCreated, i.ObservedProject.Buildspec, i.ObservedProject.Extras, i.Applied = time.Time{}, "theirs", []string{"vpc"}, nil
			}),
			want: []string{"refused project-a project-not-ours"},
		},
		"a repository that nothing is known of is a stranger's": {
			image: image(func(i *plan.Image) {
				i.Claim.RepositoryCreated, i.ObservedRepository.Created = time.Time{}, time.Time{}
			}),
			want: []string{"refused repository-a repository-not-ours"},
		},
		"both were replaced": {
			image: image(sourced(), func(i *plan.Image) {
				i.ObservedRepository.Created, i.ObservedProject.Created = repositoryMade.Add(2*time.Second), projectMade.Add(-2*time.Second)
				i.ObservedRepository.Tags = nil
			}),
			want: []string{"refused repository-a repository-not-ours", "refused project-a project-not-ours"},
		},
		"times are told a little otherwise": {
			image: image(func(i *plan.Image) {
				i.ObservedRepository.Created, i.ObservedProject.Created = repositoryMade.Add(-time.Second), projectMade.Add(time.Second)
			}),
		},
		"times that differ by more are of others": {
			image: image(func(i *plan.Image) {
				i.ObservedRepository.Created, i.ObservedProject.Created = repositoryMade.Add(-time.Second-1), projectMade.Add(time.Second+1)
			}),
			want: []string{"refused repository-a repository-not-ours", "refused project-a project-not-ours"},
		},
		"a stranger's repository and a half-made project": {
			image: image(sourced(), halfMadeParts(model.RepositoryPart, model.ProjectPart), func(i *plan.Image) { i.ObservedRepository.Tags[model.TagCreation] = "x" }),
			want: []string{
				"record-parts " + claim + "[] [project] keeping nonces  create", "create-log-group project-a  create", "retain-logs project-a  create",
				"refused repository-a repository-not-ours",
			},
		},
		"nonces stay while a part is refused": {
			image: image(func(i *plan.Image) { i.Claim.Creating, i.Claim.RepositoryCreated = []string{"x"}, time.Time{} }),
			want:  []string{"refused repository-a repository-not-ours"},
		},
		"a repository that the config names is used as it is": {
			image: image(named, sourced(), func(i *plan.Image) {
				*i.ObservedRepository = model.ObservedRepository{Name: "repository-a", Created: repositoryMade.Add(time.Hour)}
				i.Claim.RepositoryCreated = time.Time{}
			}),
			want: []string{"start-build project-a  create"},
		},
		"a repository that the config names and that is not there": {
			image: image(named, sourced(), neverMade),
			want: []string{
				"reserve-creation " + claim + "[project] []  create", "create-project project-a  create", "record-parts " + claim + "[] []  create",
				"create-log-group project-a  create", "retain-logs project-a  create", "refused repository-a repository-missing",
			},
		},
		"no project for somebody else's build role": {
			image: image(neverMade, func(i *plan.Image) { i.Project, i.BuildRole = nil, "" }),
			want: []string{
				"reserve-creation " + claim + "[repository] []  create", "create-repository repository-a  create", "record-parts " + claim + "[] []  create",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := plan.Compute(nil, nil, c.image)
			if diff := cmp.Diff(c.want, lines(got)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestABuildStartsOnce(t *testing.T) {
	const yes = "start-build project-a  create"
	theirs := model.Build{ID: "project-a:theirs", SourceVersion: "v1", State: model.BuildInProgress}
	ended := theirs
	ended.State = model.BuildSucceeded
	request := build("v1", model.BuildFailed)
	request.Request = "r1"
	for name, c := range map[string]struct {
		image plan.Image
		want  []string
	}{
		"never built":                       {image(sourced()), []string{yes}},
		"there is no source":                {image(), nil},
		"built":                             {image(sourced(build("v1", model.BuildSucceeded))), nil},
		"being built":                       {image(sourced(build("v1", model.BuildInProgress))), nil},
		"failed":                            {image(sourced(build("v1", model.BuildFailed))), nil},
		"failed by CodeBuild":               {image(sourced(build("v1", model.BuildFault))), nil},
		"stopped":                           {image(sourced(build("v1", model.BuildStopped))), nil},
		"timed out":                         {image(sourced(build("v1", model.BuildTimedOut))), nil},
		"built before others":               {image(sourced(build("v3", model.BuildSucceeded), build("v1", model.BuildSucceeded))), nil},
		"another source was built":          {image(sourced(build("v0", model.BuildSucceeded))), []string{yes}},
		"another source is being built":     {image(sourced(build("v0", model.BuildInProgress))), nil},
		"somebody else builds":              {image(sourced(theirs)), nil},
		"somebody else has built":           {image(sourced(ended)), []string{yes}},
		"a build is in a state of tomorrow": {image(sourced(build("v0", "of tomorrow"))), nil},
		"an operator asks for it again":     {image(sourced(build("v1", model.BuildFailed)), asked("r1")), []string{yes}},
		"an operator asks for it and it is being built": {image(sourced(build("v1", model.BuildInProgress)), asked("r1")), nil},
		"an operator has had it":                        {image(sourced(request), asked("r1")), nil},
		"another operator asks":                         {image(sourced(request), asked("r2")), []string{yes}},
		"an operator has had it and asks no more":       {image(sourced(request)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := plan.Compute(nil, nil, c.image)
			if diff := cmp.Diff(c.want, lines(got)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			for _, s := range got.Steps {
				if diff := cmp.Diff(c.image.Order, s.Build); diff != "" || s.Agent != "a" {
					t.Errorf("starts another (-ordered +started):\n%s", diff)
				}
			}
		})
	}
}

func TestTheCurrentBuildIsThatOfTheSourceIfThereIsOne(t *testing.T) {
	theirs := model.Build{ID: "theirs", State: model.BuildInProgress}
	early := build("v1", model.BuildFailed)
	early.ID = "early"
	for name, c := range map[string]struct {
		image plan.Image
		want  string
	}{
		"none":                                {image(sourced()), ""},
		"only others'":                        {image(sourced(theirs)), ""},
		"of the source":                       {image(sourced(build("v2", model.BuildInProgress), build("v1", model.BuildSucceeded), early)), "project-a:v1"},
		"of none but one runs":                {image(sourced(theirs, build("v3", model.BuildFailed), build("v2", model.BuildInProgress))), "project-a:v2"},
		"of none":                             {image(sourced(theirs, build("v3", model.BuildFailed), build("v2", model.BuildSucceeded))), "project-a:v3"},
		"of a source that is gone":            {image(func(i *plan.Image) { i.Builds = []model.Build{build("v3", model.BuildSucceeded)} }), "project-a:v3"},
		"before it was asked for":             {image(sourced(build("v2", model.BuildInProgress), build("v1", model.BuildFailed)), asked("r1")), "project-a:v2"},
		"before it was asked for, none other": {image(sourced(build("v1", model.BuildFailed)), asked("r1")), "project-a:v1"},
	} {
		t.Run(name, func(t *testing.T) {
			b, ok := plan.Current(c.image)
			if b.ID != c.want || ok != (c.want != "") {
				t.Errorf("got %q, %t; want %q", b.ID, ok, c.want)
			}
		})
	}
}

// Whoever made the build role in our place could have given it anything.
func TestAProjectWaitsForItsBuildRole(t *testing.T) {
	replaced := func(r *plan.Role) { r.Observed.ID = "AROA-other" }
	full := func(r *plan.Role) { r.Observed.Tags = manyTags(49, nil) }
	edited := func(i *plan.Image) {
		i.ObservedProject.Buildspec, i.ObservedProject.Tags = "theirs", map[string]string{}
		i.Project.LogRetentionDays = 60
	}
	for name, c := range map[string]struct {
		role  plan.Role
		image plan.Image
		want  []string
	}{
		"new": {
			input(model.BuildRole, replaced), image(neverMade, sourced()),
			[]string{
				"reserve-creation claims/projects/a-agent.json[repository] []  create", "create-repository repository-a  create",
				"record-parts claims/projects/a-agent.json[] [] keeping nonces  create", "refused role-build role-replaced",
			},
		},
		"gone": {
			input(model.BuildRole, replaced), image(func(i *plan.Image) { i.ObservedProject, i.Claim.Creating = nil, []string{"x"} }),
			[]string{"found project missing repaired=false", "refused role-build role-replaced"},
		},
		"edited": {
			input(model.BuildRole, replaced), image(edited, sourced()),
			[]string{"found project/settings edited repaired=false", "found project/tags edited repaired=false", "refused role-build role-replaced"},
		},
		"half-made": {
			input(model.BuildRole, replaced), image(edited, halfMadeParts(model.ProjectPart), sourced()),
			[]string{"record-parts claims/projects/a-agent.json[] [project]  create", "refused role-build role-replaced"},
		},
		"its role is ours but not as it should be": {
			input(model.BuildRole, full), image(edited, sourced()),
			[]string{"found project/settings edited repaired=false", "found project/tags edited repaired=false", "refused role-build role-tags-full"},
		},
		"another role is refused": {
			input(model.RuntimeRole, replaced), image(sourced()),
			[]string{"start-build project-a  create", "refused role-runtime role-replaced"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := plan.Compute([]plan.Role{c.role}, nil, c.image)
			if diff := cmp.Diff(c.want, lines(got)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

// sibling gives what an image of another agent is made with.
func sibling(i plan.Image) plan.Image {
	d := *i.Project
	i.Repository.Agent, d.Agent, d.Name = "b", "b", "project-b"
	i.Project = &d
	if i.Order != nil {
		o := *i.Order
		o.Agent, o.Project = "b", "project-b"
		i.Order = &o
	}
	return i
}

func TestAnAgentMayNameTheRepositoryOfItsSibling(t *testing.T) {
	user := sibling(image(named, neverMade, sourced()))
	got := lines(plan.Compute(nil, nil, user, image(neverMade, sourced())))
	made, last := slices.Index(got, "create-repository repository-a  create"), slices.Index(got, "start-build project-b  create")
	if made < 0 || last < made || slices.ContainsFunc(got, func(l string) bool { return strings.HasPrefix(l, "refused") }) {
		t.Errorf("got %q", got)
	}
	theirs := image(sourced(), func(i *plan.Image) { i.Claim.RepositoryCreated = time.Time{} })
	p := plan.Compute(nil, nil, theirs, sibling(image(named, sourced())))
	if diff := cmp.Diff([]string{"start-build project-b  create", "refused repository-a repository-not-ours"}, lines(p)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestBuildsComeAfterAllElse(t *testing.T) {
	other := func(i *plan.Image) { i.BuildRole = "another" } // the other is made by this plan
	got := plan.Compute([]plan.Role{input(model.BuildRole, absent)}, nil, image(sourced(), other), sibling(image(neverMade, sourced(), other)))
	var ops []plan.Op
	for _, s := range got.Steps {
		ops = append(ops, s.Op)
	}
	if first := slices.Index(ops, plan.StartBuild); first != len(ops)-2 || ops[first+1] != plan.StartBuild {
		t.Errorf("got %q", ops)
	}
}

func TestAPartIsRefusedForItsAgentAlone(t *testing.T) {
	theirs := image(func(i *plan.Image) { i.Claim.ProjectCreated = time.Time{} })
	// Agents named x and x__builder have a project and a repository of one name.
	like := sibling(image(func(i *plan.Image) { i.Repository.Name = theirs.Project.Name }))
	p := plan.Compute([]plan.Role{input(model.BuildRole, func(r *plan.Role) { r.Observed.ID = "AROA-other" })}, nil, theirs, like)
	for _, c := range []struct {
		agent string
		part  model.Part
		want  bool
	}{
		{"a", model.ProjectPart, true}, {"a", model.RepositoryPart, false}, {"b", model.ProjectPart, false}, {"b", model.RepositoryPart, false},
	} {
		if got := p.RefusedPart(c.agent, c.part); got != c.want {
			t.Errorf("the %s of agent %s is refused: %t", c.part, c.agent, got)
		}
	}
	if absent := plan.Compute(nil, nil, image(named, neverMade)); !absent.RefusedPart("a", model.RepositoryPart) {
		t.Error("a repository that is not there is not said to be refused")
	}
	if p.Stranger(theirs.Project.Name) {
		t.Error("a project is taken for a role")
	}
}

func TestTheRefusalOfAPartSaysWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		image plan.Image
		want  plan.Refusal
	}{
		"repository": {image(func(i *plan.Image) { i.Claim.RepositoryCreated = time.Time{} }), plan.Refusal{
			Agent: "a", Role: "repository-a", ARN: "arn:repository-a", Kind: plan.RepositoryNotOurs,
			Message: "ECR repository repository-a exists already and Rolekeeper did not make it",
			Fix: "name repository-a in aws.ecr_repository to have the repository used as it is, or delete it when nothing uses its images, " +
				"and upload the config again; or rename the agent",
		}},
		"another repository": {image(func(i *plan.Image) { i.ObservedRepository.Created = projectMade }), plan.Refusal{
			Agent: "a", Role: "repository-a", ARN: "arn:repository-a", Kind: plan.RepositoryNotOurs,
			Message: "ECR repository repository-a was deleted and made anew by somebody else (CloudTrail has who): " +
				"it was made at 2026-11-02T12:00:00Z, ours at 2026-11-01T12:00:00Z",
			Fix: "name repository-a in aws.ecr_repository to have the repository used as it is, or delete it when nothing uses its images, " +
				"and upload the config again; or rename the agent",
		}},
		"missing repository": {image(named, func(i *plan.Image) { i.ObservedRepository = nil }), plan.Refusal{
			Agent: "a", Role: "repository-a", ARN: "arn:repository-a", Kind: plan.RepositoryMissing,
			Message: "the config names ECR repository repository-a, and there is none of that name in this account and region",
			Fix:     "create the repository, or leave aws.ecr_repository empty to have one made; then upload the config again",
		}},
		"project": {image(func(i *plan.Image) { i.Claim.ProjectCreated = time.Time{} }), plan.Refusal{
			Agent: "a", Role: "project-a", ARN: "arn:project-a", Kind: plan.ProjectNotOurs,
			Message: "CodeBuild project project-a exists already and Rolekeeper did not make it",
			Fix: "delete the project (aws codebuild delete-project --name project-a), which takes no image and no build's record away, " +
				"and upload the config again; or rename the agent",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([]plan.Refusal{c.want}, plan.Compute(nil, nil, c.image).Refusals); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestAnUpdatedProjectKeepsTheTagsOfOthers(t *testing.T) {
	for name, c := range map[string]struct{ observed, want map[string]string }{
		"beside ours": {
			map[string]string{"t1": "theirs", "cost": "42", model.TagCreation: "nonce", "aws:cloudformation:stack-name": "s"},
			map[string]string{"t1": "v1", "t2": "v2", "cost": "42", model.TagCreation: "nonce"},
		},
		"to the last":  {manyTags(48, nil), manyTags(48, project().Tags)},
		"without room": {manyTags(49, map[string]string{"aws:x": ""}), manyTags(49, nil)},
		"but for none": {nil, project().Tags},
	} {
		t.Run(name, func(t *testing.T) {
			i := image(func(i *plan.Image) { i.ObservedProject.Tags, i.ObservedProject.Buildspec = c.observed, "theirs" })
			steps := plan.Compute(nil, nil, i).Steps
			if len(steps) != 1 || steps[0].Op != plan.UpdateProject {
				t.Fatalf("steps: %+v", steps)
			}
			if diff := cmp.Diff(c.want, steps[0].Project.Tags); diff != "" {
				t.Errorf("tags (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(project().Tags, i.Project.Tags); diff != "" {
				t.Errorf("what is desired was changed:\n%s", diff)
			}
		})
	}
}

func TestDigestsTellElementsApart(t *testing.T) {
	was := plan.ImageDigests(image())
	if want := []string{"project/logs", "project/settings", "project/tags", "repository/scanning", "repository/tags"}; !cmp.Equal(want, slices.Sorted(maps.Keys(was))) {
		t.Errorf("elements: %q", slices.Sorted(maps.Keys(was)))
	}
	for element, change := range map[string]func(*plan.Image){
		"repository/scanning": func(i *plan.Image) { i.Repository.ScanOnPush = false },
		"repository/tags":     func(i *plan.Image) { i.Repository.Tags["t1"] = "new" },
		"project/settings":    func(i *plan.Image) { i.Project.ServiceRole = "arn:new" },
		"project/tags":        func(i *plan.Image) { i.Project.Tags["t1"] = "new" },
		"project/logs":        func(i *plan.Image) { i.Project.LogRetentionDays = 1 },
	} {
		for e, digest := range plan.ImageDigests(image(change)) {
			if differs := digest != was[e]; differs != (e == element) {
				t.Errorf("%s changed: %s differs: %t", element, e, differs)
			}
		}
	}
	for e := range plan.ImageDigests(image(named)) {
		if strings.HasPrefix(e, "repository/") {
			t.Errorf("a repository that the config names has %s", e)
		}
	}
	if got := plan.ImageDigests(image(named, func(i *plan.Image) { i.Project = nil })); len(got) > 0 {
		t.Errorf("what is not ours has %v", got)
	}
}

// The JSON of a step is a contract: whoever is shown a plan sees all of it.
func TestTheJSONOfAPlanTellsOfImages(t *testing.T) {
	i := image(halfMadeParts(model.RepositoryPart), sourced(), func(i *plan.Image) {
		i.ObservedProject, i.Applied = nil, nil
		i.Repository.Tags["t1"] = "new"
	})
	first, err := json.Marshal(plan.Compute(nil, nil, i))
	if err != nil {
		t.Fatal(err)
	}
	var read plan.Plan
	if err := json.Unmarshal(first, &read); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(read)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(first), string(again)); diff != "" {
		t.Errorf("(-written +read)\n%s", diff)
	}
	for _, part := range []string{
		`"parts":["project"]`, `"created":{"repository":"2026-11-01T12:00:00Z"}`, `"uri":"registry/repository-a"`, `"buildspec":"version: 0.2"`,
		`"imageTag":"` + model.ImageTag("v1") + `"`, `"element":"project","kind":"missing","repaired":true`,
	} {
		if !strings.Contains(string(first), part) {
			t.Errorf("%s is not in %s", part, first)
		}
	}
}

func TestABuildWaitsForWhatWouldSpoilIt(t *testing.T) {
	theirs := build("v0", model.BuildInProgress)
	theirs.ID, theirs.Identity = "project-a:theirs", ""
	ran := theirs
	ran.State = model.BuildSucceeded
	extras := func(names ...string) func(*plan.Image) {
		return func(i *plan.Image) { i.ObservedProject.Extras = names }
	}
	settled := input(model.BuildRole)
	for name, c := range map[string]struct {
		role  plan.Role
		image plan.Image
		waits string // what is told of it; nothing when it does not wait
		start bool
	}{
		"for nothing":                              {settled, image(sourced()), "", true},
		"for somebody else's build":                {settled, image(sourced(theirs)), "project-a:theirs", false},
		"not for one that has ended":               {settled, image(sourced(ran)), "", true},
		"without a word for ours":                  {settled, image(sourced(build("v0", model.BuildInProgress))), "", false},
		"without a word for ours beside his":       {settled, image(sourced(theirs, build("v0", model.BuildInProgress))), "", false},
		"for the project's own machines":           {settled, image(sourced(), extras("cache", "fleet", "vpc")), "fleet, vpc", false},
		"not for its cache":                        {settled, image(sourced(), extras("cache")), "", true},
		"for a role that is made":                  {input(model.BuildRole, absent), image(sourced()), plan.FreshRole, false},
		"for a role that was made by a run before": {input(model.BuildRole, func(r *plan.Role) { r.Applied = nil }), image(sourced()), plan.FreshRole, false},
		"for a role whose rights are put back": {
			input(model.BuildRole, func(r *plan.Role) { r.Observed.Policies = map[string]string{} }), image(sourced()), plan.FreshRole, false,
		},
		"not for a role's tags":     {input(model.BuildRole, func(r *plan.Role) { r.Observed.Tags = nil }), image(sourced()), "", true},
		"for as long as it is held": {settled, image(sourced(), func(i *plan.Image) { i.Held = true }), plan.FreshRole, false},
		"not when it was built":     {settled, image(sourced(theirs, build("v1", model.BuildFailed))), "", false},
		"not without a source":      {input(model.BuildRole, absent), image(), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			c.image.BuildRole = c.role.Desired.Name
			p := plan.Compute([]plan.Role{c.role}, nil, c.image)
			why := p.Waits["a"]
			if !strings.Contains(why, c.waits) || (why == "") != (c.waits == "") {
				t.Errorf("waits for %q, want %q", why, c.waits)
			}
			if got := slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Op == plan.StartBuild }); got != c.start {
				t.Errorf("starts a build: %v", got)
			}
		})
	}
}

// An image is that of its tag: a later build of the same source took it.
func TestABuildThatAnotherTookTheTagOfIsMadeAgain(t *testing.T) {
	other := build("v1", model.BuildSucceeded)
	other.ID, other.Identity, other.Repository = "project-a:other", "other", repository().URI
	elsewhere, failed := other, other
	elsewhere.Repository, failed.State = "elsewhere", model.BuildFailed
	for name, c := range map[string]struct {
		later model.Build
		start bool
	}{
		"in the same repository": {other, true}, "in another": {elsewhere, false}, "without an image": {failed, false},
	} {
		p := plan.Compute(nil, nil, image(sourced(c.later, build("v1", model.BuildSucceeded))))
		if got := len(p.Steps) == 1 && p.Steps[0].Op == plan.StartBuild; got != c.start {
			t.Errorf("%s: %v", name, lines(p))
		}
	}
}
