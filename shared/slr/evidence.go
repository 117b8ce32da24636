package slr

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// kindInterface stands for network interfaces beside the kinds of model.Resource,
// and kindConfig for configs.
const (
	kindInterface = "network-interface"
	kindConfig    = "config"
)

// needs gives the names of the service-linked roles that a resource needs
// (AgentCore developer guide, "Using service-linked roles"; what a private endpoint
// takes, service model bedrock-agentcore-control 2023-06-05).
func needs(r model.Resource) []string {
	var names []string
	switch r.Kind {
	case "runtime":
		names = append(names, desired.RuntimeIdentity().Name)
	case "capacity-provider":
		names = append(names, desired.RuntimeInstances().Name)
	}
	if r.VPC {
		names = append(names, desired.Network().Name)
	}
	switch {
	case r.PrivateEndpoint && r.Kind == "gateway-target":
		names = append(names, desired.GatewayNetwork().Name)
	case r.PrivateEndpoint:
		names = append(names, desired.IdentityNetwork().Name)
	}
	return names
}

// kindsOf gives the kinds of resources that may need a role.
func kindsOf(role string) []string {
	switch role {
	case desired.Network().Name:
		return []string{"runtime", "browser", "code-interpreter", "harness", kindInterface, kindConfig}
	case desired.RuntimeIdentity().Name:
		return []string{"runtime", kindConfig}
	case desired.GatewayNetwork().Name:
		return []string{"gateway", "gateway-target"}
	case desired.RuntimeInstances().Name:
		return []string{"capacity-provider"}
	}
	return []string{"runtime", "gateway", "harness", "payment-manager", "registry", "oauth2-credential-provider"}
}

// seen is what a look sees of everything but the roles themselves.
type seen struct {
	regions    []model.LinkedRegion
	uses       map[string][]model.LinkedNeed // by role
	asks       map[string][]model.LinkedNeed // by role
	interfaces []model.LinkedNeed
	unread     map[string][]string // by kind
	soon       bool                // what could not be read may be readable soon
}

// survey reads the Regions and the configs.
func (w Watch) survey(ctx context.Context, before model.ServiceLinkedRoles, now time.Time) (seen, error) {
	s := seen{uses: map[string][]model.LinkedNeed{}, unread: map[string][]string{}}
	all := make([]surveyed, len(w.Regions))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, name := range w.Regions {
		group.Go(func() (err error) {
			all[i], err = w.region(groupCtx, name)
			return err
		})
	}
	var refused []string
	group.Go(func() (err error) {
		s.asks, refused, err = w.configs(groupCtx)
		return err
	})
	if err := group.Wait(); err != nil {
		return seen{}, err
	}
	s.unread[kindConfig] = refused
	for i, name := range w.Regions {
		was := model.LinkedRegion{Name: name}
		if n := slices.IndexFunc(before.Regions, func(r model.LinkedRegion) bool { return r.Name == name }); n >= 0 {
			was = before.Regions[n]
		}
		s.add(all[i], was, now)
	}
	return s, nil
}

// add puts what was seen of a Region to the rest.
func (s *seen) add(of surveyed, was model.LinkedRegion, now time.Time) {
	region := model.LinkedRegion{Name: was.Name, Resources: len(of.resources), Interfaces: len(of.interfaces), VPCSeen: was.VPCSeen, VPCGone: was.VPCGone}
	vpc := false
	for _, r := range of.resources {
		vpc = vpc || r.VPC
		for _, role := range needs(r) {
			s.uses[role] = append(s.uses[role], model.LinkedNeed{Kind: r.Kind, Name: cmp.Or(r.ARN, r.ID), Region: was.Name, Status: r.Status})
		}
	}
	for _, id := range of.interfaces {
		s.interfaces = append(s.interfaces, model.LinkedNeed{Kind: kindInterface, Name: id, Region: was.Name})
	}
	unsure := false
	for _, kind := range slices.Sorted(maps.Keys(of.unread)) {
		err := of.unread[kind]
		text := fmt.Sprintf("%s of %s: %s", kind, was.Name, clip(err.Error()))
		s.unread[kind], region.Unread = append(s.unread[kind], text), append(region.Unread, text)
		unsure = unsure || slices.Contains(kindsOf(desired.Network().Name), kind)
		s.soon = s.soon || fault.Of(err) == fault.Retry && !nowhere(err)
	}
	switch {
	case vpc:
		region.VPCSeen, region.VPCGone = now, time.Time{}
	case !unsure && !region.VPCSeen.IsZero() && region.VPCGone.IsZero():
		region.VPCGone = now
	}
	s.regions = append(s.regions, region)
}

