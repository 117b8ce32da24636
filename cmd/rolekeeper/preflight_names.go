package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
	"rolekeeper/shared/settings"
)

// deployment says whether the stack is there, and so whose its names are.
type deployment int

const (
	notDeployed deployment = iota // names that are there are in its way
	isDeployed
	maybeDeployed // could not be read
)

// The names that template.yaml gives, beside those in package naming.

func stackRoles(region string) []string {
	return []string{
		"rolekeeper-intake-" + region, "rolekeeper-reconcile-" + region, "rolekeeper-drift-" + region, "rolekeeper-drift-schedule-" + region,
		"rolekeeper-slrwatch-" + region, "rolekeeper-slrwatch-schedule-" + region,
	}
}

func stackPolicies(region string) []string {
	return []string{"RolekeeperDeveloperPolicy-" + region, "RolekeeperOperatorPolicy-" + region}
}

func stackQueues() []string {
	return []string{
		"rolekeeper-inbox", "rolekeeper-inbox-dead-letters", "rolekeeper-work.fifo", "rolekeeper-work-dead-letters.fifo",
		"rolekeeper-slrwatch", "rolekeeper-slrwatch-dead-letters",
	}
}

// role finds a role by its name, which IAM compares without case; nil when
// there is none.
func (i *inspection) role(name string) *iamtypes.RoleDetail {
	n := slices.IndexFunc(i.roles, func(r iamtypes.RoleDetail) bool { return strings.EqualFold(aws.ToString(r.RoleName), name) })
	if n < 0 {
		return nil
	}
	return &i.roles[n]
}

// stackOf gives the stack that made a role: CloudFormation tags what it makes
// (user guide, "Resource tag"). Empty for a role that it did not make.
func stackOf(r *iamtypes.RoleDetail) string {
	for _, t := range r.Tags {
		if aws.ToString(t.Key) == "aws:cloudformation:stack-name" {
			return aws.ToString(t.Value)
		}
	}
	return ""
}

// stackAndParameter finds out whether the stack is deployed, and its settings:
// only it makes its parameter, and its first versions made none but the roles.
func (i *inspection) stackAndParameter(ctx context.Context) []finding {
	value, there, err := i.parameter(ctx, naming.SettingsParameter(i.flags.stack))
	var makers []string
	for _, n := range stackRoles(i.region) {
		if r := i.role(n); r != nil {
			makers = append(makers, stackOf(r))
		}
	}
	stack := i.stackFinding(there, err, makers)
	return []finding{stack, i.parameterFinding(value, there, err)}
}

// parameterFinding judges the stack's parameter and takes the settings in it
// over to the flags that were not given.
func (i *inspection) parameterFinding(value string, there bool, err error) finding {
	const check = "parameter"
	name := naming.SettingsParameter(i.flags.stack)
	f := i.taken(check, name, there, err, "delete it")
	if err != nil && i.deployed != notDeployed {
		i.settingsErr = err
	}
	if !there {
		return f
	}
	p, err := settings.ParseStored([]byte(value), i.place())
	if err != nil {
		i.settingsErr = errors.New("the stack's parameter is malformed, so its settings are not known until it is mended")
		f = found(check, name, levelBad, "malformed: the stack's functions refuse to work with it").
			fixed("mend the stack's parameters that the faults name and deploy; a change by hand is lost with the next deploy")
		f.Details = strings.Split(err.Error(), "\n")
		return f
	}
	// The parameter has the names of what the stack made itself, too.
	own := shape(settings.Parameters{}, i.place())
	for _, s := range []struct {
		flag, parameter, value, own string
		to                          *string
	}{
		{"source-bucket", "SourceBucketName", p.SourceBucketName, own.SourceBucket, &i.flags.sourceBucket},
		{"boundary", "PermissionsBoundaryArn", p.PermissionsBoundaryArn, own.PermissionsBoundary, &i.flags.boundary},
		{"team-tag", "TeamTag", p.TeamTag, "", &i.flags.teamTag},
	} {
		if !i.flags.given(s.flag) && s.value != "" && s.value != s.own {
			*s.to = s.value
			f.Details = append(f.Details, fmt.Sprintf("%s=%s is taken from it, since --%s is not given", s.parameter, s.value, s.flag))
		}
	}
	if i.linkedRolesByHand = !p.EnsureServiceLinkedRoles; i.linkedRolesByHand {
		f.Details = append(f.Details, "EnsureServiceLinkedRoles=false is taken from it")
	}
	return f
}

