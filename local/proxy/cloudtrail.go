package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rolekeeper/local/bus"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/event"
	"rolekeeper/shared/naming"
)

// SetRoleOf says which role a caller calls with, by its name: CloudTrail tells who
// did what. Without it a caller calls with a role of its own name.
func (p *Proxy) SetRoleOf(f func(caller string) string) {
	p.roles.mu.Lock()
	defer p.roles.mu.Unlock()
	p.roles.of = f
}

// trailIAM sends CloudTrail's event about a call that changed something in IAM, or
// was to. It is of the Region that IAM's events are of: where this is another, the
// event has been forwarded. Nothing tells of what the local AWS does not do. Who
// calls it holds roles.mu.
func (p *Proxy) trailIAM(c Call, form url.Values, a answer) {
	if a.status >= http.StatusInternalServerError {
		return
	}
	role, region := c.Caller, event.IAMRegion(p.o.Region)
	if p.roles.of != nil {
		role = p.roles.of(c.Caller)
	}
	record := awsfake.Trailed{
		Account: p.o.Account, Region: region, Time: time.Now(), ID: bus.NewID(), Source: "iam.amazonaws.com", Name: c.Operation,
		Role:    "arn:" + naming.Partition(p.o.Region) + ":iam::" + p.o.Account + ":role/" + role,
		Request: requestParameters(form), ErrorCode: errorCode(a),
	}
	detail, _ := json.Marshal(record.Detail()) // strings always encode
	p.o.Bus.Publish(bus.Event{Source: "aws.iam", DetailType: awsfake.TrailEventDetailType, Region: region, Time: record.Time, Detail: detail})
}

// requestParameters gives the parameters of a call of IAM as CloudTrail has them:
// by names that begin with a small letter, tags as lists.
func requestParameters(form url.Values) map[string]any {
	out := map[string]any{}
	for name := range form {
		list, _, isList := strings.Cut(name, ".member.")
		small := strings.ToLower(list[:min(len(list), 1)]) + list[min(len(list), 1):]
		switch {
		case name == "Action" || name == "Version":
		case isList:
			out[small] = listed(form, list)
		default:
			out[small] = form.Get(name)
		}
	}
	return out
}

// listed gives a list of a form: of tags, or of texts.
func listed(form url.Values, list string) []any {
	var out []any
	for i := 1; ; i++ {
		name := fmt.Sprintf("%s.member.%d", list, i)
		switch {
		case form.Has(name):
			out = append(out, form.Get(name))
		case form.Has(name + ".Key"):
			out = append(out, map[string]string{"key": form.Get(name + ".Key"), "value": form.Get(name + ".Value")})
		default:
			return out
		}
	}
}

// answerCloudTrail passes calls on. A trail on which no event selectors were set
// has one, which logs all management events (PutEventSelectors, API reference);
// moto says that it has none.
func (p *Proxy) answerCloudTrail(ctx context.Context, c Call, r *http.Request, body []byte) answer {
	a := p.forward(ctx, c, r, body)
	if c.Operation != "GetEventSelectors" || !a.ok() {
		return a
	}
	var out struct {
		TrailARN               string
		EventSelectors         []json.RawMessage
		AdvancedEventSelectors []json.RawMessage
	}
	if json.Unmarshal(a.body, &out) != nil || len(out.EventSelectors)+len(out.AdvancedEventSelectors) > 0 {
		return a
	}
	out.EventSelectors = []json.RawMessage{[]byte(
		`{"ReadWriteType":"All","IncludeManagementEvents":true,"DataResources":[],"ExcludeManagementEventSources":[]}`)}
	a.body, _ = json.Marshal(out) // it was read from JSON
	return a
}
