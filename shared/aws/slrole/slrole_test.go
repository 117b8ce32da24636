package slrole_test

import (
	"errors"
	"testing"

	"rolekeeper/shared/aws/slrole"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/fault"
)

const (
	name    = "AWSServiceRoleForBedrockAgentCoreNetwork"
	service = "network.bedrock-agentcore.amazonaws.com"
)

func TestARoleMadeBySomebodyElseMeanwhileIsGood(t *testing.T) {
	c := awsfake.New()
	client := slrole.New(c.IAM("t"))
	if there, err := client.Present(t.Context(), name); there || err != nil {
		t.Fatalf("present %v, %v", there, err)
	}
	if err := slrole.New(c.IAM("somebody")).Create(t.Context(), name, service); err != nil {
		t.Fatal(err)
	}
	c.ForgetCalls()
	if err := client.Create(t.Context(), name, service); err != nil {
		t.Errorf("create: %v", err)
	}
	if n := len(c.Calls()); n != 2 {
		t.Errorf("%d calls, want the creation and a look: %v", n, c.Calls())
	}
}

func TestInvalidInputOfAnotherKindIsAnError(t *testing.T) {
	c := awsfake.New()
	if err := slrole.New(c.IAM("t")).Create(t.Context(), "AWSServiceRoleForNobody", "nobody.amazonaws.com"); err == nil {
		t.Error("a role of an unknown service was made")
	}
}

func TestALookThatFailsDoesNotMakeARolePresent(t *testing.T) {
	for code, class := range map[string]fault.Class{"Throttling": fault.Retry, "AccessDenied": fault.Unknown} {
		t.Run(code, func(t *testing.T) {
			c := awsfake.New()
			client := slrole.New(c.IAM("t"))
			if err := client.Create(t.Context(), name, service); err != nil {
				t.Fatal(err)
			}
			c.Before = func(call awsfake.Call) error {
				if call.Operation == "GetRole" {
					return awsfake.APIError(code, "m")
				}
				return nil
			}
			if there, err := client.Present(t.Context(), name); there || fault.Of(err) != class || errors.Is(err, fault.ErrNotFound) {
				t.Errorf("present %v, class %q: %v", there, fault.Of(err), err)
			}
			if err := client.Create(t.Context(), name, service); err == nil {
				t.Error("created without having been seen")
			}
		})
	}
}
