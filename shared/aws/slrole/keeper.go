package slrole

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/model"
)

// KeeperAPI is what a Keeper calls of IAM.
type KeeperAPI interface {
	GetRole(context.Context, *iam.GetRoleInput, ...func(*iam.Options)) (*iam.GetRoleOutput, error)
	GetPolicy(context.Context, *iam.GetPolicyInput, ...func(*iam.Options)) (*iam.GetPolicyOutput, error)
	GetPolicyVersion(context.Context, *iam.GetPolicyVersionInput, ...func(*iam.Options)) (*iam.GetPolicyVersionOutput, error)
	GenerateServiceLastAccessedDetails(context.Context, *iam.GenerateServiceLastAccessedDetailsInput, ...func(*iam.Options)) (*iam.GenerateServiceLastAccessedDetailsOutput, error)
	GetServiceLastAccessedDetails(context.Context, *iam.GetServiceLastAccessedDetailsInput, ...func(*iam.Options)) (*iam.GetServiceLastAccessedDetailsOutput, error)
	DeleteServiceLinkedRole(context.Context, *iam.DeleteServiceLinkedRoleInput, ...func(*iam.Options)) (*iam.DeleteServiceLinkedRoleOutput, error)
	GetServiceLinkedRoleDeletionStatus(context.Context, *iam.GetServiceLinkedRoleDeletionStatusInput, ...func(*iam.Options)) (*iam.GetServiceLinkedRoleDeletionStatusOutput, error)
}

// Keeper reads what there is to know of service-linked roles, and has AWS delete
// them. Every method makes one call; fault.ErrNotFound says that IAM knows no such
// role, policy, version, report or task.
type Keeper struct{ api KeeperAPI }

// NewKeeper makes a keeper.
func NewKeeper(api KeeperAPI) *Keeper { return &Keeper{api} }

var errPart = errors.New("the answer lacks a part")

// Observe reads a role by its name, wherever its path is.
func (k *Keeper) Observe(ctx context.Context, name string) (model.ObservedLinked, error) {
	out, err := k.api.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		return model.ObservedLinked{}, awserr.Wrap(err, "get service-linked role %s", name)
	}
	r := out.Role
	if r == nil || aws.ToString(r.Arn) == "" || aws.ToString(r.RoleId) == "" || aws.ToString(r.Path) == "" || r.CreateDate == nil {
		return model.ObservedLinked{}, fmt.Errorf("get service-linked role %s: %w", name, errPart)
	}
	o := model.ObservedLinked{ARN: *r.Arn, ID: *r.RoleId, Path: *r.Path, Created: r.CreateDate.UTC()}
	if r.RoleLastUsed != nil && r.RoleLastUsed.LastUsedDate != nil {
		o.LastUsed, o.LastUsedRegion = r.RoleLastUsed.LastUsedDate.UTC(), aws.ToString(r.RoleLastUsed.Region)
	}
	return o, nil
}

// Policy gives the default version of a managed policy, and when its newest version
// was made.
func (k *Keeper) Policy(ctx context.Context, arn string) (version string, updated time.Time, err error) {
	out, err := k.api.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &arn})
	if err != nil {
		return "", time.Time{}, awserr.Wrap(err, "get policy %s", arn)
	}
	if out.Policy == nil || aws.ToString(out.Policy.DefaultVersionId) == "" || out.Policy.UpdateDate == nil {
		return "", time.Time{}, fmt.Errorf("get policy %s: %w", arn, errPart)
	}
	return *out.Policy.DefaultVersionId, out.Policy.UpdateDate.UTC(), nil
}

// PolicyDocument reads a version of a managed policy, as JSON.
func (k *Keeper) PolicyDocument(ctx context.Context, arn, version string) (string, error) {
	out, err := k.api.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: &arn, VersionId: &version})
	if err != nil {
		return "", awserr.Wrap(err, "get version %s of policy %s", version, arn)
	}
	if out.PolicyVersion == nil || aws.ToString(out.PolicyVersion.Document) == "" {
		return "", fmt.Errorf("get version %s of policy %s: %w", version, arn, errPart)
	}
	// URL-encoded as in RFC 3986: a plus sign is a plus sign.
	document, err := url.PathUnescape(*out.PolicyVersion.Document)
	if err != nil {
		return "", fmt.Errorf("get version %s of policy %s: %w", version, arn, err)
	}
	return document, nil
}

// AskAccess has IAM make a report on what a role accessed last, by service.
func (k *Keeper) AskAccess(ctx context.Context, arn string) (job string, err error) {
	out, err := k.api.GenerateServiceLastAccessedDetails(ctx, &iam.GenerateServiceLastAccessedDetailsInput{
		Arn: &arn, Granularity: types.AccessAdvisorUsageGranularityTypeServiceLevel,
	})
	if err != nil {
		return "", awserr.Wrap(err, "ask for the last accesses of %s", arn)
	}
	if aws.ToString(out.JobId) == "" {
		return "", fmt.Errorf("ask for the last accesses of %s: %w", arn, errPart)
	}
	return *out.JobId, nil
}

