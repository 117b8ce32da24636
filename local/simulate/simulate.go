// Package simulate asks an IAM simulator what policies decide. The simulator is
// a Node.js library that `npm ci` installs beside this package; nothing but
// tests uses it.
package simulate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Request is one call that a principal of account 123456789012, or a service,
// makes on a resource of that account.
type Request struct {
	// Principal is an ARN or a service principal; some role of the account when
	// empty. It decides what the Principal elements of the resource's policy mean;
	// aws:PrincipalArn is for Context to give.
	Principal string
	Policies  []string // JSON of the principal's identity policies
	Boundary  string   // JSON of its permissions boundary; empty for none
	// ResourcePolicy is the JSON of the policy of the bucket or queue; empty for
	// none. It is judged in checked requests only.
	ResourcePolicy string
	Action         string
	Resource       string         // an ARN, no pattern, or "*" for an action without resource types
	Context        map[string]any // string, or []string for keys with many values
	// Checked has action, resource and context compared with AWS's Service
	// Authorization Reference first: what does not exist there is an error.
	Checked bool
}

// Result is the decision on one request. Error tells why there is none.
type Result struct {
	Allowed bool   `json:"allowed"`
	Error   string `json:"error"`
}

// Installed reports whether the simulator's library is in dir, the directory of
// this package.
func Installed(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "node_modules", "@cloud-copilot", "iam-simulate"))
	return err == nil
}

// Run decides the requests in one node process and gives a result for each, in
// their order. dir is the directory of this package.
func Run(ctx context.Context, dir string, requests []Request) ([]Result, error) {
	input, err := batch(requests)
	if err != nil {
		return nil, fmt.Errorf("encode %d requests: %w", len(requests), err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "node", "simulate.mjs")
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, bytes.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run node on %d requests: %w: %s", len(requests), err, stderr.String())
	}
	var results []Result
	if err := json.Unmarshal(stdout.Bytes(), &results); err != nil {
		return nil, fmt.Errorf("read decisions: %w", err)
	}
	if len(results) != len(requests) {
		return nil, fmt.Errorf("%d decisions on %d requests", len(results), len(requests))
	}
	return results, nil
}

// batch encodes the requests as simulate.mjs reads them, each document once.
func batch(requests []Request) ([]byte, error) {
	type request struct {
		Principal      string         `json:"principal,omitempty"`
		Policies       []int          `json:"policies"`
		Boundary       int            `json:"boundary"`
		ResourcePolicy int            `json:"resourcePolicy"`
		Action         string         `json:"action"`
		Resource       string         `json:"resource"`
		Context        map[string]any `json:"context,omitempty"`
		Checked        bool           `json:"checked"`
	}
	var documents []json.RawMessage
	index := map[string]int{}
	intern := func(document string) int {
		i, ok := index[document]
		if !ok {
			i = len(documents)
			index[document] = i
			documents = append(documents, json.RawMessage(document))
		}
		return i
	}
	out := make([]request, 0, len(requests))
	for _, r := range requests {
		q := request{
			Principal: r.Principal, Policies: []int{}, Boundary: -1, ResourcePolicy: -1,
			Action: r.Action, Resource: r.Resource, Context: r.Context, Checked: r.Checked,
		}
		for _, p := range r.Policies {
			q.Policies = append(q.Policies, intern(p))
		}
		if r.Boundary != "" {
			q.Boundary = intern(r.Boundary)
		}
		if r.ResourcePolicy != "" {
			q.ResourcePolicy = intern(r.ResourcePolicy)
		}
		out = append(out, q)
	}
	return json.Marshal(struct {
		Documents []json.RawMessage `json:"documents"`
		Requests  []request         `json:"requests"`
	}{documents, out})
}
