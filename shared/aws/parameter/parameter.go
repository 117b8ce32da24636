// Package parameter reads parameters of Systems Manager.
package parameter

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"rolekeeper/shared/aws/awserr"
)

// API is what is called of Systems Manager.
type API interface {
	GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error)
}

// Read gives the value of a parameter. fault.ErrNotFound says that there is none.
func Read(ctx context.Context, api API, name string) (string, error) {
	out, err := api.GetParameter(ctx, &ssm.GetParameterInput{Name: &name})
	if err != nil {
		return "", awserr.Wrap(err, "get parameter %s", name)
	}
	return aws.ToString(out.Parameter.Value), nil
}
