package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"rolekeeper/local"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// Where a resource is that is in a VPC, and what AgentCore manages the connection to.
const (
	inVPC   = `{"networkMode":"VPC","vpcConfig":{"subnets":["subnet-0aa11bb22cc33dd44"],"securityGroups":["sg-0a1b2c3d4e5f60718"]}}`
	private = `{"managedVpcResource":{"vpcIdentifier":"vpc-0123456789abcdef0","subnetIds":["subnet-0aa11bb22cc33dd44"],"endpointIpAddressType":"IPV4"}}`
)

// serve has AgentCore in a Region carry out a request, past the call log, and gives
// the answer.
func (s stack) serve(in *awsfake.Cloud, request string) map[string]any {
	s.t.Helper()
	part := strings.SplitN(request+" ", " ", 3)
	_, answer, err := in.ServeAgentCore("admin", part[0], part[1], "", []byte(strings.TrimSpace(part[2])))
	if err != nil {
		s.t.Fatalf("%s: %v", request, err)
	}
	var all map[string]any
	if err := json.Unmarshal(answer, &all); err != nil && len(answer) > 0 {
		s.t.Fatal(err)
	}
	return all
}

// removed deletes a resource by its path, once it is made, and waits until it is
// gone.
func (s stack) removed(in func() *awsfake.Cloud, path string) {
	s.t.Helper()
	s.until(path+" is gone", func() bool {
		_, _, err := in().ServeAgentCore("admin", "DELETE", path, "", nil)
		return err != nil && strings.Contains(err.Error(), "ResourceNotFound")
	})
}

// look has slrwatch's schedule come round, waits for what follows, and gives what
// is known then.
func (s stack) look() model.ServiceLinkedRoles {
	s.t.Helper()
	s.idle() // one that has begun would keep this one from it
	result, err := s.RunSchedule(s.t.Context(), "slrwatch")
	if err != nil || result.Failure != "" {
		s.t.Fatalf("the look: %+v, %v", result, err)
	}
	s.idle()
	return s.linkedRoles()
}

