package main

import (
	"encoding/json"
	"maps"
	"slices"

	"rolekeeper/shared/model"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/policy"
)

// The JSON of plan, a contract: every key is always there.
type (
	planView struct {
		Config    string               `json:"config"`
		VersionID string               `json:"versionId"`
		Gone      bool                 `json:"gone"`
		Error     string               `json:"error"` // why there is no plan; only with --all
		Steps     []stepView           `json:"steps"`
		Findings  []plan.Finding       `json:"findings"`
		Refusals  []refusalView        `json:"refusals"`
		Losses    []lossView           `json:"losses"`
		Adoptable map[string]string    `json:"adoptable"`
		Builds    map[string]buildView `json:"builds"`
		Waits     map[string]string    `json:"waits"`
		Removed   []string             `json:"removed"`
		Leaving   []leaverView         `json:"leaving"`
		Problems  []problemView        `json:"problems"`
	}
	stepView struct {
		Op       plan.Op          `json:"op"`
		Reason   plan.Reason      `json:"reason"`
		Agent    string           `json:"agent"`
		Role     string           `json:"role"`
		Element  string           `json:"element"`
		Policy   string           `json:"policy"`
		Service  string           `json:"service"`
		Kinds    []model.RoleKind `json:"kinds"`
		Adopting []model.RoleKind `json:"adopting"`
		Parts    []model.Part     `json:"parts"`
		Before   any              `json:"before"`
		After    any              `json:"after"`
	}
	refusalView struct {
		Agent   string           `json:"agent"`
		Role    string           `json:"role"`
		ARN     string           `json:"arn"`
		Kind    plan.RefusalKind `json:"kind"`
		Message string           `json:"message"`
		Fix     string           `json:"fix"`
	}
	lossView struct {
		Role    string         `json:"role"`
		Policy  string         `json:"policy"`
		By      plan.LossCause `json:"by"`
		Grant   policy.Grant   `json:"grant"`
		Message string         `json:"message"`
	}
	// A build that an operator can ask for. A step that starts one has it, too.
	buildView struct {
		Project       string `json:"project"`
		Identity      string `json:"identity"`
		SourceVersion string `json:"sourceVersion"`
		ImageTag      string `json:"imageTag"`
		Latest        bool   `json:"latest"`
	}
	// What stands in before and after, where it is neither a document nor a text
	// nor a number nor a map of tags.
	settingsView struct {
		Description        string `json:"description"`
		MaxSessionDuration int32  `json:"maxSessionDuration"`
	}
	newRoleView struct {
		ARN                 string            `json:"arn"`
		Trust               json.RawMessage   `json:"trust"`
		PermissionsBoundary string            `json:"permissionsBoundary"`
		Tags                map[string]string `json:"tags"`
		settingsView
	}
	newRepositoryView struct {
		ARN        string            `json:"arn"`
		URI        string            `json:"uri"`
		ScanOnPush bool              `json:"scanOnPush"`
		Tags       map[string]string `json:"tags"`
	}
	newProjectView struct {
		ARN string `json:"arn"`
		changedProjectView
	}
	changedProjectView struct {
		model.ProjectSettings
		Tags map[string]string `json:"tags"`
	}
)

func newPlanView(key string) planView {
	return planView{
		Config: key, Steps: []stepView{}, Findings: []plan.Finding{}, Refusals: []refusalView{}, Losses: []lossView{},
		Adoptable: map[string]string{}, Builds: map[string]buildView{}, Waits: map[string]string{}, Removed: []string{}, Leaving: []leaverView{}, Problems: []problemView{},
	}
}

func (l lookedAt) view() planView {
	if l.err != nil {
		v := newPlanView(l.key)
		v.Error = l.err.Error()
		return v
	}
	return l.planned.view()
}

