package proxy

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// Kind says what goes wrong with a call.
type Kind string

// The kinds of fault.
const (
	Throttle    Kind = "throttle"     // IAM: 400 Throttling, S3: 503 SlowDown, EC2: 503 RequestLimitExceeded, JSON services: 400 ThrottlingException
	ServerError Kind = "server-error" // 500 in the service's protocol
	Denied      Kind = "denied"       // AccessDenied in the service's protocol
	Conflict    Kind = "conflict"     // S3: 409 ConditionalRequestConflict, IAM: 409 ConcurrentModification
	DropBefore  Kind = "drop-before"  // connection reset, nothing happened
	DropAfter   Kind = "drop-after"   // it happened, then connection reset
	Delay       Kind = "delay"        // answered late
)

// Fault goes wrong with the calls that match all of its set fields.
type Fault struct {
	Caller    string        `json:"caller,omitempty"`
	Service   string        `json:"service,omitempty"`
	Operation string        `json:"operation,omitempty"`
	Resource  string        `json:"resource,omitempty"` // substring of Call.Resource
	After     int           `json:"after,omitempty"`    // matching calls to let pass first
	Count     int           `json:"count,omitempty"`    // calls to hit; 0 for all
	Kind      Kind          `json:"kind"`
	Wait      time.Duration `json:"wait,omitempty"` // for Delay, in nanoseconds in JSON
}

// Injected is a fault in force.
type Injected struct {
	Fault

	set    *faults
	passed int
	hits   int
}

// Hits gives the number of calls the fault has struck.
func (i *Injected) Hits() int {
	i.set.mu.Lock()
	defer i.set.mu.Unlock()
	return i.hits
}

// Remove ends the fault.
func (i *Injected) Remove() {
	i.set.mu.Lock()
	defer i.set.mu.Unlock()
	for n, other := range i.set.active {
		if other == i {
			i.set.active = append(i.set.active[:n], i.set.active[n+1:]...)
			return
		}
	}
}

type faults struct {
	mu     sync.Mutex
	active []*Injected
}

func (s *faults) add(f Fault) *Injected {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := &Injected{Fault: f, set: s}
	s.active = append(s.active, i)
	return i
}

func (s *faults) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = nil
}

// strike gives the first fault that hits the call, counting it.
func (s *faults) strike(c Call) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.active {
		if !i.matches(c) || i.Count > 0 && i.hits >= i.Count {
			continue
		}
		if i.passed < i.After {
			i.passed++
			continue
		}
		i.hits++
		return i.Fault, true
	}
	return Fault{}, false
}

func (f Fault) matches(c Call) bool {
	return (f.Caller == "" || f.Caller == c.Caller) &&
		(f.Service == "" || f.Service == c.Service) &&
		(f.Operation == "" || f.Operation == c.Operation) &&
		strings.Contains(c.Resource, f.Resource)
}

// trouble is an error answer of a fault.
type trouble struct {
	status  int
	code    string
	message string
}

// troubles are the answers by kind and service; "" is every other service.
var troubles = map[Kind]map[string]trouble{
	Throttle: {
		"s3":  {http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate."},
		"iam": {http.StatusBadRequest, "Throttling", "Rate exceeded"},
		"sts": {http.StatusBadRequest, "Throttling", "Rate exceeded"},
		"ec2": {http.StatusServiceUnavailable, "RequestLimitExceeded", "Request limit exceeded."},
		"":    {http.StatusBadRequest, "ThrottlingException", "Rate exceeded"},
	},
	ServerError: {
		"s3":  {http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again."},
		"iam": {http.StatusInternalServerError, "ServiceFailure", "The request processing has failed."},
		"ec2": {http.StatusInternalServerError, "InternalError", "An internal error has occurred"},
		"":    {http.StatusInternalServerError, "InternalFailure", "The request processing has failed."},
	},
	Denied: {
		"s3":  {http.StatusForbidden, "AccessDenied", "Access Denied"},
		"iam": {http.StatusForbidden, "AccessDenied", "The caller is not authorized to perform this action."},
		"sts": {http.StatusForbidden, "AccessDenied", "The caller is not authorized to perform this action."},
		"sqs": {http.StatusForbidden, "AccessDenied", "Access to the resource is denied."},
		"ec2": {http.StatusForbidden, "UnauthorizedOperation", "You are not authorized to perform this operation."},
		"":    {http.StatusForbidden, "AccessDeniedException", "The caller is not authorized to perform this action."},
	},
	Conflict: { // the proxy holds a key while it is written, so a real race never shows
		"iam": {http.StatusConflict, "ConcurrentModification", "The request was rejected because multiple requests to change this object were submitted simultaneously."},
		"":    {http.StatusConflict, "ConditionalRequestConflict", "A conflicting operation is in progress. Please try again."},
	},
}

// spoil gives the error answer of a fault that has one.
func spoil(c Call, k Kind) (answer, bool) {
	services, ok := troubles[k]
	if !ok {
		return answer{}, false
	}
	t, ok := services[c.Service]
	if !ok {
		t = services[""]
	}
	return refuse(c, t.status, t.code, t.message), true
}