func (s stack) linkedRoles() model.ServiceLinkedRoles {
	s.t.Helper()
	o, err := configstore.NewReader(s3.NewFromConfig(s.Config("admin")), bucket, account).Get(s.t.Context(), naming.LinkedKey)
	if err != nil {
		s.t.Fatal(err)
	}
	known, err := model.ParseServiceLinkedRoles(o.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return known
}

// wantVerdict checks how it stands with a role, and gives what is known of it.
func (s stack) wantVerdict(known model.ServiceLinkedRoles, role desired.ServiceLinkedRole, want model.Verdict) model.ServiceLinkedRole {
	s.t.Helper()
	r, _ := known.Role(role.Name)
	if r.Verdict != want {
		s.t.Fatalf("%s is %s, want %s: %+v", role.Name, r.Verdict, want, r)
	}
	return r
}

func TestTheServiceLinkedRolesAreWatched(t *testing.T) {
	const elsewhere = "eu-west-1"
	s := startWith(t, local.Options{Parameters: map[string]string{"OperatorPrincipalArns": operatorARN}})
	home := s.Proxy().AgentCore
	for _, r := range s.look().Roles {
		if r.Verdict != model.LinkedAbsent {
			t.Errorf("%s is %s in an empty account: %v", r.Name, r.Verdict, r.Reasons)
		}
	}

	// A config asks for agents in a VPC, and reconcile makes what they need.
	const key = "configs/vpc.yaml"
	s.upload(key, strings.Replace(container("in_vpc"), "    aws:\n", "    aws:\n      network_configuration:\n        network_mode: VPC\n", 1))
	s.idle()
	known := s.look()
	for _, role := range []desired.ServiceLinkedRole{desired.Network(), desired.RuntimeIdentity()} {
		if r := s.wantVerdict(known, role, model.LinkedNeeded); len(r.Needs) != 1 || r.Needs[0].Name != key {
			t.Errorf("%s is needed by %+v", role.Name, r.Needs)
		}
	}

	// AgentCore makes a role for a browser of another Region, which is not looked at.
	s.withdrawConfig(key)
	s.idle()
	abroad := func() *awsfake.Cloud { return home().Abroad(elsewhere) }
	browser := s.serve(abroad(), `PUT /browsers {"name":"b","networkConfiguration":`+inVPC+`}`)
	network := s.wantVerdict(s.look(), desired.Network(), model.LinkedIdle)

	// Asked to delete it, AWS says where it is used.
	s.tool("operator", 3, "slr", "delete", network.Name, "--yes")
	refused := s.wantVerdict(s.linkedRoles(), desired.Network(), model.LinkedRefused)
	if d := refused.Deletion; d == nil || len(d.Usage) != 1 || d.Usage[0].Region != elsewhere || !slices.Contains(d.Usage[0].Resources, browser["browserArn"].(string)) {
		t.Errorf("the deletion was refused with %+v", d)
	}

	// The browser goes, its network interfaces later.
	s.removed(abroad, "/browsers/"+browser["browserId"].(string))
	home().LingerNetworkInterfaces(0)
	s.tool("operator", 0, "slr", "delete", network.Name, "--yes")
	s.wantVerdict(s.linkedRoles(), desired.Network(), model.LinkedAbsent)
	if _, err := iam.NewFromConfig(s.Config("admin")).GetRole(t.Context(), &iam.GetRoleInput{RoleName: &network.Name}); err == nil {
		t.Error("the role is there")
	}

	// At home a browser in a VPC uses it, and then its network interfaces do.
	home().LingerNetworkInterfaces(8 * time.Hour)
	browser = s.serve(home(), `PUT /browsers {"name":"b","networkConfiguration":`+inVPC+`}`)
	if r := s.wantVerdict(s.look(), desired.Network(), model.LinkedUsed); len(r.Needs) == 0 || r.Needs[0].Kind != "browser" {
		t.Errorf("it is used by %+v", r.Needs)
	}
	s.removed(home, "/browsers/"+browser["browserId"].(string))
	left := s.wantVerdict(s.look(), desired.Network(), model.LinkedUsed)
	if in := time.Until(left.LingerUntil); len(left.Needs) == 0 || left.Needs[0].Kind != "network-interface" || in < 7*time.Hour || in > 8*time.Hour {
		t.Errorf("it is used by %+v until %v", left.Needs, left.LingerUntil)
	}
	const inUse = 3
	s.tool("operator", inUse, "slr", "delete", network.Name, "--yes")

	// What AgentCore made at home is seen, too.
	s.holder("capacity-provider", "cp", owned("in_vpc"))
	s.wantVerdict(s.look(), desired.RuntimeInstances(), model.LinkedUsed)
	if sent := s.sent("Service-Linked Role Changed", network.Name); sent == 0 {
		t.Error("nobody was told of any of it")
	}
	s.wantNothingLost()
}

func TestABurstOfEventsLeadsToOneLookNowAndOneLater(t *testing.T) {
	s := startWith(t, local.Options{TimeScale: 1})
	s.look()
	s.Proxy().Reset()
	for range 30 {
		s.serve(s.Proxy().AgentCore(), `POST /registries {"name":"r`+strings.ReplaceAll(time.Now().Format(".000000000"), ".", "")+`"}`)
	}
	s.idle()
	if looks := s.Calls(proxy.Filter{Caller: "slrwatch", Operation: "GetRole"}); len(looks) > 0 {
		t.Errorf("%d calls of GetRole within a quarter of an hour of a look", len(looks))
	}
	if sent := s.Calls(proxy.Filter{Caller: "slrwatch", Service: "sqs", Operation: "SendMessage"}); len(sent) < 1 || len(sent) > 2 { // as many as run at once
		t.Errorf("%d messages to look later", len(sent))
	}
	if known := s.linkedRoles(); time.Until(known.WakeAt) < 10*time.Minute {
		t.Errorf("it looks again at %v", known.WakeAt)
	}
}

// everythingOfLinkedRoles has slrwatch read all that may need a service-linked
// role, and delete one.
func (s stack) everythingOfLinkedRoles() {
	s.t.Helper()
	home := s.Proxy().AgentCore
	jwt := `{"customJWTAuthorizer":{"discoveryUrl":"https://idp.example.com/.well-known/openid-configuration","allowedAudience":["a"],"privateEndpoint":` + private + `}}`
	role := owned("my_agent")
	for _, kind := range []string{"payment-manager", "harness"} {
		s.holder(kind, "of_slr_"+kind[:3], role)
	}
	for _, request := range []string{
		`PUT /browsers {"name":"in_vpc","networkConfiguration":` + inVPC + `}`,
		`PUT /code-interpreters {"name":"in_vpc","networkConfiguration":` + inVPC + `}`,
		`POST /registries {"name":"registry","authorizerConfiguration":` + jwt + `}`,
		`POST /identities/CreateOauth2CredentialProvider {"name":"idp","credentialProviderVendor":"CustomOauth2","oauth2ProviderConfigInput":{"customOauth2ProviderConfig":{"clientId":"id","clientSecret":"hush","oauthDiscovery":{"discoveryUrl":"https://idp.example.com"},"privateEndpoint":` + private + `}}}`,
	} {
		s.serve(home(), request)
	}
	gateway := s.serve(home(), `POST /gateways/ {"name":"of-slr","roleArn":"`+roleARN(role)+`"}`)["gatewayId"].(string)
	s.until("gateway "+gateway+" is ready", func() bool { return s.serve(home(), "GET /gateways/"+gateway+"/")["status"] == "READY" })
	target := s.serve(home(), `POST /gateways/`+gateway+`/targets/ {"name":"target","targetConfiguration":{"mcp":{"mcpServer":{"endpoint":"https://mcp.example.com"}}},"privateEndpoint":`+private+`}`)["targetId"].(string)
	s.deploy("of_slr", owned("my_agent"))
	s.holder("capacity-provider", "of_slr", role)
	known := s.look()
	for _, r := range desired.AllServiceLinkedRoles() {
		s.wantVerdict(known, r, model.LinkedUsed)
	}

	// One goes, as an operator asks.
	s.removed(home, "/gateways/"+gateway+"/targets/"+target+"/")
	idle := s.wantVerdict(s.look(), desired.GatewayNetwork(), model.LinkedIdle)
	s.tool("operator", 0, "slr")
	s.tool("operator", 0, "slr", "delete", idle.Name, "--yes", "--wait=false")
	s.idle()
	s.wantVerdict(s.look(), desired.GatewayNetwork(), model.LinkedAbsent)

	// What it cannot read is buried, and what it could not do is done again.
	queue := s.Stack().Functions["slrwatch"].Environment["SLRWATCH_QUEUE_URL"]
	if _, err := sqs.NewFromConfig(s.Config("admin")).SendMessage(s.t.Context(), &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: aws.String("x")}); err != nil {
		s.t.Fatal(err)
	}
	s.idle()
	refused := s.InjectFault(proxy.Fault{Caller: "slrwatch", Operation: "PutObject", Kind: proxy.Denied, Count: 1})
	s.ask(naming.FleetRequestKey("1"), toJSON(s.t, model.Request{
		V: 1, ID: "1", Action: model.DeleteLinked, Plans: map[string]string{"nobody": strings.Repeat("0", 64)}, Expires: time.Now().Add(time.Hour),
	}))
	s.idle()
	refused.Remove()
	if known := s.linkedRoles(); !slices.ContainsFunc(known.Requests, func(r model.LinkedRequest) bool { return r.ID == "1" && r.Outcome == model.LinkedRequestRefused }) {
		s.t.Errorf("the request is answered with %+v", known.Requests)
	}
}

