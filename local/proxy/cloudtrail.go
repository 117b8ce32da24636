package proxy

import (
	"context"
	"encoding/json"
	"net/http"
)

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
