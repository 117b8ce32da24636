package awsfake

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// AgentCore's services that have a service-linked role.
const (
	gatewayNetworkService   = "bedrock-agentcore.amazonaws.com"
	identityNetworkService  = "identity-network.bedrock-agentcore.amazonaws.com"
	networkService          = "network.bedrock-agentcore.amazonaws.com"
	runtimeIdentityService  = "runtime-identity.bedrock-agentcore.amazonaws.com"
	runtimeInstancesService = "runtime-instances.bedrock-agentcore.amazonaws.com"
)

// linkedRole is a service-linked role as its service defines it.
type linkedRole struct {
	name   string
	policy string // name of its managed policy
	edited time.Time
	doc    string // of the policy
}

// linkedRolesByService are AgentCore's, by service (AgentCore developer guide, "Using
// service-linked roles"; AWS managed policy reference). The documents are cut to
// what each lets its service do.
func linkedRolesByService() map[string]linkedRole {
	allow := func(actions ...string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["` + strings.Join(actions, `","`) + `"],"Resource":"*"}]}`
	}
	day := func(y int, m time.Month, d, h, min int) time.Time { return time.Date(y, m, d, h, min, 0, 0, time.UTC) }
	return map[string]linkedRole{
		gatewayNetworkService: {"AWSServiceRoleForBedrockAgentCoreGatewayNetwork", "AWSBedrockAgentCoreGatewayNetworkServiceRolePolicy", day(2026, 3, 28, 22, 12),
			allow("ec2:DescribeSubnets", "iam:CreateServiceLinkedRole", "vpc-lattice:CreateResourceGateway", "vpc-lattice:DeleteResourceGateway", "vpc-lattice:TagResource")},
		identityNetworkService: {"AWSServiceRoleForBedrockAgentCoreIdentity", "AWSBedrockAgentCoreIdentityNetworkServiceRolePolicy", day(2026, 4, 20, 17, 0),
			allow("ec2:DescribeSubnets", "vpc-lattice:CreateResourceGateway", "vpc-lattice:DeleteResourceGateway", "vpc-lattice:TagResource")},
		networkService: {"AWSServiceRoleForBedrockAgentCoreNetwork", "BedrockAgentCoreNetworkServiceRolePolicy", day(2025, 9, 24, 17, 0),
			allow("ec2:CreateNetworkInterface", "ec2:CreateTags", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces")},
		// This one has its statement in no list.
		runtimeIdentityService: {"AWSServiceRoleForBedrockAgentCoreRuntimeIdentity", "BedrockAgentCoreRuntimeIdentityServiceRolePolicy", day(2025, 10, 11, 1, 4),
			`{"Version":"2012-10-17","Statement":{"Sid":"AllowWorkloadIdentityAccess","Effect":"Allow","Action":["bedrock-agentcore:GetWorkloadAccessToken"],"Resource":["arn:aws:bedrock-agentcore:*:*:workload-identity-directory/default"]}}`},
		runtimeInstancesService: {"AWSServiceRoleForBedrockAgentCoreRuntimeInstances", "AWSBedrockAgentCoreRuntimeInstancesServiceRolePolicy", day(2026, 8, 5, 9, 57),
			allow("autoscaling:DeleteAutoScalingGroup", "ec2:DescribeInstances", "ec2:TerminateInstances", "events:DeleteRule")},
	}
}

// linkedPolicyARN gives the ARN of the managed policy of a service-linked role.
func (a *account) linkedPolicyARN(r linkedRole) string {
	return "arn:" + a.Partition + ":iam::aws:policy/aws-service-role/" + r.policy
}

// policy gives a managed policy: of the account, or one that AWS has for a
// service-linked role.
func (a *account) policy(arn string) (managed, bool) {
	if m, ok := a.policies[arn]; ok {
		return m, true
	}
	for _, r := range linkedRolesByService() {
		if arn == a.linkedPolicyARN(r) {
			return managed{[]string{r.doc}, r.edited}, true
		}
	}
	return managed{}, false
}

// linkedRoles is what IAM has of service-linked roles beside the roles.
type linkedRoles struct {
	deletions           []deletion // oldest first
	reports             []report
	deleting, reporting time.Duration
	failing             map[string]string // by lower-case role name: why deletions fail
	unreported          map[string]bool   // by lower-case role name: reports on it fail
	changes             []LinkedChange
}

// deletion is the task of deleting a service-linked role.
type deletion struct {
	id, role, service string // the role's name is in lower case
	begun, ends       time.Time
	status            types.DeletionTaskStatusType // empty as long as it is under way
	reason            *types.DeletionTaskFailureReasonType
}

// report is one on the last accesses of a role.
type report struct {
	id, caller, role string // the role's name is in lower case
	kind             types.AccessAdvisorUsageGranularityType
	begun, done      time.Time
	services         []types.ServiceLastAccessed // as it was when it was asked for
}

func newLinkedRoles() linkedRoles {
	return linkedRoles{deleting: time.Minute, reporting: 5 * time.Second, failing: map[string]string{}, unreported: map[string]bool{}}
}

func (l linkedRoles) clone() linkedRoles {
	l.deletions, l.reports, l.changes = slices.Clone(l.deletions), slices.Clone(l.reports), slices.Clone(l.changes)
	l.failing, l.unreported = maps.Clone(l.failing), maps.Clone(l.unreported)
	return l
}

// SettleLinkedRoles sets how long it takes to delete a service-linked role, and to
// make a report on last accesses: a minute and 5 s where a test sets nothing.
// What is under way keeps its time.
func (c *Cloud) SettleLinkedRoles(deleting, reporting time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.linked.deleting, c.linked.reporting = deleting, reporting
}

// FailLinkedDeletion has deletions of a service-linked role, those under way too,
// fail for a reason whatever uses it; an empty reason ends that.
func (c *Cloud) FailLinkedDeletion(role, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.linked.failing[strings.ToLower(role)] = reason
}

// ForgetLinkedDeletions has IAM know of no deletion of a service-linked role any
// more. What is under way comes to nothing.
func (c *Cloud) ForgetLinkedDeletions(role string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.linked.deletions = slices.DeleteFunc(c.linked.deletions, func(d deletion) bool { return d.role == strings.ToLower(role) })
}

// FailAccessReports has reports on a role, those under way too, fail or no longer.
func (c *Cloud) FailAccessReports(role string, fails bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.linked.unreported[strings.ToLower(role)] = fails
}

// ForgetAccessReports has IAM know of no report on a role any more.
func (c *Cloud) ForgetAccessReports(role string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.linked.reports = slices.DeleteFunc(c.linked.reports, func(r report) bool { return r.role == strings.ToLower(role) })
}

// LinkedChange tells of a service-linked role that is there, or gone, without that
// a call of IAM said so.
type LinkedChange struct {
	Service, Role string
	Gone          bool // its deletion succeeded; otherwise AgentCore had it made
	Time          time.Time
}

// LinkedChanges gives the changes since it was last called, oldest first: for who
// keeps the roles elsewhere.
func (c *Cloud) LinkedChanges() []LinkedChange {
	c.mu.Lock()
	defer c.mu.Unlock()
	changes := c.linked.changes
	c.linked.changes = nil
	return changes
}

// CreateServiceLinkedRole is iam:CreateServiceLinkedRole, for AgentCore's
// services.
func (i *IAM) CreateServiceLinkedRole(_ context.Context, in *iam.CreateServiceLinkedRoleInput, _ ...func(*iam.Options)) (*iam.CreateServiceLinkedRoleOutput, error) {
	var out iam.CreateServiceLinkedRoleOutput
	return &out, i.call("CreateServiceLinkedRole", *in.AWSServiceName, func() error {
		if aws.ToString(in.CustomSuffix) != "" {
			return &types.InvalidInputException{Message: aws.String("Custom suffix is not allowed for " + *in.AWSServiceName)}
		}
		r, err := i.cloud.createLinked(*in.AWSServiceName, aws.ToString(in.Description))
		if err == nil {
			out.Role = i.cloud.describe(r)
		}
		return err
	})
}

// createLinked makes a service-linked role. Such roles count towards the quota of
// roles, and alone may exceed it (IAM user guide, "Create a service-linked role").
func (a *account) createLinked(service, description string) (*role, error) {
	l, ok := linkedRolesByService()[service]
	if !ok {
		return nil, &types.InvalidInputException{Message: aws.String("Service role name is not valid: " + service)}
	}
	if _, taken := a.roles[strings.ToLower(l.name)]; taken {
		return nil, &types.InvalidInputException{Message: aws.String("Service role name " + l.name + " has been taken in this account, please try a different suffix.")}
	}
	r := &role{
		name: l.name, path: "/aws-service-role/" + service + "/", id: fmt.Sprintf("AROA%017d", a.next()), description: description, session: 3600, service: service,
		trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`,
		tags:  map[string]string{}, policies: map[string]string{}, attached: []string{a.linkedPolicyARN(l)}, created: a.now,
	}
	a.roles[strings.ToLower(l.name)] = r
	return r, nil
}

