package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rolekeeper/local/bus"
)

// maxEventsSize is PutEvents' limit on the whole request (API reference).
const maxEventsSize = 1 << 20

type putEventsEntry struct {
	Source       string
	DetailType   string
	Detail       string
	EventBusName string
	Resources    []string
	Time         *float64 // seconds since the epoch
}

type putEventsResult struct {
	EventID      string `json:"EventId,omitempty"`
	ErrorCode    string `json:",omitempty"`
	ErrorMessage string `json:",omitempty"`
}

// answerEvents does PutEvents on the default bus. moto's events lack the
// account, run at 130 ms or more a target, and stop at the first bad target.
func (p *Proxy) answerEvents(c Call, body []byte) answer {
	if c.Operation != "PutEvents" {
		return unanswered(c, "of EventBridge only PutEvents is part of it; rules come from the template")
	}
	var in struct{ Entries []putEventsEntry }
	if err := json.Unmarshal(body, &in); err != nil {
		return refuse(c, http.StatusBadRequest, "SerializationException", err.Error())
	}
	if n := len(in.Entries); n < 1 || n > 10 {
		return refuse(c, http.StatusBadRequest, "ValidationException",
			fmt.Sprintf("1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length between 1 and 10, has %d", n))
	}
	if len(body) > maxEventsSize {
		return refuse(c, http.StatusBadRequest, "ValidationException", "Total size of the entries in the request is over the limit.")
	}
	out := struct {
		Entries          []putEventsResult
		FailedEntryCount int
	}{}
	for _, e := range in.Entries {
		r := p.putEvent(e)
		if r.ErrorCode != "" {
			out.FailedEntryCount++
		}
		out.Entries = append(out.Entries, r)
	}
	a := answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}}
	a.body, _ = json.Marshal(out) // strings and numbers always encode
	return a
}

func (p *Proxy) putEvent(e putEventsEntry) putEventsResult {
	invalid := func(name string) putEventsResult {
		return putEventsResult{ErrorCode: "InvalidArgument", ErrorMessage: fmt.Sprintf("Parameter %s is not valid. Reason: %s is a required argument.", name, name)}
	}
	switch {
	case e.EventBusName != "" && bus.QueueName(e.EventBusName) != "default":
		return putEventsResult{ErrorCode: "NoSuchEventBus", ErrorMessage: "the local AWS has only the default bus, not " + e.EventBusName}
	case e.Source == "":
		return invalid("Source")
	case e.DetailType == "":
		return invalid("DetailType")
	case e.Detail == "":
		return invalid("Detail")
	case strings.HasPrefix(e.Source, "aws."):
		return putEventsResult{ErrorCode: "NotAuthorizedForSourceException", ErrorMessage: "Not authorized for the source."}
	}
	detail := bytes.TrimSpace([]byte(e.Detail))
	if !json.Valid(detail) || detail[0] != '{' {
		return putEventsResult{ErrorCode: "MalformedDetail", ErrorMessage: "Detail is malformed."}
	}
	event := bus.Event{Source: e.Source, DetailType: e.DetailType, Detail: detail, Resources: e.Resources}
	if e.Time != nil {
		event.Time = time.UnixMilli(int64(*e.Time * 1000))
	}
	return putEventsResult{EventID: p.o.Bus.Publish(event)}
}
