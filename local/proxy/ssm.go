package proxy

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"rolekeeper/shared/naming"
)

// Longest values of parameters (Systems Manager user guide, "Managing parameter
// tiers").
const (
	maxStandardParameter = 4096
	maxAdvancedParameter = 8192
)

// parameterARN gives the ARN of a parameter by its name, which may be an ARN.
func (p *Proxy) parameterARN(name string) string {
	if name == "" || strings.HasPrefix(name, "arn:") {
		return name
	}
	return "arn:" + naming.Partition(p.o.Region) + ":ssm:" + p.o.Region + ":" + p.o.Account + ":parameter/" + strings.TrimPrefix(name, "/")
}

// answerSSM passes calls on; moto takes values of any length.
func (p *Proxy) answerSSM(ctx context.Context, c Call, r *http.Request, body []byte) answer {
	if c.Operation == "PutParameter" {
		var in struct{ Value, Tier string }
		if err := json.Unmarshal(body, &in); err != nil {
			return refuse(c, http.StatusBadRequest, "SerializationException", err.Error())
		}
		most := maxStandardParameter
		if in.Tier == "Advanced" {
			most = maxAdvancedParameter
		}
		if len(in.Value) > most {
			return refuse(c, http.StatusBadRequest, "ValidationException", "Parameter value is longer than its tier allows.")
		}
	}
	return p.forward(ctx, c, r, body)
}
