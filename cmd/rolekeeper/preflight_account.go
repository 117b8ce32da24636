package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cloudtrailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/shared/desired"
	"rolekeeper/shared/event"
	"rolekeeper/shared/naming"
)

// What a trail is for.
const (
	runtimesTold = "Events tell of deleted runtimes"
	runtimesLate = "Deleted runtimes are noticed by the scheduled pass alone"
	rolesLate    = "changes of roles by hand are noticed by the scheduled pass alone"
)

// cloudTrail looks for trails that log what EventBridge is to tell of: management
// write events of this Region, where runtimes are, and of the Region that IAM's
// events are in. EventBridge has API calls only from a trail
// (EventBridge user guide, "AWS service events delivered via CloudTrail").
func (i *inspection) cloudTrail(ctx context.Context) finding {
	const check, subject = "cloudtrail", "management write events"
	trails, err := i.allTrails(ctx)
	if err != nil {
		return notRead(check, subject, err)
	}
	global := event.IAMRegion(i.region)
	l, err := i.logged(ctx, trails, global)
	rolesTold := "of changes of roles by hand"
	if i.region != global {
		rolesTold += fmt.Sprintf(", once the forwarder (events/forwarder.yaml) is deployed in %s", global)
	}
	switch {
	case l.runtimes && l.roles:
		return found(check, subject, levelOK, "logged by %s. %s, and %s", strings.Join(l.by, ", "), runtimesTold, rolesTold)
	case err != nil:
		return notRead(check, subject, err)
	case l.runtimes:
		return found(check, subject, levelWarning, "logged by %s for this Region, but for %s, where IAM's events are, by no trail. %s; %s", strings.Join(l.by, ", "), global, runtimesTold, rolesLate).
			fixed("make the trail one of all Regions")
	}
	return found(check, subject, levelWarning, "logged by no trail. %s; %s", runtimesLate, rolesLate).
		fixed("have a trail of all Regions log them: the first copy of management events costs nothing")
}

// logging says whose management write events trails log, and which trails do.
type logging struct {
	runtimes, roles bool
	by              []string
}

// logged asks about trails until all is logged. Its error is about trails that
// could not be asked.
func (i *inspection) logged(ctx context.Context, trails []cloudtrailtypes.Trail, global string) (logging, error) {
	var l logging
	var errs []error
	for _, t := range trails {
		everywhere, home := aws.ToBool(t.IsMultiRegionTrail), aws.ToString(t.HomeRegion)
		runtimes := everywhere || home == i.region
		roles := everywhere || home == global && aws.ToBool(t.IncludeGlobalServiceEvents)
		if (l.runtimes || !runtimes) && (l.roles || !roles) {
			continue
		}
		logs, err := i.logsWrites(ctx, t)
		if err != nil {
			errs = append(errs, err)
		}
		if logs {
			l.runtimes, l.roles = l.runtimes || runtimes, l.roles || roles
			l.by = append(l.by, aws.ToString(t.Name))
		}
	}
	return l, errors.Join(errs...)
}

func selectsWrites(s cloudtrailtypes.EventSelector) bool {
	return aws.ToBool(s.IncludeManagementEvents) &&
		(s.ReadWriteType == cloudtrailtypes.ReadWriteTypeAll || s.ReadWriteType == cloudtrailtypes.ReadWriteTypeWriteOnly)
}

// selectsWritesAdvanced reports whether a selector takes all management write
// events of IAM and AgentCore. A filter that it does not know counts as one
// that leaves some out.
func selectsWritesAdvanced(s cloudtrailtypes.AdvancedEventSelector) bool {
	management := false
	for _, f := range s.FieldSelectors {
		switch aws.ToString(f.Field) {
		case "eventCategory":
			management = slices.Contains(f.Equals, "Management")
		case "readOnly":
			if !slices.Contains(f.Equals, "false") {
				return false
			}
		case "eventSource":
			if len(f.Equals)+len(f.StartsWith)+len(f.EndsWith)+len(f.NotStartsWith)+len(f.NotEndsWith) > 0 ||
				slices.Contains(f.NotEquals, "iam.amazonaws.com") || slices.Contains(f.NotEquals, "bedrock-agentcore.amazonaws.com") {
				return false
			}
		default:
			return false
		}
	}
	return management
}

