package awsfake

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

var agentCoreKindOf = func() map[string]agentCoreKind {
	all := map[string]agentCoreKind{}
	for _, k := range agentCoreKinds() {
		all[k.name] = k
	}
	return all
}()

// vpc is where a resource has its network interfaces.
type vpc struct{ subnets, groups []string }

// key is the same for all resources that share network interfaces.
func (v vpc) key() string {
	return strings.Join(slices.Sorted(slices.Values(v.subnets)), ",") + " " + strings.Join(slices.Sorted(slices.Values(v.groups)), ",")
}

// vpc gives where a resource of the kind has its network interfaces, if it has any.
func (k agentCoreKind) vpc(config map[string]any) (v vpc, in bool) {
	members := []string{"networkConfiguration"}
	switch k.name {
	case "AgentRuntime", "Browser", "CodeInterpreter":
	case "Harness":
		members = []string{"environment", "agentCoreRuntimeEnvironment", "networkConfiguration"}
	default:
		return vpc{}, false
	}
	settings := inner(config, members...)
	if text(settings, "networkMode") != "VPC" {
		return vpc{}, false
	}
	where := inner(settings, "networkModeConfig")
	if where == nil {
		where = inner(settings, "vpcConfig")
	}
	return vpc{texts(where, "subnets"), texts(where, "securityGroups")}, true
}

// texts gives the strings of a member that is a list.
func texts(in map[string]any, member string) []string {
	list, _ := in[member].([]any)
	var all []string
	for _, one := range list {
		if s, ok := one.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

// managedEndpoint reports whether AgentCore makes the connection to what a
// configuration has a private endpoint for.
func managedEndpoint(config map[string]any) bool {
	if inner(config, "privateEndpoint", "managedVpcResource") != nil {
		return true
	}
	overrides, _ := config["privateEndpointOverrides"].([]any)
	return slices.ContainsFunc(overrides, func(one any) bool {
		o, _ := one.(map[string]any)
		return inner(o, "privateEndpoint", "managedVpcResource") != nil
	})
}

// linked gives the services whose service-linked roles a resource of the kind
// needs (AgentCore developer guide, "Using service-linked roles").
func (k agentCoreKind) linked(config map[string]any) []string {
	var services []string
	add := func(needed bool, service string) {
		if needed {
			services = append(services, service)
		}
	}
	_, inVPC := k.vpc(config)
	add(k.name == "AgentRuntime", runtimeIdentityService)
	add(inVPC, networkService)
	add(managedEndpoint(config), gatewayNetworkService) // a target has one at its top
	add(managedEndpoint(inner(config, "authorizerConfiguration", "customJWTAuthorizer")) ||
		managedEndpoint(inner(config, "oauth2ProviderConfigOutput", "customOauth2ProviderConfig")), identityNetworkService)
	add(k.name == "CapacityProvider", runtimeInstancesService)
	return services
}

// LinkedUsage gives what uses the service-linked role of a service: ARNs of
// AgentCore's resources and of its network interfaces, by Region.
func (c *Cloud) LinkedUsage(service string) []types.RoleUsageType {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.linkedUsage(service)
}

func (a *account) linkedUsage(service string) []types.RoleUsageType {
	var all []types.RoleUsageType
	for _, c := range a.regions() {
		c.settle()
		if used := c.usedHere(service); len(used) > 0 {
			all = append(all, types.RoleUsageType{Region: aws.String(c.Region), Resources: used})
		}
	}
	return all
}

func (c *Cloud) usedHere(service string) []string {
	used := map[string]bool{}
	for id, r := range c.core.resources {
		k := agentCoreKindOf[r.kind]
		for _, v := range r.versions {
			if !strings.HasPrefix(id, "aws.") && slices.Contains(k.linked(v.config), service) {
				used[c.arnOf(k, k.path(r.parent, id))] = true
			}
		}
	}
	if service == networkService {
		for _, a := range c.network.managed {
			for _, id := range a.ids {
				used["arn:"+c.Partition+":ec2:"+c.Region+":"+c.Account+":network-interface/"+id] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(used))
}

// settle does what was to be done by now in a Region: to resources and then to
// the network interfaces that they need.
func (c *Cloud) settle() {
	c.attach()
	c.core.settle(c.now)
	c.attach()
	maps.DeleteFunc(c.network.managed, func(_ string, a *attachment) bool {
		return !a.until.IsZero() && !c.now.Before(a.until.Add(c.pace.lingering))
	})
}

// attach makes the network interfaces that resources need and have not, and takes
// down until when they are needed.
func (c *Cloud) attach() {
	needed := map[string]time.Time{}
	for _, p := range c.placed() {
		key := p.where.key()
		if before, known := needed[key]; !known || p.until.After(before) {
			needed[key] = p.until
		}
		if c.network.managed[key] == nil {
			c.network.managed[key] = &attachment{where: p.where, ids: c.newInterfaces(len(p.where.subnets))}
		}
	}
	for key, until := range needed {
		c.network.managed[key].until = until
	}
}

// placed is a version of a resource that is in a VPC.
type placed struct {
	id    string
	where vpc
	until time.Time // when it is gone; zero as long as that is not known
}

// placed gives what is in a VPC, by id.
func (c *Cloud) placed() []placed {
	var all []placed
	for id, r := range c.core.resources {
		for _, v := range r.versions {
			if where, in := agentCoreKindOf[r.kind].vpc(v.config); in {
				all = append(all, placed{id, where, r.until(v)})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return cmp.Compare(a.id, b.id) })
	return all
}

// until gives when a version is gone, zero as long as that is not known.
func (r *agentCoreResource) until(v agentCoreVersion) time.Time {
	var at time.Time
	if r.next == agentCoreGone { // also of one whose deletion will fail: nothing goes before that
		at = r.at
	}
	if v.deleted.IsZero() || !at.IsZero() && at.Before(v.deleted) {
		return at
	}
	return cmp.Or(v.deleted, at)
}
