package proxy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/local/bus"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/event"
	"rolekeeper/shared/naming"
)

// Service-linked roles are in moto, where all of IAM looks for roles, and in the
// cloud that has AgentCore: there they come and go as their resources do.

// linkedPolicies is in the ARNs of the managed policies of service-linked roles.
const linkedPolicies = ":iam::aws:policy/aws-service-role/"

// answerLinked answers what moto does not know of service-linked roles, and whether
// it did.
func (p *Proxy) answerLinked(ctx context.Context, c Call, form url.Values) (answer, bool) {
	from := p.AgentCore().IAM(c.Caller)
	text := func(name string) *string { value := form.Get(name); return &value }
	switch c.Operation {
	case "DeleteServiceLinkedRole":
		out, err := from.DeleteServiceLinkedRole(ctx, &iam.DeleteServiceLinkedRoleInput{RoleName: text("RoleName")})
		return told(iamQuery, c, out, err), true
	case "GetServiceLinkedRoleDeletionStatus":
		out, err := from.GetServiceLinkedRoleDeletionStatus(ctx, &iam.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: text("DeletionTaskId")})
		return told(iamQuery, c, out, err), true
	case "GenerateServiceLastAccessedDetails":
		if role := naming.RoleOf(form.Get("Arn")); p.hasRole(role) && !hasLinkedName(role) {
			return unanswered(c, "it makes reports on AgentCore's service-linked roles alone"), true
		}
		out, err := from.GenerateServiceLastAccessedDetails(ctx, &iam.GenerateServiceLastAccessedDetailsInput{
			Arn: text("Arn"), Granularity: types.AccessAdvisorUsageGranularityType(form.Get("Granularity")),
		})
		return told(iamQuery, c, out, err), true
	case "GetServiceLastAccessedDetails":
		in := &iam.GetServiceLastAccessedDetailsInput{JobId: text("JobId"), MaxItems: number(form, "MaxItems")}
		if form.Has("Marker") {
			in.Marker = text("Marker")
		}
		out, err := from.GetServiceLastAccessedDetails(ctx, in)
		return told(iamQuery, c, out, err), true
	}
	if !strings.Contains(form.Get("PolicyArn"), linkedPolicies) {
		return answer{}, false
	}
	switch c.Operation {
	case "GetPolicy":
		out, err := from.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: text("PolicyArn")})
		return told(iamQuery, c, out, err), true
	case "GetPolicyVersion":
		out, err := from.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: text("PolicyArn"), VersionId: text("VersionId")})
		return told(iamQuery, c, out, err), true
	}
	return answer{}, false
}

// createServiceLinkedRole makes the role under its real name; moto derives a
// wrong one, takes any service, and calls a second role EntityAlreadyExists. Who
// calls it holds roles.mu.
func (p *Proxy) createServiceLinkedRole(ctx context.Context, c Call, form url.Values) answer {
	in := &iam.CreateServiceLinkedRoleInput{}
	for name, field := range map[string]**string{"AWSServiceName": &in.AWSServiceName, "Description": &in.Description, "CustomSuffix": &in.CustomSuffix} {
		if value := form.Get(name); value != "" || name == "AWSServiceName" {
			*field = &value
		}
	}
	made, err := p.AgentCore().IAM(c.Caller).CreateServiceLinkedRole(ctx, in)
	if err != nil {
		return told(iamQuery, c, made, err)
	}
	a, err := p.makeLinked(ctx, *made.Role.RoleName, *in.AWSServiceName, form.Get("Description"))
	if err != nil {
		return refuse(c, http.StatusBadGateway, "LocalBackend", "moto: "+err.Error())
	}
	a.body = bytes.ReplaceAll(a.body, []byte("CreateRoleRe"), []byte("CreateServiceLinkedRoleRe")) // …Response, …Result
	return a
}

// makeLinked makes a service-linked role in moto, with its managed policy, and
// gives moto's answer. Who calls it holds roles.mu.
func (p *Proxy) makeLinked(ctx context.Context, name, service, description string) (answer, error) {
	a, err := p.tellMoto(ctx, url.Values{
		"Action": {"CreateRole"}, "RoleName": {name}, "Path": {"/aws-service-role/" + service + "/"}, "Description": {description},
		"AssumeRolePolicyDocument": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` +
			service + `"},"Action":"sts:AssumeRole"}]}`},
	})
	if err != nil {
		return answer{}, err
	}
	p.roles.linked[name] = true
	p.roles.names[strings.ToLower(name)] = name
	_, err = p.tellMoto(ctx, url.Values{"Action": {"AttachRolePolicy"}, "RoleName": {name}, "PolicyArn": {p.linkedPolicy(service)}})
	return a, err
}

// removeLinked deletes a service-linked role in moto. Who calls it holds roles.mu.
func (p *Proxy) removeLinked(ctx context.Context, name, service string) error {
	if _, err := p.tellMoto(ctx, url.Values{"Action": {"DetachRolePolicy"}, "RoleName": {name}, "PolicyArn": {p.linkedPolicy(service)}}); err != nil {
		return err
	}
	if _, err := p.tellMoto(ctx, url.Values{"Action": {"DeleteRole"}, "RoleName": {name}}); err != nil {
		return err
	}
	delete(p.roles.linked, name)
	delete(p.roles.names, strings.ToLower(name))
	return nil
}

func (p *Proxy) linkedPolicy(service string) string {
	for _, r := range desired.AllServiceLinkedRoles() {
		if r.Service == service {
			return r.PolicyARN(naming.Partition(p.o.Region))
		}
	}
	return ""
}

