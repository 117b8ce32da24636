package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol"
	"github.com/aws/aws-sdk-go-v2/service/bedrockagentcorecontrol/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

// artifact is what runtimes run.
var artifact = &types.AgentRuntimeArtifactMemberContainerConfiguration{Value: types.ContainerConfiguration{ContainerUri: aws.String("image")}}

func (s stack) agentCore(caller string) *bedrockagentcorecontrol.Client {
	return bedrockagentcorecontrol.NewFromConfig(s.Config(caller))
}

// deploy makes a runtime that runs with a role, as a developer does, and gives
// its id.
func (s stack) deploy(name, role string) (id string) {
	s.t.Helper()
	out, err := s.agentCore("developer").CreateAgentRuntime(s.t.Context(), &bedrockagentcorecontrol.CreateAgentRuntimeInput{
		AgentRuntimeName: &name, RoleArn: aws.String(roleARN(role)), AgentRuntimeArtifact: artifact,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return *out.AgentRuntimeId
}

// redeploy gives a runtime a version with another role.
func (s stack) redeploy(id, role string) {
	s.t.Helper()
	if _, err := s.agentCore("developer").UpdateAgentRuntime(s.t.Context(), &bedrockagentcorecontrol.UpdateAgentRuntimeInput{
		AgentRuntimeId: &id, RoleArn: aws.String(roleARN(role)), AgentRuntimeArtifact: artifact,
	}); err != nil {
		s.t.Fatal(err)
	}
}

// undeploy deletes a runtime, or one version of it.
func (s stack) undeploy(id, version string) {
	s.t.Helper()
	s.settled(id) // what is being made cannot be deleted
	in := &bedrockagentcorecontrol.DeleteAgentRuntimeInput{AgentRuntimeId: &id}
	if version != "" {
		in.AgentRuntimeVersion = &version
	}
	if _, err := s.agentCore("developer").DeleteAgentRuntime(s.t.Context(), in); err != nil {
		s.t.Fatal(err)
	}
}

// pin makes an endpoint of a runtime that leads to a version, and gives its ARN.
func (s stack) pin(id, name, version string) (arn string) {
	s.t.Helper()
	out, err := s.agentCore("developer").CreateAgentRuntimeEndpoint(s.t.Context(), &bedrockagentcorecontrol.CreateAgentRuntimeEndpointInput{
		AgentRuntimeId: &id, Name: &name, AgentRuntimeVersion: &version,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return *out.AgentRuntimeEndpointArn
}

// unpin deletes an endpoint, and waits until it is gone.
func (s stack) unpin(id, name string) {
	s.t.Helper()
	client := s.agentCore("developer")
	if _, err := client.DeleteAgentRuntimeEndpoint(s.t.Context(), &bedrockagentcorecontrol.DeleteAgentRuntimeEndpointInput{AgentRuntimeId: &id, EndpointName: &name}); err != nil {
		s.t.Fatal(err)
	}
	s.until("endpoint "+name+" is gone", func() bool {
		out, err := client.ListAgentRuntimeEndpoints(s.t.Context(), &bedrockagentcorecontrol.ListAgentRuntimeEndpointsInput{AgentRuntimeId: &id})
		if err != nil {
			s.t.Fatal(err)
		}
		return len(out.RuntimeEndpoints) == 1 // DEFAULT
	})
}

// settled waits until a runtime is no longer made, changed or deleted.
func (s stack) settled(id string) {
	s.t.Helper()
	s.until("runtime "+id+" is settled", func() bool {
		out, err := s.agentCore("admin").GetAgentRuntime(s.t.Context(), &bedrockagentcorecontrol.GetAgentRuntimeInput{AgentRuntimeId: &id})
		var gone *types.ResourceNotFoundException
		if err != nil && !errors.As(err, &gone) {
			s.t.Fatal(err)
		}
		return err != nil || !slices.Contains([]types.AgentRuntimeStatus{types.AgentRuntimeStatusCreating, types.AgentRuntimeStatusUpdating, types.AgentRuntimeStatusDeleting}, out.Status)
	})
}

// holders are requests that make one of each kind of thing that holds a role R
// and is no runtime.
var holders = map[string]string{
	"browser":                  `PUT /browsers {"name":"N","executionRoleArn":"R"}`,
	"capacity-provider":        `PUT /capacity-providers {"name":"N","permissionsConfiguration":{"capacityProviderOperatorRoleArn":"R"}}`,
	"code-interpreter":         `PUT /code-interpreters {"name":"N","executionRoleArn":"R"}`,
	"consent-portal":           `POST /identities/CreateConsentPortal {"name":"N","executionRoleArn":"R"}`,
	"gateway":                  `POST /gateways/ {"name":"N","roleArn":"R"}`,
	"harness":                  `POST /harnesses {"harnessName":"N","executionRoleArn":"R"}`,
	"memory":                   `POST /memories/create {"name":"N","memoryExecutionRoleArn":"R"}`,
	"online-evaluation-config": `POST /online-evaluation-configs/create {"onlineEvaluationConfigName":"N","evaluationExecutionRoleArn":"R"}`,
	"payment-manager":          `POST /payments/managers {"name":"N","roleArn":"R"}`,
}

// holder makes something of a kind that holds a role, past the call log, and gives
// its ARN.
func (s stack) holder(kind, name, role string) (arn string) {
	s.t.Helper()
	request := strings.SplitN(strings.NewReplacer(`"N"`, `"`+name+`"`, `"R"`, `"`+roleARN(role)+`"`).Replace(holders[kind]), " ", 3)
	_, answer, err := s.Proxy().AgentCore().ServeAgentCore("admin", request[0], request[1], "", []byte(request[2]))
	if err != nil {
		s.t.Fatalf("%s: %v", kind, err)
	}
	var all map[string]any
	if err := json.Unmarshal(answer, &all); err != nil {
		s.t.Fatal(err)
	}
	if arn = arnIn(all); arn == "" {
		s.t.Fatalf("%s: %s", kind, answer)
	}
	return arn
}

// arnIn gives the ARN that an answer has, at the top or below the one thing there is.
func arnIn(answer map[string]any) string {
	for name, v := range answer {
		switch v := v.(type) {
		case string:
			if strings.HasSuffix(strings.ToLower(name), "arn") && strings.HasPrefix(v, "arn:aws:bedrock-agentcore:") && !strings.Contains(v, "workload-identity") {
				return v
			}
		case map[string]any:
			if arn := arnIn(v); arn != "" {
				return arn
			}
		}
	}
	return ""
}

// pass has the schedule come round once, and waits for what follows.
func (s stack) pass() {
	s.t.Helper()
	result, err := s.RunSchedule(s.t.Context(), "drift")
	if err != nil || result.Failure != "" {
		s.t.Fatalf("the pass: %+v, %v", result, err)
	}
	s.idle()
}

// forgetInventory has what uses roles be listed anew, as after a minute.
func (s stack) forgetInventory() {
	s.t.Helper()
	s.remove(naming.InventoryKey)
}

// withdrawConfig deletes a config as a developer does.
func (s stack) withdrawConfig(key string) {
	s.t.Helper()
	if _, err := s3.NewFromConfig(s.Config("developer")).DeleteObject(s.t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
		s.t.Fatal(err)
	}
	s.idle()
}

// agent gives what the status of a config says of an agent.
func (s stack) agent(key, name string) status.Agent {
	s.t.Helper()
	a, known := s.status(key).Agent(name)
	if !known {
		s.t.Fatalf("%s does not tell of agent %s: %+v", key, name, s.status(key))
	}
	return a
}

func (s stack) wantPhase(key, name string, want status.Phase) status.Agent {
	s.t.Helper()
	a := s.agent(key, name)
	if a.Phase != want {
		s.t.Errorf("agent %s is %s, want %s: %+v", name, a.Phase, want, a)
	}
	return a
}

// outlastGrace waits until the grace periods of the configs' agents are over: the
// functions' clock is this machine's.
func (s stack) outlastGrace(keys ...string) {
	s.t.Helper()
	for _, key := range keys {
		for _, a := range s.status(key).Agents {
			time.Sleep(time.Until(a.RetireAfter))
		}
	}
}

// awaitPhase waits until agents, each the only one of its config, are in a phase:
// a quarantine is a message with a delay, for which idle does not wait.
func (s stack) awaitPhase(want status.Phase, agents ...string) {
	s.t.Helper()
	for _, name := range agents {
		s.until(fmt.Sprintf("agent %s is %s", name, want), func() bool { return s.agent(keyOf(name), name).Phase == want })
	}
	s.idle()
}

// gone reports whether there is no role of the name.
func (s stack) gone(role string) bool {
	s.t.Helper()
	_, err := iamrole.NewReader(iam.NewFromConfig(s.Config("admin"))).Head(s.t.Context(), role)
	if err != nil && !errors.Is(err, fault.ErrNotFound) {
		s.t.Fatal(err)
	}
	return err != nil
}

// direct is a config of an agent without a build, and so with one role.
func direct(name string, more ...string) string {
	return strings.Replace(container(name, more...), "deployment_type: container", "deployment_type: direct_code_deploy", 1)
}

// owned gives the name of an agent's runtime role.
func owned(agent string) string { return naming.RuntimeRole(region, agent) }
