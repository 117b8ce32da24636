// Package intake turns the events of the inbox queue into messages of the work
// queue: one message, one config to look at.
package intake

import (
	"context"
	"errors"
	"fmt"

	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// Queue is what intake needs of the work queue.
type Queue interface {
	Send(ctx context.Context, m event.Message) error
}

// Objects is what is read of the config bucket. Get answers fault.ErrNotFound
// for absence only.
type Objects interface {
	Get(ctx context.Context, key string) (model.Object, error)
}

// Intake is the pipeline of functions/intake.
type Intake struct {
	Here    event.Here
	Objects Objects
	Work    Queue
}

// Handle decodes the inbox message and sends on which config to look at. The
// same inbox message leads to the same work message, however often it comes.
func (i Intake) Handle(ctx context.Context, id, body string) error {
	look, err := event.Decode(body, i.Here)
	if err != nil {
		return err
	}
	if look.Key == "" {
		if look.Key, err = i.config(ctx, look); err != nil {
			return err
		}
	}
	m, err := look.Message(id)
	if err != nil {
		return err
	}
	return i.Work.Send(ctx, m)
}

// config gives the key of the config that an event leads to which does not name
// it: one object of the config bucket does.
func (i Intake) config(ctx context.Context, look event.Look) (string, error) {
	switch {
	case look.Request != "":
		return i.requested(ctx, look.Request)
	case look.Agent != "":
		return i.sourceOf(ctx, look)
	case look.Runtime != "":
		return i.runtimeOf(ctx, look)
	case look.Role != "":
		return i.roleOf(ctx, look)
	}
	return i.buildOf(ctx, look)
}

// sourceOf gives the key of the config that has the agent whose source came. The
// source of a team is the agent's only when the config is of that team: another
// may have an agent of the name.
func (i Intake) sourceOf(ctx context.Context, look event.Look) (string, error) {
	claim, err := i.roleClaim(ctx, look.Agent)
	switch {
	case err != nil:
		return "", fmt.Errorf("source of agent %s: %w", look.Agent, err)
	case look.Team != "" && look.Team != naming.Team(claim.Config):
		return "", fault.Errorf(fault.Ignored, "source of agent %s: it is in folder %.220q, and the agent is of %s", look.Agent, look.Team, claim.Config)
	}
	return claim.Config, nil
}

// runtimeOf gives the key of the config that has the agent whose name the runtime
// has. Whether it is the agent's own, its role tells: the look finds out.
func (i Intake) runtimeOf(ctx context.Context, look event.Look) (string, error) {
	agent, _ := naming.RuntimeAgent(look.Runtime)
	claim, err := i.roleClaim(ctx, agent)
	if err != nil {
		return "", fmt.Errorf("runtime %s: %w", look.Runtime, err)
	}
	return claim.Config, nil
}

// roleOf gives the key of the config whose agent has the role that was changed.
// The claim is there also when the role is not: it was deleted by hand.
func (i Intake) roleOf(ctx context.Context, look event.Look) (string, error) {
	hash, _ := naming.RoleHash(i.Here.Region, look.Role)
	key := naming.RoleClaimKeyOf(hash)
	claim, err := i.claim(ctx, key)
	switch {
	case err != nil:
		return "", fmt.Errorf("role %s: %w", look.Role, err)
	case naming.RoleClaimKey(claim.Agent) != key:
		return "", fault.Errorf(fault.Ignored, "role %s: %s is on agent %s", look.Role, key, claim.Agent)
	}
	return claim.Config, nil
}

// buildOf gives the key of the config whose agent has the project that built.
func (i Intake) buildOf(ctx context.Context, look event.Look) (string, error) {
	key, _ := naming.ProjectClaimKeyOf(look.Project)
	claim, err := i.claim(ctx, key)
	switch {
	case err != nil:
		return "", fmt.Errorf("build of project %s: %w", look.Project, err)
	case naming.Project(claim.Agent) != look.Project:
		return "", fault.Errorf(fault.Ignored, "build of project %s: %s is on agent %s", look.Project, key, claim.Agent)
	}
	return claim.Config, nil
}

// roleClaim reads the claim on an agent's name. The error is of class Ignored
// when there is none, or it is another agent's.
func (i Intake) roleClaim(ctx context.Context, agent string) (model.Claim, error) {
	key := naming.RoleClaimKey(agent)
	claim, err := i.claim(ctx, key)
	if err == nil && claim.Agent != agent { // their names have one hash
		err = fault.Errorf(fault.Ignored, "%s is on agent %s", key, claim.Agent)
	}
	return claim, err
}

// claim reads a claim. The error is of class Ignored when there is none: the
// config that will take it looks for the source and the builds by itself, and the
// scheduled pass finds the runtimes.
func (i Intake) claim(ctx context.Context, key string) (model.Claim, error) {
	object, err := i.Objects.Get(ctx, key)
	if errors.Is(err, fault.ErrNotFound) {
		return model.Claim{}, fault.Errorf(fault.Ignored, "no config has %s: %w", key, err)
	}
	if err != nil {
		return model.Claim{}, err
	}
	claim, err := model.ParseClaim(object.Body)
	if err == nil {
		err = naming.CheckConfigKey(claim.Config)
	}
	if err != nil {
		return model.Claim{}, fmt.Errorf("%s: %w", key, err)
	}
	return claim, nil
}

// requested gives the key of the config that an operator's request is for. Its
// own key only tells whether it is for the config it names.
func (i Intake) requested(ctx context.Context, key string) (config string, err error) {
	object, err := i.Objects.Get(ctx, key)
	if errors.Is(err, fault.ErrNotFound) {
		return "", fault.Errorf(fault.Ignored, "request %s is gone: %w", key, err)
	}
	if err != nil {
		return "", err
	}
	r, err := model.ParseRequest(object.Body)
	if err == nil {
		err = naming.CheckConfigKey(r.Config)
	}
	if err == nil && naming.RequestKey(r.Config, r.ID) != key {
		err = fmt.Errorf("it is request %s for %s, and was put where it does not belong", r.ID, r.Config)
	}
	if err != nil {
		return "", fault.Errorf(fault.Poison, "%s: %w", key, err)
	}
	return r.Config, nil
}