// unsettled gives why a setting is not known that no flag gives: nil when it is.
func (i *inspection) unsettled(flag string) error {
	if i.settingsErr == nil || i.flags.given(flag) {
		return nil
	}
	return i.settingsErr
}

// stackFinding takes whether the parameter is there, and which stacks made the
// roles that have the names of the stack's.
func (i *inspection) stackFinding(parameter bool, parameterErr error, makers []string) finding {
	const check = "stack"
	stack := i.flags.stack
	other := slices.IndexFunc(makers, func(s string) bool { return s != "" })
	switch {
	case parameter || slices.Contains(makers, stack):
		i.deployed = isDeployed
		return found(check, stack, levelOK, "deployed here; a deploy updates it")
	case i.rolesErr != nil:
		i.deployed, i.unknown = maybeDeployed, i.rolesErr
		return notRead(check, stack, i.rolesErr)
	case other >= 0:
		return found(check, stack, levelBad, "not deployed here, and stack %s is: an account has room for one in each Region", makers[other]).
			fixed(fmt.Sprintf("deploy to stack %s (preflight --stack %[1]s), or delete that stack first", makers[other]))
	case parameterErr != nil && len(makers) > 0:
		i.deployed, i.unknown = maybeDeployed, parameterErr
		return notRead(check, stack, parameterErr)
	}
	return found(check, stack, levelOK, "not deployed here; a deploy makes it")
}

// taken judges a name that the stack takes by whether it is there; fix is for
// one that is in the way.
func (i *inspection) taken(check, name string, there bool, err error, fix string, commands ...string) finding {
	switch {
	case err != nil:
		return notRead(check, name, err)
	case !there:
		return found(check, name, levelOK, "not there; a deploy makes it")
	case i.deployed == isDeployed:
		return found(check, name, levelOK, "there, and the stack is deployed")
	case i.deployed == maybeDeployed:
		f := notRead(check, name, i.unknown)
		f.What = "there, and nobody knows whose, nor whether the stack is deployed: " + f.What
		return f
	}
	return found(check, name, levelBad, "there already, and stack %s is not deployed: the deploy would stop at this name", i.flags.stack).fixed(fix, commands...)
}

func (i *inspection) configBucket(ctx context.Context) finding {
	const check = "config-bucket"
	name := naming.ConfigBucket(i.id, i.region)
	place, err := i.bucketPlace(ctx, name)
	switch place {
	case bucketForeign:
		return found(check, name, levelBad, "belongs to another account, which took the name").
			fixed("do not upload to it; have AWS support remove it, or use another Region: the stack knows no other name")
	case bucketElsewhere:
		return found(check, name, levelBad, "there, but in another Region").fixed("delete it; its name is this Region's")
	}
	return i.taken(check, name, place == bucketHere, err,
		"a deleted stack left it: it is Rolekeeper's memory of the agents' roles. Import it into the new stack with these commands, then deploy "+
			"(until then preflight cannot see that the bucket is the stack's); or empty and delete it when nothing in it is needed", i.importConfigBucket(name)...)
}

// importConfigBucket gives the commands that make a stack of the bucket that is
// there. An import makes nothing, so the stack holds just the bucket until the
// deploy (CloudFormation user guide, "Create a stack from existing resources").
func (i *inspection) importConfigBucket(name string) []string {
	type object = map[string]any
	const logical, kind, changes = "ConfigBucket", "AWS::S3::Bucket", "import-config-bucket"
	template := compact(object{"Resources": object{logical: object{
		"Type": kind, "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": object{"BucketName": name},
	}}})
	resources := compact([]object{{"ResourceType": kind, "LogicalResourceId": logical, "ResourceIdentifier": object{"BucketName": name}}})
	of := func(words ...string) string {
		return i.command(append([]string{"cloudformation"}, append(words, "--stack-name", i.flags.stack)...)...)
	}
	return []string{
		of("create-change-set", "--change-set-type", "IMPORT", "--change-set-name", changes, "--template-body", template, "--resources-to-import", resources),
		of("wait", "change-set-create-complete", "--change-set-name", changes),
		of("execute-change-set", "--change-set-name", changes),
		of("wait", "stack-import-complete"),
	}
}

func (i *inspection) stacksRoles() []finding {
	var all []finding
	for _, name := range stackRoles(i.region) {
		r := i.role(name)
		all = append(all, i.taken("role", name, r != nil, i.rolesErr, "delete the stack that made it; a role that no stack made, delete by hand"))
	}
	return all
}

