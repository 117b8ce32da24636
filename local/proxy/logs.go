package proxy

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// logGroupName and retentions are what CloudWatch Logs takes (API reference,
// CreateLogGroup and PutRetentionPolicy).
var (
	logGroupName = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]{1,512}$`)
	retentions   = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
)

// answerLogs passes calls on; moto takes any name and any number of days.
func (p *Proxy) answerLogs(ctx context.Context, c Call, r *http.Request, body []byte) answer {
	var in struct {
		LogGroupName    string
		RetentionInDays int
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return refuse(c, http.StatusBadRequest, "SerializationException", err.Error())
	}
	switch c.Operation {
	case "CreateLogGroup":
		if !logGroupName.MatchString(in.LogGroupName) || strings.HasPrefix(in.LogGroupName, "aws/") {
			return refuse(c, http.StatusBadRequest, "InvalidParameterException", "Log group name is not valid: "+in.LogGroupName)
		}
	case "PutRetentionPolicy":
		if !slices.Contains(retentions, in.RetentionInDays) {
			return refuse(c, http.StatusBadRequest, "InvalidParameterException", "1 validation error detected: Value at 'retentionInDays' failed to satisfy constraint")
		}
	}
	return p.forward(ctx, c, r, body)
}