// makeLinked has AgentCore make the service-linked roles of services that are not
// there.
func (a *account) makeLinked(services []string) error {
	for _, service := range services {
		l := linkedRolesByService()[service]
		if r := a.roles[strings.ToLower(l.name)]; r != nil && r.service == service {
			continue
		}
		if _, err := a.createLinked(service, ""); err != nil {
			return agentCoreInvalid("Failed creating service linked role: %s", err)
		}
		a.linked.changes = append(a.linked.changes, LinkedChange{Service: service, Role: l.name, Time: a.now})
	}
	return nil
}

// DeleteServiceLinkedRole is iam:DeleteServiceLinkedRole. It has no error for a
// role that is no service-linked one (service model iam 2010-05-08), so that one is
// not found.
func (i *IAM) DeleteServiceLinkedRole(_ context.Context, in *iam.DeleteServiceLinkedRoleInput, _ ...func(*iam.Options)) (*iam.DeleteServiceLinkedRoleOutput, error) {
	var out iam.DeleteServiceLinkedRoleOutput
	return &out, i.call("DeleteServiceLinkedRole", *in.RoleName, func() error {
		c := i.cloud
		r, err := c.find(*in.RoleName)
		switch {
		case err != nil:
			return err
		case r.service == "":
			return noSuchEntity("The service-linked role with name %s cannot be found.", *in.RoleName)
		}
		for _, d := range c.linked.deletions {
			if d.role == strings.ToLower(r.name) && d.status == "" {
				out.DeletionTaskId = aws.String(d.id)
				return nil
			}
		}
		d := deletion{
			id: "task" + r.path + r.name + "/" + c.uuid(), role: strings.ToLower(r.name), service: r.service, begun: c.now, ends: c.now.Add(c.linked.deleting),
		}
		c.linked.deletions = append(c.linked.deletions, d)
		out.DeletionTaskId = aws.String(d.id)
		return nil
	})
}

