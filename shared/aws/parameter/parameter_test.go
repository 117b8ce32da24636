package parameter_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"

	"rolekeeper/shared/aws/parameter"
	"rolekeeper/shared/fault"
)

// parameters holds values by name.
type parameters map[string]string

func (p parameters) GetParameter(_ context.Context, in *ssm.GetParameterInput, _ ...func(*ssm.Options)) (*ssm.GetParameterOutput, error) {
	value, ok := p[*in.Name]
	switch {
	case !ok:
		return nil, &types.ParameterNotFound{}
	case value == "denied":
		return nil, &smithy.GenericAPIError{Code: "AccessDeniedException"}
	}
	return &ssm.GetParameterOutput{Parameter: &types.Parameter{Name: in.Name, Value: &value}}, nil
}

func TestOnlyWhatIsNotThereIsNotFound(t *testing.T) {
	there := parameters{"/rolekeeper/stack/settings": "{}", "/rolekeeper/secret/settings": "denied"}
	if v, err := parameter.Read(t.Context(), there, "/rolekeeper/stack/settings"); err != nil || v != "{}" {
		t.Errorf("read %q, %v", v, err)
	}
	if _, err := parameter.Read(t.Context(), there, "/rolekeeper/other/settings"); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
	if _, err := parameter.Read(t.Context(), there, "/rolekeeper/secret/settings"); err == nil || errors.Is(err, fault.ErrNotFound) {
		t.Errorf("denied: %v", err)
	}
}
