package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// queues is what the proxy knows about SQS beside moto.
type queues struct {
	mu     sync.Mutex
	sent   map[string]sent // queue, group and deduplication id -> first answer
	notice func(queue string)
}

type sent struct {
	at   time.Time
	body []byte
}

// deduplicationInterval is how long a FIFO queue knows a deduplication id
// (SQS developer guide). moto forgets it when the message is deleted.
const deduplicationInterval = 5 * time.Minute

// SetQueueNotice calls f with a queue's name when messages may have become
// receivable there, so that pollers need not wait for their next look.
func (p *Proxy) SetQueueNotice(f func(queue string)) {
	p.queues.mu.Lock()
	defer p.queues.mu.Unlock()
	p.queues.notice = f
}

func (p *Proxy) answerSQS(ctx context.Context, c Call, r *http.Request, body []byte) answer {
	if r.Header.Get("X-Amz-Target") == "" {
		return unanswered(c, "SQS is spoken in JSON here; the query protocol is not")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var in map[string]any
	if err := d.Decode(&in); err != nil {
		return refuse(c, http.StatusBadRequest, "SerializationException", err.Error())
	}
	p.scale(in)
	scaled, err := json.Marshal(in)
	if err != nil {
		return refuse(c, http.StatusBadRequest, "SerializationException", err.Error())
	}

	id := ""
	if c.Operation == "SendMessage" && strings.HasSuffix(c.Resource, ".fifo") {
		if _, delayed := in["DelaySeconds"]; delayed && in["DelaySeconds"] != json.Number("0") {
			return refuse(c, http.StatusBadRequest, "InvalidParameterValue",
				"The request include parameter that is not valid for this queue type: DelaySeconds")
		}
		if token, _ := in["MessageDeduplicationId"].(string); token != "" {
			group, _ := in["MessageGroupId"].(string)
			id = c.Resource + "\x00" + group + "\x00" + token
		}
	}
	if id != "" {
		if first, known := p.sentBefore(id); known {
			return answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, body: first}
		}
	}
	a := p.forward(ctx, c, r, scaled)
	if a.ok() {
		p.queues.mu.Lock()
		if id != "" {
			p.queues.sent[id] = sent{time.Now(), a.body}
		}
		notice := p.queues.notice
		p.queues.mu.Unlock()
		switch c.Operation {
		case "SendMessage", "SendMessageBatch", "ChangeMessageVisibility", "ChangeMessageVisibilityBatch", "DeleteMessage", "DeleteMessageBatch":
			if notice != nil { // a delete frees the group of a FIFO queue
				notice(c.Resource)
			}
		}
	}
	return a
}

func (p *Proxy) sentBefore(id string) ([]byte, bool) {
	p.queues.mu.Lock()
	defer p.queues.mu.Unlock()
	first, known := p.queues.sent[id]
	interval := time.Duration(float64(deduplicationInterval) * p.o.TimeScale)
	return first.body, known && time.Since(first.at) < interval
}

// scale shortens the times in a request. moto takes whole seconds; they are
// rounded down, but a queue's own visibility timeout stays at least a second,
// since at zero a message would be received again while it is being handled.
func (p *Proxy) scale(in map[string]any) {
	if p.o.TimeScale == 1 {
		return
	}
	for _, name := range []string{"DelaySeconds", "VisibilityTimeout"} {
		if n, ok := in[name].(json.Number); ok {
			if seconds, err := n.Int64(); err == nil {
				in[name] = scaleSeconds(seconds, p.o.TimeScale, 0)
			}
		}
	}
	if entries, ok := in["Entries"].([]any); ok {
		for _, e := range entries {
			if m, ok := e.(map[string]any); ok {
				p.scale(m)
			}
		}
	}
	attributes, ok := in["Attributes"].(map[string]any)
	if !ok {
		return
	}
	for name, least := range map[string]int64{"DelaySeconds": 0, "VisibilityTimeout": 1} {
		if s, ok := attributes[name].(string); ok {
			if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
				attributes[name] = strconv.FormatInt(scaleSeconds(seconds, p.o.TimeScale, least), 10)
			}
		}
	}
}

func scaleSeconds(seconds int64, by float64, least int64) int64 {
	if seconds == 0 {
		return 0
	}
	return max(least, int64(math.Floor(float64(seconds)*by)))
}

// emptyReceive tells a receive that brought nothing.
func emptyReceive(c Call, a answer) bool {
	if c.Service != "sqs" || c.Operation != "ReceiveMessage" || !a.ok() {
		return false
	}
	var out struct{ Messages []json.RawMessage }
	return json.Unmarshal(a.body, &out) == nil && len(out.Messages) == 0
}