// uuid gives one that was not given before.
func (a *account) uuid() string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", a.next()) }

// nextEnd gives when the next deletion ends, and whether any will.
func (l linkedRoles) nextEnd() (at time.Time, pending bool) {
	for _, d := range l.deletions {
		if d.status == "" && (!pending || d.ends.Before(at)) {
			at, pending = d.ends, true
		}
	}
	return at, pending
}

// endDeletions ends the deletions whose time is over: what uses a role keeps it.
func (a *account) endDeletions() {
	for i := range a.linked.deletions {
		d := &a.linked.deletions[i]
		if d.status != "" || a.now.Before(d.ends) {
			continue
		}
		reason, usage := a.linked.failing[d.role], a.linkedUsage(d.service)
		switch {
		case reason != "":
			d.status, d.reason = types.DeletionTaskStatusTypeFailed, &types.DeletionTaskFailureReasonType{Reason: aws.String(reason)}
		case len(usage) > 0:
			d.status = types.DeletionTaskStatusTypeFailed
			d.reason = &types.DeletionTaskFailureReasonType{Reason: aws.String("Resources of the service use the role."), RoleUsageList: usage}
		default:
			d.status = types.DeletionTaskStatusTypeSucceeded
			a.linked.changes = append(a.linked.changes, LinkedChange{Service: d.service, Role: a.roles[d.role].name, Gone: true, Time: d.ends})
			delete(a.roles, d.role)
		}
	}
}

// GetServiceLinkedRoleDeletionStatus is iam:GetServiceLinkedRoleDeletionStatus.
func (i *IAM) GetServiceLinkedRoleDeletionStatus(_ context.Context, in *iam.GetServiceLinkedRoleDeletionStatusInput, _ ...func(*iam.Options)) (*iam.GetServiceLinkedRoleDeletionStatusOutput, error) {
	var out iam.GetServiceLinkedRoleDeletionStatusOutput
	return &out, i.call("GetServiceLinkedRoleDeletionStatus", *in.DeletionTaskId, func() error {
		c := i.cloud
		if !strings.HasPrefix(*in.DeletionTaskId, "task/aws-service-role/") {
			return &types.InvalidInputException{Message: aws.String("Invalid deletion task id: " + *in.DeletionTaskId)}
		}
		at := slices.IndexFunc(c.linked.deletions, func(d deletion) bool { return d.id == *in.DeletionTaskId })
		if at < 0 {
			return noSuchEntity("Deletion task %s cannot be found.", *in.DeletionTaskId)
		}
		switch d := c.linked.deletions[at]; {
		case d.status != "":
			out.Status, out.Reason = d.status, d.reason
		case c.now.Sub(d.begun) < d.ends.Sub(d.begun)/10:
			out.Status = types.DeletionTaskStatusTypeNotStarted
		default:
			out.Status = types.DeletionTaskStatusTypeInProgress
		}
		return nil
	})
}