// accessPage is the most services that IAM gives of a report at once. There are
// fewer in the policy of any service-linked role.
const accessPage = 1000

// Access gives the newest access that a report tells of, without the time at which
// it was asked for, and whether the report is done. One that IAM could not make is
// done and says why in Failed.
func (k *Keeper) Access(ctx context.Context, job string) (access model.LinkedAccess, done bool, err error) {
	out, err := k.api.GetServiceLastAccessedDetails(ctx, &iam.GetServiceLastAccessedDetailsInput{JobId: &job, MaxItems: aws.Int32(accessPage)})
	if err != nil {
		return model.LinkedAccess{}, false, awserr.Wrap(err, "get report %s on last accesses", job)
	}
	switch out.JobStatus {
	case types.JobStatusTypeInProgress:
		return model.LinkedAccess{}, false, nil
	case types.JobStatusTypeFailed:
		if out.Error != nil {
			access.Failed = strings.Trim(clip(aws.ToString(out.Error.Code)+": "+aws.ToString(out.Error.Message)), ": ")
		}
		access.Failed = cmp.Or(access.Failed, "IAM does not say why")
		return access, true, nil
	case types.JobStatusTypeCompleted:
	default:
		return model.LinkedAccess{}, false, fmt.Errorf("get report %s on last accesses: status %q is not known here", job, out.JobStatus)
	}
	if out.IsTruncated {
		return model.LinkedAccess{}, false, fmt.Errorf("get report %s on last accesses: the answer is cut short after %d services", job, len(out.ServicesLastAccessed))
	}
	for _, s := range out.ServicesLastAccessed {
		if last := aws.ToTime(s.LastAuthenticated).UTC(); last.After(access.Last) {
			access.Last, access.Region, access.Service = last, aws.ToString(s.LastAuthenticatedRegion), aws.ToString(s.ServiceNamespace)
		}
	}
	return access, true, nil
}

// Delete asks AWS to delete a service-linked role. While it is at it, asking again
// gives the same task.
func (k *Keeper) Delete(ctx context.Context, name string) (task string, err error) {
	out, err := k.api.DeleteServiceLinkedRole(ctx, &iam.DeleteServiceLinkedRoleInput{RoleName: &name})
	if err != nil {
		return "", awserr.Wrap(err, "delete service-linked role %s", name)
	}
	if aws.ToString(out.DeletionTaskId) == "" {
		return "", fmt.Errorf("delete service-linked role %s: %w", name, errPart)
	}
	return *out.DeletionTaskId, nil
}

// What is kept of what a service says uses a role: more helps nobody.
const (
	maxText      = 1000 // characters; an ARN may be longer, AgentCore's are not
	maxRegions   = 50   // AWS has fewer
	maxResources = 20   // of a Region
)

// Deletion gives how far a task is: State and, of one that failed, Reason and
// Usage, which are what the service says, of bounded length.
func (k *Keeper) Deletion(ctx context.Context, task string) (model.LinkedDeletion, error) {
	out, err := k.api.GetServiceLinkedRoleDeletionStatus(ctx, &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: &task})
	if err != nil {
		return model.LinkedDeletion{}, awserr.Wrap(err, "get deletion %s", task)
	}
	switch out.Status {
	case types.DeletionTaskStatusTypeNotStarted, types.DeletionTaskStatusTypeInProgress:
		return model.LinkedDeletion{State: model.DeletionRunning}, nil
	case types.DeletionTaskStatusTypeSucceeded:
		return model.LinkedDeletion{State: model.DeletionSucceeded}, nil
	case types.DeletionTaskStatusTypeFailed:
	default:
		return model.LinkedDeletion{}, fmt.Errorf("get deletion %s: status %q is not known here", task, out.Status)
	}
	d := model.LinkedDeletion{State: model.DeletionFailed}
	if out.Reason != nil {
		d.Reason = clip(aws.ToString(out.Reason.Reason))
		d.Usage = usage(out.Reason.RoleUsageList)
	}
	d.Reason = cmp.Or(d.Reason, "the service gives no reason")
	return d, nil
}

func usage(list []types.RoleUsageType) []model.LinkedUsage {
	var all []model.LinkedUsage
	for _, u := range list[:min(len(list), maxRegions)] {
		of := model.LinkedUsage{Region: clip(aws.ToString(u.Region))}
		for _, r := range u.Resources[:min(len(u.Resources), maxResources)] {
			of.Resources = append(of.Resources, clip(r))
		}
		if more := len(u.Resources) - maxResources; more > 0 {
			of.Resources = append(of.Resources, fmt.Sprintf("and %d more", more))
		}
		all = append(all, of)
	}
	return all
}

// clip puts a text on one line of bounded length.
func clip(text string) string {
	legible := func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}
	line := []rune(strings.Join(strings.Fields(strings.Map(legible, text)), " "))
	if len(line) > maxText {
		return string(line[:maxText]) + "…"
	}
	return string(line)
}