// tellMoto makes a call of IAM that moto has to take.
func (p *Proxy) tellMoto(ctx context.Context, form url.Values) (answer, error) {
	a, err := p.ownIAM(ctx, form)
	if err == nil && !a.ok() {
		err = fmt.Errorf("status %d: %s", a.status, a.body)
	}
	if err != nil {
		return answer{}, fmt.Errorf("%s of %s: %w", form.Get("Action"), form.Get("RoleName"), err)
	}
	return a, nil
}

// mirror has moto know of the service-linked roles that AgentCore had made, and of
// those that are gone. CloudTrail tells of the first.
func (p *Proxy) mirror(ctx context.Context) error {
	p.agentCore.mirror.Lock()
	defer p.agentCore.mirror.Unlock()
	changes := p.AgentCore().LinkedChanges()
	if len(changes) == 0 {
		return nil
	}
	p.roles.mu.Lock()
	defer p.roles.mu.Unlock()
	for _, change := range changes {
		if change.Gone {
			if err := p.removeLinked(ctx, change.Role, change.Service); err != nil {
				return err
			}
			continue
		}
		if _, err := p.makeLinked(ctx, change.Role, change.Service, ""); err != nil {
			return err
		}
		p.trailLinked(change)
	}
	return nil
}

// trailLinked sends CloudTrail's event about a role that AgentCore had made. Its
// service calls IAM then.
func (p *Proxy) trailLinked(change awsfake.LinkedChange) {
	record := awsfake.Trailed{
		Account: p.o.Account, Region: event.IAMRegion(p.o.Region), Time: change.Time, ID: bus.NewID(), Source: "iam.amazonaws.com", Name: "CreateServiceLinkedRole",
		Request: map[string]any{"aWSServiceName": change.Service}, Response: map[string]any{"role": map[string]any{"roleName": change.Role}},
	}
	whole := record.Detail()
	whole["userIdentity"] = map[string]any{"type": "AWSService", "invokedBy": change.Service}
	whole["sourceIPAddress"], whole["userAgent"] = change.Service, change.Service
	detail, _ := json.Marshal(whole) // strings always encode
	p.o.Bus.Publish(bus.Event{Source: "aws.iam", DetailType: awsfake.TrailEventDetailType, Region: record.Region, Time: record.Time, Detail: detail})
}

// occupy has AgentCore see that somebody made a role of the name of a
// service-linked one, or deleted it. Who calls it holds roles.mu.
func (p *Proxy) occupy(ctx context.Context, operation string, form url.Values) error {
	name, to := form.Get("RoleName"), p.AgentCore().IAM("iam")
	if !hasLinkedName(name) {
		return nil
	}
	var err error
	switch operation {
	case "CreateRole":
		_, err = to.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`)})
	case "DeleteRole":
		_, err = to.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &name})
	}
	return err
}

// hasLinkedName reports whether a role is called as one of AgentCore's service-linked
// roles is; names of roles that differ in case are the same.
func hasLinkedName(role string) bool {
	return slices.ContainsFunc(desired.AllServiceLinkedRoles(), func(r desired.ServiceLinkedRole) bool { return strings.EqualFold(r.Name, role) })
}

// lastUseOfLinked tells of a service-linked role's last use.
func (p *Proxy) lastUseOfLinked(name string) (use, bool) {
	out, err := p.AgentCore().IAM("iam").GetRole(context.Background(), &iam.GetRoleInput{RoleName: &name})
	if err != nil || out.Role.RoleLastUsed.LastUsedDate == nil { // one that is just gone was never used
		return use{}, false
	}
	return use{*out.Role.RoleLastUsed.LastUsedDate, aws.ToString(out.Role.RoleLastUsed.Region)}, true
}

// answerEC2 answers DescribeNetworkInterfaces, of AgentCore's alone; there are no
// others.
func (p *Proxy) answerEC2(ctx context.Context, c Call, body []byte) answer {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return refuse(c, http.StatusBadRequest, "MalformedQueryString", err.Error())
	}
	if c.Operation != "DescribeNetworkInterfaces" {
		return unanswered(c, "of EC2 there are AgentCore's network interfaces alone")
	}
	in := &ec2.DescribeNetworkInterfacesInput{MaxResults: number(form, "MaxResults"), DryRun: aws.Bool(form.Get("DryRun") == "true")}
	for i := 1; form.Has(fmt.Sprintf("Filter.%d.Name", i)); i++ {
		name := form.Get(fmt.Sprintf("Filter.%d.Name", i))
		f := ec2types.Filter{Name: &name}
		for j := 1; form.Has(fmt.Sprintf("Filter.%d.Value.%d", i, j)); j++ {
			f.Values = append(f.Values, form.Get(fmt.Sprintf("Filter.%d.Value.%d", i, j)))
		}
		in.Filters = append(in.Filters, f)
	}
	if token := form.Get("NextToken"); token != "" {
		in.NextToken = &token
	}
	for name, values := range form {
		if strings.HasPrefix(name, "NetworkInterfaceId.") {
			in.NetworkInterfaceIds = append(in.NetworkInterfaceIds, values...)
		}
	}
	out, err := p.in(c.Region).EC2(c.Caller).DescribeNetworkInterfaces(ctx, in)
	return told(ec2Query, c, out, err)
}

// number gives a parameter that is a number: nil when there is none, and less than
// any service takes when it is no number.
func number(form url.Values, name string) *int32 {
	if !form.Has(name) {
		return nil
	}
	n, err := strconv.ParseInt(form.Get(name), 10, 32)
	if err != nil {
		n = -1
	}
	return aws.Int32(int32(n))
}

// in is what the account has of AgentCore and EC2 in a Region.
func (p *Proxy) in(region string) *awsfake.Cloud {
	return p.AgentCore().Abroad(cmp.Or(region, p.o.Region))
}