// nowhere reports whether a Region has no such service, for all that its name
// tells: no look that comes soon finds another.
func nowhere(err error) bool {
	var name *net.DNSError
	return errors.As(err, &name) && name.IsNotFound
}

// surveyed is what was read of a Region.
type surveyed struct {
	resources  []model.Resource
	interfaces []string
	unread     map[string]error // by kind
}

// maxResources bounds what is remembered of a Region in bytes.
const maxResources = 16 << 20

// region reads one Region. What cannot be read of it is no error: it is told.
func (w Watch) region(ctx context.Context, name string) (surveyed, error) {
	key := naming.ResourcesKey(name)
	o, err := w.Store.GetUpTo(ctx, key, maxResources)
	if err != nil && !errors.Is(err, fault.ErrNotFound) {
		return surveyed{}, err
	}
	known, err := model.ParseResources(o.Body)
	if err != nil || known.Region != name {
		known = model.Resources{} // it is read anew
	}
	from, of := w.Region(name), surveyed{}
	of.resources, of.unread = from.Resources.Resources(ctx, known.All)
	if of.unread == nil {
		of.unread = map[string]error{}
	}
	if of.interfaces, err = from.Interfaces.Managed(ctx); err != nil {
		of.unread[kindInterface] = err
	}
	slices.SortFunc(of.resources, func(a, b model.Resource) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) })
	return of, w.remember(ctx, key, o, model.Resources{V: 1, Region: name, All: of.resources})
}

// remember keeps what was read of a Region for the next look, which would only
// read it again without.
func (w Watch) remember(ctx context.Context, key string, o model.Object, all model.Resources) error {
	body, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("encode resources of %s: %w", all.Region, err)
	}
	if string(body) == string(o.Body) || len(body) > maxResources {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	if _, err = w.put(ctx, key, body, o.ETag); errors.Is(err, fault.ErrConflict) {
		return nil // another look has just done so
	}
	return err
}

// reads is how many configs are read at the same time.
const reads = 16

// configs gives what configs ask for, by role, and which are refused or may not be
// read.
func (w Watch) configs(ctx context.Context) (asks map[string][]model.LinkedNeed, refused []string, err error) {
	entries, err := w.Store.Entries(ctx, naming.ConfigPrefix)
	if err != nil {
		return nil, nil, err
	}
	entries = slices.DeleteFunc(entries, func(e model.Entry) bool { return naming.CheckConfigKey(e.Key) != nil })
	roles, why := make([][]desired.ServiceLinkedRole, len(entries)), make([]string, len(entries))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(reads)
	for i, e := range entries {
		group.Go(func() error {
			o, err := w.Store.GetUpTo(groupCtx, e.Key, agent.MaxBytes+1)
			if errors.Is(err, fault.ErrNotFound) {
				return nil
			}
			if errors.Is(err, fault.ErrDenied) { // who wrote it may have chosen its key and its storage class
				why[i] = clip(err.Error())
				return nil
			}
			if err != nil {
				return err
			}
			cfg, problems := agent.Parse(o.Body, w.Place)
			if fault.Blocks(problems) {
				why[i] = e.Key + " is refused"
				return nil
			}
			roles[i] = desired.ServiceLinkedRolesOf(cfg)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	asks = map[string][]model.LinkedNeed{}
	for i, e := range entries {
		if why[i] != "" {
			refused = append(refused, why[i]+", so what it asks for is not known")
		}
		for _, role := range roles[i] {
			asks[role.Name] = append(asks[role.Name], model.LinkedNeed{Kind: kindConfig, Name: e.Key, Region: w.Place.Region})
		}
	}
	return asks, refused, nil
}