func (p planned) view() planView {
	v := newPlanView(p.Key)
	v.VersionID, v.Gone = p.VersionID, p.Gone
	for _, s := range p.Plan.Steps {
		v.Steps = append(v.Steps, p.step(s))
	}
	v.Findings = append(v.Findings, p.Plan.Findings...)
	for _, f := range p.Plan.Refusals {
		v.Refusals = append(v.Refusals, refusalView{f.Agent, f.Role, f.ARN, f.Kind, f.Message, f.Fix})
	}
	for _, role := range slices.Sorted(maps.Keys(p.losses)) {
		for _, l := range p.losses[role] {
			v.Losses = append(v.Losses, lossView{role, l.Policy, l.By, l.Grant, l.String()})
		}
	}
	maps.Copy(v.Adoptable, p.waits())
	maps.Copy(v.Waits, p.Plan.Waits)
	for agent, o := range p.Builds {
		v.Builds[agent] = viewBuild(o)
	}
	v.Removed = append(v.Removed, p.Removed...)
	for _, l := range p.leaving() {
		v.Leaving = append(v.Leaving, l.view())
	}
	v.Problems = viewProblems(p.Problems)
	return v
}

func viewBuild(o model.BuildOrder) buildView {
	return buildView{o.Project, o.Identity, o.SourceVersion, o.ImageTag, o.Latest}
}

func (p planned) step(s plan.Step) stepView {
	v := stepView{
		Op: s.Op, Reason: s.Reason, Agent: s.Agent, Role: s.Role, Element: s.Element, Policy: s.Policy, Service: s.Service,
		Kinds: append([]model.RoleKind{}, s.Kinds...), Adopting: append([]model.RoleKind{}, s.Adopting...),
		Parts: append([]model.Part{}, s.Parts...),
	}
	d, o := s.Desired, p.look.seen.role(s.Role)
	switch s.Op {
	case plan.CreateRole:
		v.After = newRoleView{d.ARN, json.RawMessage(d.Trust.JSON()), d.PermissionsBoundary, d.Tags, settingsView{d.Description, d.MaxSessionDuration}}
	case plan.PutBoundary:
		if o.PermissionsBoundary != "" {
			v.Before = o.PermissionsBoundary
		}
		v.After = d.PermissionsBoundary
	case plan.TagRole:
		v.Before, v.After = ours(o.Tags, d.Tags), d.Tags
	case plan.UpdateTrust:
		v.Before, v.After = document(o.Trust), document(d.Trust.JSON())
	case plan.PutPolicy:
		v.Before, v.After = document(o.Policies[s.Policy]), document(d.Policies[s.Policy].JSON())
	case plan.DeletePolicy:
		v.Before = document(o.Policies[s.Policy])
	case plan.UpdateSettings:
		v.Before, v.After = settingsView{o.Description, o.MaxSessionDuration}, settingsView{d.Description, d.MaxSessionDuration}
	default:
		p.imageStep(&v, s)
	}
	return v
}

// imageStep fills in what a step writes that is about an image.
func (p planned) imageStep(v *stepView, s plan.Step) {
	switch s.Op {
	case plan.CreateRepository:
		v.After = newRepositoryView{s.Repository.ARN, s.Repository.URI, s.Repository.ScanOnPush, s.Repository.Tags}
	case plan.ScanOnPush:
		v.Before, v.After = p.look.seen.repositories.seen(s.Role).ScanOnPush, s.Repository.ScanOnPush
	case plan.TagRepository:
		v.Before, v.After = ours(p.look.seen.repositories.seen(s.Role).Tags, s.Repository.Tags), s.Repository.Tags
	case plan.CreateProject:
		v.After = newProjectView{s.Project.ARN, changedProjectView{s.Project.ProjectSettings, s.Project.Tags}}
	case plan.UpdateProject:
		o, _ := p.look.seen.projects.seen(s.Role)
		v.Before, v.After = changedProjectView{o.ProjectSettings, ours(o.Tags, s.Project.Tags)}, changedProjectView{s.Project.ProjectSettings, s.Project.Tags}
	case plan.CreateLogGroup:
		v.After = s.Project.LogGroup
	case plan.RetainLogs:
		v.After = s.Project.LogRetentionDays
	case plan.StartBuild:
		v.After = viewBuild(*s.Build)
	}
}

// ours gives those of a role's tags that are to have another value, or the same.
func ours(tags, desired map[string]string) map[string]string {
	found := map[string]string{}
	for key := range desired {
		if value, there := tags[key]; there {
			found[key] = value
		}
	}
	return found
}

// document gives a policy document as JSON has it: an object, null when there is
// none, and a text when what IAM holds is no JSON.
func document(raw string) any {
	switch {
	case raw == "":
		return nil
	case json.Valid([]byte(raw)):
		return json.RawMessage(raw)
	}
	return raw
}
