package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"rolekeeper/local/bus"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/event"
)

// Service-linked roles are in moto, where all of IAM looks for roles, and in the
// cloud that has AgentCore: there they come and go as their resources do.

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
		out, err := from.GenerateServiceLastAccessedDetails(ctx, &iam.GenerateServiceLastAccessedDetailsInput{
			Arn: text("Arn"), Granularity: types.AccessAdvisorUsageGranularityType(form.Get("Granularity")),
		})
		return told(iamQuery, c, out, err), true
	case "GetServiceLastAccessedDetails":
		in := &iam.GetServiceLastAccessedDetailsInput{JobId: text("JobId")}
		if form.Has("Marker") {
			in.Marker = text("Marker")
		}
		if n, err := strconv.ParseInt(form.Get("MaxItems"), 10, 32); err == nil {
			most := int32(n)
			in.MaxItems = &most
		}
		out, err := from.GetServiceLastAccessedDetails(ctx, in)
		return told(iamQuery, c, out, err), true
	}
	if !strings.Contains(form.Get("PolicyArn"), ":iam::aws:policy/aws-service-role/") {
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
	a.body = []byte(strings.ReplaceAll(string(a.body), "CreateRoleRe", "CreateServiceLinkedRoleRe")) // …Response, …Result
	return a
}

// makeLinked makes a service-linked role in moto. Who calls it holds roles.mu.
func (p *Proxy) makeLinked(ctx context.Context, name, service, description string) (answer, error) {
	a, err := p.ownIAM(ctx, url.Values{
		"Action": {"CreateRole"}, "RoleName": {name}, "Path": {"/aws-service-role/" + service + "/"}, "Description": {description},
		"AssumeRolePolicyDocument": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` +
			service + `"},"Action":"sts:AssumeRole"}]}`},
	})
	if err == nil && a.ok() {
		p.roles.linked[name] = true
		p.roles.names[strings.ToLower(name)] = name
	}
	return a, err
}

// mirror has moto know of the service-linked roles that AgentCore had made, and of
// those that are gone. CloudTrail tells of the first.
func (p *Proxy) mirror(ctx context.Context) {
	p.agentCore.mirror.Lock()
	defer p.agentCore.mirror.Unlock()
	changes := p.AgentCore().LinkedChanges()
	if len(changes) == 0 {
		return
	}
	p.roles.mu.Lock()
	defer p.roles.mu.Unlock()
	for _, change := range changes {
		if change.Gone {
			_, _ = p.ownIAM(ctx, url.Values{"Action": {"DeleteRole"}, "RoleName": {change.Role}}) // GetRole shows when it did not
			delete(p.roles.linked, change.Role)
			p.remember("DeleteRole", url.Values{"RoleName": {change.Role}})
			continue
		}
		if _, err := p.makeLinked(ctx, change.Role, change.Service, ""); err != nil {
			continue // GetRole shows it
		}
		record := awsfake.Trailed{
			Account: p.o.Account, Region: event.IAMRegion(p.o.Region), Time: change.Time, ID: bus.NewID(), Source: "iam.amazonaws.com", Name: "CreateServiceLinkedRole",
			Request: map[string]any{"aWSServiceName": change.Service}, Response: map[string]any{"role": map[string]any{"roleName": change.Role}},
		}
		whole := record.Detail()
		whole["userIdentity"] = map[string]any{"type": "AWSService", "invokedBy": change.Service}
		detail, _ := json.Marshal(whole) // strings always encode
		p.o.Bus.Publish(bus.Event{Source: "aws.iam", DetailType: awsfake.TrailEventDetailType, Region: record.Region, Time: record.Time, Detail: detail})
	}
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
	in := &ec2.DescribeNetworkInterfacesInput{}
	for i := 1; form.Has(fmt.Sprintf("Filter.%d.Name", i)); i++ {
		name := form.Get(fmt.Sprintf("Filter.%d.Name", i))
		f := ec2types.Filter{Name: &name}
		for j := 1; form.Has(fmt.Sprintf("Filter.%d.Value.%d", i, j)); j++ {
			f.Values = append(f.Values, form.Get(fmt.Sprintf("Filter.%d.Value.%d", i, j)))
		}
		in.Filters = append(in.Filters, f)
	}
	if n, err := strconv.ParseInt(form.Get("MaxResults"), 10, 32); err == nil {
		most := int32(n)
		in.MaxResults = &most
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

// in is what the account has of AgentCore and EC2 in a Region.
func (p *Proxy) in(region string) *awsfake.Cloud {
	if cloud := p.AgentCore(); region != "" && region != p.o.Region {
		return cloud.Abroad(region)
	}
	return p.AgentCore()
}