// watcherNeeds gives what slrwatch does with each of the five roles, of which only
// one goes here.
func watcherNeeds() []request {
	var all []request
	for _, r := range desired.AllServiceLinkedRoles() {
		for _, action := range []string{"DeleteServiceLinkedRole", "GetServiceLinkedRoleDeletionStatus", "GenerateServiceLastAccessedDetails", "GetRole"} {
			all = append(all, request{action: "iam:" + action, resource: roleARN(strings.TrimPrefix(r.Path(), "/") + r.Name)})
		}
		for _, action := range []string{"GetPolicy", "GetPolicyVersion"} {
			all = append(all, request{action: "iam:" + action, resource: r.PolicyARN("aws")})
		}
	}
	return all
}

// linkedAttacks are what somebody tries who has taken over slrwatch, or wants a
// service-linked role to go that is in use.
func (s stack) linkedAttacks() []request {
	configs, once := "arn:aws:s3:::"+bucket, map[string]any{"s3:if-none-match": "*"}
	abroad, plain := map[string]any{"aws:RequestedRegion": "eu-west-1"}, map[string]any{"aws:SecureTransport": "false"}
	bus := "arn:aws:events:" + region + ":" + account + ":event-bus/default"
	table, memory := configs+"/"+naming.LinkedKey, configs+"/"+naming.ResourcesKey(region)
	request1 := configs + "/" + naming.FleetRequestKey("1")
	runtime, objects := roleARN(owned("my_agent")), []string{allObjects}
	network := roleARN(strings.TrimPrefix(desired.Network().Path(), "/") + desired.Network().Name)
	other := roleARN("aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS")
	parameters := "arn:aws:ssm:" + region + ":" + account + ":parameter"
	rules := map[string]string{}
	for _, r := range s.Stack().Rules {
		rules[r.LogicalID] = r.ARN
	}
	from := func(rule string) map[string]any { return map[string]any{"aws:SourceArn": rule} }
	all := []request{
		// Taken over: slrwatch, and IAM.
		{what: "deletes a service-linked role of another service", action: "iam:DeleteServiceLinkedRole", resource: other},
		{what: "deletes a service-linked role in a wrong path", action: "iam:DeleteServiceLinkedRole", resource: roleARN(desired.Network().Name)},
		{what: "follows the deletion of another service's role", action: "iam:GetServiceLinkedRoleDeletionStatus", resource: other},
		{what: "has a report made on an agent's role", action: "iam:GenerateServiceLastAccessedDetails", resource: runtime},
		{what: "makes a service-linked role", action: "iam:CreateServiceLinkedRole", resource: network, context: map[string]any{"iam:AWSServiceName": desired.Network().Service}},
		{what: "deletes a role", action: "iam:DeleteRole", resource: runtime},
		{what: "deletes a service-linked role as any other", action: "iam:DeleteRole", resource: network},
		{what: "reads an agent's role", action: "iam:GetRole", resource: runtime},
		{what: "reads another policy", action: "iam:GetPolicy", resource: "arn:aws:iam::" + account + ":policy/theirs"},
		{what: "reads a version of another policy", action: "iam:GetPolicyVersion", resource: "arn:aws:iam::aws:policy/AdministratorAccess"},
		{what: "gives a policy to an agent's role", action: "iam:PutRolePolicy", resource: runtime},
		{what: "passes an agent's role", action: "iam:PassRole", resource: runtime, context: map[string]any{"iam:PassedToService": "bedrock-agentcore.amazonaws.com"}},

		// Taken over: slrwatch, and what it reads.
		{what: "lists runtimes of a Region that is not looked at", action: "bedrock-agentcore:ListAgentRuntimes", resource: "*", context: abroad},
		{what: "lists network interfaces of such a Region", action: "ec2:DescribeNetworkInterfaces", resource: "*", context: abroad},
		{what: "reads a runtime of such a Region", action: "bedrock-agentcore:GetAgentRuntime", resource: strings.Replace(agentCoreARNs, region, "eu-west-1", 1) + "runtime/a-AbCdEf1234", context: abroad},
		{what: "reads a runtime of another account", action: "bedrock-agentcore:GetAgentRuntime", resource: strings.Replace(agentCoreARNs, account, "210987654321", 1) + "runtime/a-AbCdEf1234"},
		{what: "deletes a runtime", action: "bedrock-agentcore:DeleteAgentRuntime", resource: agentCoreARNs + "runtime/a-AbCdEf1234"},
		{what: "calls a runtime", action: "bedrock-agentcore:InvokeAgentRuntime", resource: agentCoreARNs + "runtime/a-AbCdEf1234"},
		{what: "deletes a network interface", action: "ec2:DeleteNetworkInterface", resource: "arn:aws:ec2:" + region + ":" + account + ":network-interface/eni-0123456789abcdef0"},
		{what: "reads instances", action: "ec2:DescribeInstances", resource: "*"},
		{what: "reads another's parameter", action: "ssm:GetParameter", resource: parameters + "/password"},

		// Taken over: slrwatch, and the bucket.
		{what: "writes a config", action: "s3:PutObject", resource: configs + "/configs/team/a.yaml"},
		{what: "writes a status", attached: objects, action: "s3:PutObject", resource: configs + "/status/a.yaml.json"},
		{what: "reads a status", action: "s3:GetObject", resource: configs + "/status/a.yaml.json"},
		{what: "writes a report", attached: objects, action: "s3:PutObject", resource: configs + "/" + naming.LatestReportKey},
		{what: "asks itself", attached: objects, action: "s3:PutObject", resource: request1, context: once},
		{what: "reads a request for a config", action: "s3:GetObject", resource: configs + "/requests/config/0/1.json"},
		{what: "deletes its memory", action: "s3:DeleteObject", resource: table},
		{what: "writes its memory without TLS", action: "s3:PutObject", resource: table, context: plain},
		{what: "writes where nothing is", attached: objects, action: "s3:PutObject", resource: configs + "/slr.json"},
		{what: "lists sources", action: "s3:ListBucket", resource: "arn:aws:s3:::" + sourceBucket},

		// Taken over: slrwatch, and whom it may call.
		{what: "gives work", action: "sqs:SendMessage", resource: queueARN("rolekeeper-work.fifo")},
		{what: "sends intake an event", action: "sqs:SendMessage", resource: queueARN("rolekeeper-inbox")},
		{what: "takes events from intake", action: "sqs:ReceiveMessage", resource: queueARN("rolekeeper-inbox")},
		{what: "takes dead letters", action: "sqs:ReceiveMessage", resource: queueARN("rolekeeper-slrwatch-dead-letters")},
		{what: "sends itself a message without TLS", action: "sqs:SendMessage", resource: queueARN("rolekeeper-slrwatch"), context: plain},
		{what: "buries a message without TLS", action: "sqs:SendMessage", resource: queueARN("rolekeeper-slrwatch-dead-letters"), context: plain},
		{what: "sends an event as a service of AWS", action: "events:PutEvents", resource: bus, context: map[string]any{"events:source": []string{"aws.iam"}}},
		{what: "sends such an event among ours", action: "events:PutEvents", resource: bus, context: map[string]any{"events:source": []string{"rolekeeper", "aws.iam"}}},
		{what: "sends an event of no source", action: "events:PutEvents", resource: bus, context: map[string]any{"events:source": nil}},
		{what: "sends an event to another bus", action: "events:PutEvents", resource: strings.Replace(bus, "default", "theirs", 1), context: map[string]any{"events:source": []string{"rolekeeper"}}},
		{what: "calls reconcile", action: "lambda:InvokeFunction", resource: functionARN("rolekeeper-reconcile")},

		// Scheduler and EventBridge, for others.
		{what: "calls reconcile", caller: local.Scheduler + "slrwatch", action: "lambda:InvokeFunction", resource: functionARN("rolekeeper-reconcile")},
		{what: "calls drift", caller: local.Scheduler + "slrwatch", action: "lambda:InvokeFunction", resource: functionARN("rolekeeper-drift")},
		{what: "buries a config", caller: local.Scheduler + "slrwatch", action: "sqs:SendMessage", resource: queueARN("rolekeeper-inbox-dead-letters")},
		{what: "delivers a config", caller: local.EventBridge, action: "sqs:SendMessage", resource: queueARN("rolekeeper-slrwatch"), context: from(rules["ConfigChangedRule"])},
		{what: "delivers for a rule whose name goes on", caller: local.EventBridge, action: "sqs:SendMessage", resource: queueARN("rolekeeper-slrwatch"), context: from(rules["LinkedResourceChangedRule"] + "2")},
		{what: "buries a config", caller: local.EventBridge, action: "sqs:SendMessage", resource: queueARN("rolekeeper-slrwatch-dead-letters"), context: from(rules["ConfigChangedRule"])},
		{what: "delivers to intake what is slrwatch's", caller: local.EventBridge, action: "sqs:SendMessage", resource: queueARN("rolekeeper-inbox"), context: from(rules["LinkedResourceChangedRule"])},
	}
	for i := range all {
		if all[i].caller == "" {
			all[i].caller = "slrwatch"
		}
	}
	// Who has all of S3, and does not watch.
	for _, caller := range []string{"developer", "operator", "intake", "reconcile", "drift"} {
		for _, object := range []string{table, memory} {
			for _, action := range []string{"s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ReplicateObject"} {
				all = append(all, request{what: "makes believe that nothing needs a role", caller: caller, attached: objects, action: action, resource: object})
			}
		}
		all = append(all, request{what: "deletes a service-linked role", caller: caller, action: "iam:DeleteServiceLinkedRole", resource: network})
	}
	return append(all, request{what: "reads what resources there are", caller: "drift", action: "s3:GetObject", resource: memory})
}
