package event

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
)

// iamSource is the eventSource of all records of IAM.
const iamSource = "iam.amazonaws.com"

// roleCalls are the calls after which a role is there, is gone, or is not as it
// was. AcquireRole makes a role of a template. Calls about instance profiles are not
// among them: what they change is no part of a role.
var roleCalls = []string{
	"AcquireRole", "AttachRolePolicy", "CreateRole", "DeleteRole", "DeleteRolePermissionsBoundary", "DeleteRolePolicy",
	"DetachRolePolicy", "PutRolePermissionsBoundary", "PutRolePolicy", "TagRole", "UntagRole",
	"UpdateAssumeRolePolicy", "UpdateRole", "UpdateRoleDescription",
}

// role is the event of a call of IAM that changed an agent's role. How old it is
// does not matter: all that comes of it is one look. What reconcile wrote itself
// it has seen already.
func role(e envelope, here Here) (Look, error) {
	d, err := here.trail(e, IAMRegion(here.Region), iamSource)
	if err != nil {
		return Look{}, err
	}
	switch {
	case !slices.Contains(roleCalls, d.EventName):
		return Look{}, fault.Errorf(fault.Ignored, "call %.100q of IAM changes no role", d.EventName)
	case d.ErrorCode != nil:
		return Look{}, fault.Errorf(fault.Ignored, "%s failed with %.100q and changed nothing", d.EventName, *d.ErrorCode)
	case here.OwnRole != "" && d.Identity.Session.Issuer.ARN == here.OwnRole:
		return Look{}, fault.Errorf(fault.Ignored, "%s is a write of our own", d.EventName)
	}
	name := d.role()
	own, ok := ownSpelling(here.Region, name)
	if !ok {
		return Look{}, fault.Errorf(fault.Ignored, "%s changed role %.100q, which is that of no agent", d.EventName, name)
	}
	at, err := time.Parse(time.RFC3339, d.EventTime)
	if err != nil {
		at = e.Time // which is that of the call, too, as far as it is known
	}
	id := own + "/" + d.EventName
	if policy := d.policy(); policy != "" {
		id += "/" + policy
	}
	return Look{Role: own, Hint: Hint{Kind: RoleHint, ID: id, Time: at, Actor: d.actor()}}, nil
}

// role gives the name of the role that the call was about, as the caller spelled
// it: only AcquireRole does not ask for one, and answers as CreateRole does
// (service model iam 2010-05-08).
func (d trailDetail) role() string {
	request, _ := d.Request.(map[string]any)
	response, _ := d.Response.(map[string]any) // null where there is nothing to tell
	made, _ := response["role"].(map[string]any)
	asked, _ := request["roleName"].(string)
	answered, _ := made["roleName"].(string)
	return cmp.Or(asked, answered)
}

// maxPolicy bounds what a hint has of a policy in characters. The ARN of a managed
// policy has at most 700: a path of 512, a name of 128 (IAM API reference,
// CreatePolicy) and the account before them.
const maxPolicy = 700

// policy gives the policy that the call was about, as the caller spelled it: the
// name of an inline one, the ARN of a managed one; empty of other calls, and where
// the record does not say.
func (d trailDetail) policy() string {
	request, _ := d.Request.(map[string]any)
	var named any
	switch d.EventName {
	case "PutRolePolicy", "DeleteRolePolicy":
		named = request["policyName"]
	case "AttachRolePolicy", "DetachRolePolicy":
		named = request["policyArn"]
	}
	text, _ := named.(string)
	return graphic(text, maxPolicy)
}

// ownSpelling gives the name of an agent's role in a Region as naming has it.
// IAM does not tell names apart by case (IAM user guide, "IAM and STS quotas"),
// so a caller may write it otherwise and still mean this role.
func ownSpelling(region, name string) (own string, ok bool) {
	for _, prefix := range []string{naming.RuntimeRolePrefix, naming.BuildRolePrefix} {
		if len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			own = prefix + strings.ToLower(name[len(prefix):])
			_, ok = naming.RoleHash(region, own)
			return own, ok
		}
	}
	return "", false
}

// IAMRegion gives the Region that IAM's events are of where a stack is in the
// Region given: IAM is one for a partition (IAM user guide, "Logging IAM and AWS
// STS API calls with CloudTrail"). Of partitions for which it is not known it is
// taken to be the Region given.
func IAMRegion(region string) string {
	switch naming.Partition(region) {
	case "aws":
		return "us-east-1"
	case "aws-us-gov":
		return "us-gov-west-1"
	case "aws-cn":
		return "cn-north-1"
	}
	return region
}