// GenerateServiceLastAccessedDetails is iam:GenerateServiceLastAccessedDetails, for
// roles.
func (i *IAM) GenerateServiceLastAccessedDetails(_ context.Context, in *iam.GenerateServiceLastAccessedDetailsInput, _ ...func(*iam.Options)) (*iam.GenerateServiceLastAccessedDetailsOutput, error) {
	var out iam.GenerateServiceLastAccessedDetailsOutput
	name := (*in.Arn)[strings.LastIndexByte(*in.Arn, '/')+1:]
	return &out, i.call("GenerateServiceLastAccessedDetails", name, func() error {
		c := i.cloud
		if !strings.HasPrefix(*in.Arn, "arn:"+c.Partition+":iam::") {
			return &types.InvalidInputException{Message: aws.String("Invalid ARN: " + *in.Arn)}
		}
		r := c.roles[strings.ToLower(name)]
		if r == nil || c.roleARN(r) != *in.Arn {
			return noSuchEntity("ARN %s cannot be found.", *in.Arn)
		}
		p := report{
			id: c.uuid(), caller: i.caller, role: strings.ToLower(name), kind: in.Granularity, begun: c.now, done: c.now.Add(c.linked.reporting), services: c.accessed(r),
		}
		if p.kind == "" {
			p.kind = types.AccessAdvisorUsageGranularityTypeServiceLevel
		}
		c.linked.reports = append(c.linked.reports, p)
		out.JobId = aws.String(p.id)
		return nil
	})
}

// accessed gives the services that the policies of a role let it into, and when it
// was last there: whenever it was used.
func (a *account) accessed(r *role) []types.ServiceLastAccessed {
	namespaces := map[string]bool{}
	documents := slices.Collect(maps.Values(r.policies))
	for _, arn := range r.attached {
		if m, ok := a.policy(arn); ok {
			documents = append(documents, m.versions[len(m.versions)-1])
		}
	}
	for _, document := range documents {
		var d struct {
			Statement values[struct{ Action values[string] }]
		}
		if err := json.Unmarshal([]byte(document), &d); err != nil {
			continue // AWS changed it to what the test wants it to be
		}
		for _, s := range d.Statement {
			for _, action := range s.Action {
				if namespace, _, found := strings.Cut(action, ":"); found {
					namespaces[namespace] = true
				}
			}
		}
	}
	var all []types.ServiceLastAccessed
	for _, namespace := range slices.Sorted(maps.Keys(namespaces)) {
		one := types.ServiceLastAccessed{ServiceName: aws.String(strings.ToUpper(namespace)), ServiceNamespace: aws.String(namespace), TotalAuthenticatedEntities: aws.Int32(0)}
		if used := a.lastUse(r); used.LastUsedDate != nil {
			one.LastAuthenticated, one.LastAuthenticatedRegion = used.LastUsedDate, used.Region
			one.LastAuthenticatedEntity, one.TotalAuthenticatedEntities = aws.String(a.roleARN(r)), aws.Int32(1)
		}
		all = append(all, one)
	}
	return all
}

// GetServiceLastAccessedDetails is iam:GetServiceLastAccessedDetails. Only who asked
// for a report can read it.
func (i *IAM) GetServiceLastAccessedDetails(_ context.Context, in *iam.GetServiceLastAccessedDetailsInput, _ ...func(*iam.Options)) (*iam.GetServiceLastAccessedDetailsOutput, error) {
	var out iam.GetServiceLastAccessedDetailsOutput
	return &out, i.call("GetServiceLastAccessedDetails", *in.JobId, func() error {
		c := i.cloud
		at := slices.IndexFunc(c.linked.reports, func(p report) bool { return p.id == *in.JobId && p.caller == i.caller })
		if at < 0 {
			return noSuchEntity("Job %s cannot be found.", *in.JobId)
		}
		p := c.linked.reports[at]
		out.JobCreationDate, out.JobType = aws.Time(p.begun), p.kind
		switch {
		case c.now.Before(p.done):
			out.JobStatus = types.JobStatusTypeInProgress
			return nil
		case c.linked.unreported[p.role]:
			out.JobStatus, out.JobCompletionDate = types.JobStatusTypeFailed, aws.Time(p.done)
			out.Error = &types.ErrorDetails{Code: aws.String("InternalFailure"), Message: aws.String("The report could not be made.")}
			return nil
		}
		out.JobStatus, out.JobCompletionDate = types.JobStatusTypeCompleted, aws.Time(p.done)
		size := defaultPage
		if in.MaxItems != nil {
			size = int(*in.MaxItems)
		}
		if size < 1 || size > maxPage {
			return APIError("ValidationError", fmt.Sprintf("Value '%d' at 'maxItems' failed to satisfy constraint", size))
		}
		rest := slices.DeleteFunc(slices.Clone(p.services), func(s types.ServiceLastAccessed) bool { return *s.ServiceNamespace <= aws.ToString(in.Marker) })
		if out.IsTruncated = len(rest) > size; out.IsTruncated {
			rest = rest[:size]
			out.Marker = rest[size-1].ServiceNamespace
		}
		out.ServicesLastAccessed = rest
		return nil
	})
}