func (i *inspection) policies(ctx context.Context) []finding {
	arn := func(name string) string {
		return fmt.Sprintf("arn:%s:iam::%s:policy/%s", naming.Partition(i.region), i.id, name)
	}
	var all []finding
	name := naming.Boundary(i.region)
	if err := i.unsettled("boundary"); err != nil {
		all = append(all, notRead("policy", name, err))
	} else if i.flags.boundary != "" {
		all = append(all, i.givenBoundary(ctx))
	} else {
		there, err := i.hasPolicy(ctx, arn(name))
		all = append(all, i.taken("policy", name, there, err,
			"a deleted stack left it to the roles that have it as their boundary: deploy with PermissionsBoundaryArn="+arn(name)+
				" (preflight --boundary), and the stack uses it as it is; or delete it when no role has it"))
	}
	for _, name := range stackPolicies(i.region) {
		there, err := i.hasPolicy(ctx, arn(name))
		all = append(all, i.taken("policy", name, there, err, "delete the stack that made it; a policy that no stack made, delete by hand"))
	}
	return all
}

// givenBoundary judges the policy that the stack is told to use as boundary.
func (i *inspection) givenBoundary(ctx context.Context) finding {
	const check = "boundary"
	arn := i.flags.boundary
	if account := strings.Split(arn, ":")[4]; account != "aws" && account != i.id {
		return found(check, arn, levelBad, "a policy of account %s, and a boundary is of the role's own account or of AWS", account).
			fixed("make the policy in account " + i.id + " and pass its ARN, or pass none and the stack makes a boundary")
	}
	there, err := i.hasPolicy(ctx, arn)
	switch {
	case err != nil:
		return notRead(check, arn, err)
	case !there:
		return found(check, arn, levelBad, "not there, so no role could be made").fixed("make the policy, or pass none and the stack makes a boundary")
	}
	document, err := i.policyDocument(ctx, arn)
	if err != nil {
		return notRead(check, arn, err)
	}
	d, err := policy.Parse(document)
	if err != nil {
		return notRead(check, arn, fmt.Errorf("policy %s: %w", arn, err))
	}
	if ways := policy.Escalates(undenied(d)); len(ways) > 0 {
		f := found(check, arn, levelBad, "lets through what can lead to more permissions: whoever puts such a grant on an agent's role is not held by it").
			fixed("take these from the policy, or deny IAM but for reading and the actions of STS by which one becomes somebody else, on * and without conditions; or pass none and the stack makes a boundary")
		f.Details = ways
		return f
	}
	return found(check, arn, levelOK, "there, and lets through no action of IAM that does more than look and none of STS by which one becomes somebody else; what else it lets through was not judged")
}

// undenied leaves out of what a document allows the actions that it denies
// everywhere and always.
func undenied(d policy.Document) policy.Document {
	var denied []string
	for _, s := range d.Statements {
		if s.Effect == policy.Deny && len(s.Conditions) == 0 && len(s.Unknown) == 0 && slices.Contains(s.Resources, "*") {
			denied = append(denied, s.Actions...)
		}
	}
	if denied == nil {
		return d
	}
	all := []string{"*"}
	never := policy.New(policy.Statement{Effect: policy.Allow, Actions: denied, Resources: all})
	left := policy.Document{Version: d.Version}
	for _, s := range d.Statements {
		if s.Effect == policy.Deny {
			continue
		}
		switch {
		case s.NotActions != nil:
			s.NotActions = slices.Concat(s.NotActions, denied)
		case slices.Contains(s.Actions, "*"):
			s.Actions, s.NotActions = nil, denied
		default:
			s.Actions = slices.DeleteFunc(slices.Clone(s.Actions), func(action string) bool {
				one := policy.New(policy.Statement{Effect: policy.Allow, Actions: []string{action}, Resources: all})
				return len(policy.Beyond(one, never)) == 0
			})
		}
		left.Statements = append(left.Statements, s)
	}
	return left
}

func (i *inspection) queueNames(ctx context.Context) []finding {
	var all []finding
	for _, name := range stackQueues() {
		there, err := i.hasQueue(ctx, name)
		all = append(all, i.taken("queue", name, there, err, "delete the stack that made it; a queue that no stack made, delete by hand when nothing in it is needed"))
	}
	return all
}