// How full a quota may be, in percent.
const (
	quotaWarning = 80 // above
	quotaBad     = 98 // from here on
)

func (i *inspection) quotas(ctx context.Context) []finding {
	n, err := i.summary(ctx)
	quota := func(name, room string) finding {
		const check = "quota"
		used, counted := n[name]
		most, limited := n[name+"Quota"]
		switch {
		case err != nil:
			return notRead(check, name, err)
		case !counted || !limited:
			return notRead(check, name, fmt.Errorf("IAM's summary of the account lacks %s or %[1]sQuota", name))
		}
		f := found(check, name, levelOK, "%d of %d used%s", used, most, room)
		switch percent := int64(used) * 100; {
		case percent >= quotaBad*int64(most):
			f.Level = levelBad
		case percent > quotaWarning*int64(most):
			f.Level = levelWarning
		default:
			return f
		}
		return f.fixed("have Service Quotas raise IAM's quota in " + event.IAMRegion(i.region) + ", or delete what nothing uses")
	}
	return []finding{
		quota("Roles", fmt.Sprintf(": room for the two roles of %d more agents", max(0, n["RolesQuota"]-n["Roles"])/2)),
		quota("Policies", ""),
	}
}

// serviceLinkedRoles looks for the two that runtimes need.
func (i *inspection) serviceLinkedRoles() []finding {
	var all []finding
	for _, r := range []struct {
		desired.ServiceLinkedRole
		without string
	}{{desired.RuntimeIdentity(), "agents"}, {desired.Network(), "agents in a VPC"}} {
		const check = "service-linked-role"
		switch {
		case i.rolesErr != nil:
			all = append(all, notRead(check, r.Name, i.rolesErr))
		case i.role(r.Name) != nil:
			all = append(all, found(check, r.Name, levelOK, "there"))
		default:
			f := found(check, r.Name, levelOK, "not there; Rolekeeper makes it for the first agent that needs it, with EnsureServiceLinkedRoles=false this command does")
			if i.settingsErr != nil {
				f = notRead(check, r.Name, i.settingsErr)
			} else if i.linkedRolesByHand {
				f = found(check, r.Name, levelWarning, "not there, and EnsureServiceLinkedRoles is false: %s cannot be deployed", r.without).fixed("make it")
			}
			f.Commands = []string{i.command("iam", "create-service-linked-role", "--aws-service-name", r.Service)}
			all = append(all, f)
		}
	}
	return all
}

// agentsRoles looks at the roles that have agents' names: who may pass such
// roles by their names can pass all of them.
func (i *inspection) agentsRoles() finding {
	const check = "agents-roles"
	subject := fmt.Sprintf("%s%s-*, %s%[2]s-*", naming.RuntimeRolePrefix, i.region, naming.BuildRolePrefix)
	if i.rolesErr != nil {
		return notRead(check, subject, i.rolesErr)
	}
	count := 0
	var open []string
	for _, r := range i.roles {
		name := aws.ToString(r.RoleName)
		if !strings.HasPrefix(name, naming.RuntimeRolePrefix+i.region+"-") && !strings.HasPrefix(name, naming.BuildRolePrefix+i.region+"-") {
			continue
		}
		count++
		if unbounded(r) {
			open = append(open, fmt.Sprintf("%s, made %s", name, moment(aws.ToTime(r.CreateDate))))
		}
	}
	switch {
	case count == 0:
		return found(check, subject, levelOK, "none there")
	case len(open) == 0:
		return found(check, subject, levelOK, "%d there, all with a permissions boundary", count)
	}
	slices.Sort(open)
	f := found(check, subject, levelWarning, "%d there, %d of them without a permissions boundary: developers may pass agents' roles by their names, "+
		"and these do whatever their policies say", count, len(open)).
		fixed("after the deploy have Rolekeeper adopt them (ExistingRoles), which gives them the boundary; delete those that nothing uses")
	f.Details = open
	return f
}

func unbounded(r iamtypes.RoleDetail) bool {
	return r.PermissionsBoundary == nil || aws.ToString(r.PermissionsBoundary.PermissionsBoundaryArn) == ""
}
