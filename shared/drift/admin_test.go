package drift_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolekeeper/shared/awsfake"
)

// plainTrust lets AgentCore assume a role for this account.
const plainTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"bedrock-agentcore.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"}}}]}`

// administrator is an administrator who does things by hand.
type administrator struct {
	t testing.TB
	*awsfake.IAM
}

func (w *world) admin() *administrator { return &administrator{w.t, w.cloud.IAM("admin")} }

func (a *administrator) must(_ any, err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *administrator) createRole(name, trust string) {
	a.t.Helper()
	a.must(a.CreateRole(context.Background(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust}))
}
