package suite

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"rolekeeper/shared/aws/bus"
	"rolekeeper/shared/aws/configstore"
	"rolekeeper/shared/aws/iamrole"
	"rolekeeper/shared/aws/slrole"
	"rolekeeper/shared/aws/workqueue"
	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/policy"
)

// wantFault checks what an error means: its class, and that it is the sentinel
// given and no other. A nil sentinel is none.
func wantFault(t T, what string, err error, class fault.Class, sentinel error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s succeeds", what)
		return
	}
	if got := fault.Of(err); got != class {
		t.Errorf("%s: class %q, want %q (%v)", what, got, class, err)
	}
	if sentinel != nil && !errors.Is(err, sentinel) {
		t.Errorf("%s: not %q: %v", what, sentinel, err)
	}
	for _, other := range []error{fault.ErrNotFound, fault.ErrExists, fault.ErrConflict} {
		if sentinel == nil && errors.Is(err, other) {
			t.Errorf("%s: %q, want none: %v", what, other, err)
		}
	}
}

func wantNil(t T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func document(t T, text string) policy.Document {
	t.Helper()
	return must(policy.Parse(text))(t)
}

func (b *Backend) desired(t T) model.Role {
	t.Helper()
	name := b.fresh("role")
	return model.Role{
		Name: name, ARN: "arn:aws:iam::" + b.Account + ":role/" + name, Description: "for the suite", MaxSessionDuration: 7200,
		PermissionsBoundary: b.Boundary, Trust: document(t, trust), Tags: map[string]string{"team": "a"},
	}
}

func adapterCases() []testCase {
	return []testCase{
		{"iamrole reads the document of a managed policy", func(t T, b *Backend) {
			c := iamrole.New(b.IAM)
			if d := document(t, must(c.Managed(t.Context(), b.Boundary))(t)); len(d.Statements) == 0 {
				t.Errorf("document %+v", d)
			}
			_, err := c.Managed(t.Context(), b.Boundary+"-that-is-not-there")
			wantFault(t, "a policy that is not there", err, fault.Unknown, fault.ErrNotFound)
		}},
		{"iamrole reads what it wrote", func(t T, b *Backend) {
			ctx, c, r := t.Context(), iamrole.New(b.IAM), b.desired(t)
			id := must(c.Create(ctx, r, "nonce-1"))(t)
			wantNil(t, "put policy", c.PutPolicy(ctx, r.Name, "p", document(t, permissions)))
			must(b.IAM.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &r.Name, PolicyArn: &b.Boundary}))(t)
			o := must(c.Read(ctx, r.Name))(t)
			if o.Name != r.Name || o.ARN != r.ARN || o.ID != id || id == "" || o.Path != "/" || o.Description != r.Description ||
				o.MaxSessionDuration != r.MaxSessionDuration || o.PermissionsBoundary != b.Boundary || !slices.Equal(o.Attached, []string{b.Boundary}) {
				t.Errorf("read %+v of %+v", o, r)
			}
			if !maps.Equal(o.Tags, map[string]string{"team": "a", model.TagCreation: "nonce-1"}) {
				t.Errorf("tags %v", o.Tags)
			}
			if !r.Trust.Same(o.Trust) || len(o.Policies) != 1 || !document(t, permissions).Same(o.Policies["p"]) {
				t.Errorf("trust %s, policies %v", o.Trust, o.Policies)
			}
		}},
		{"iamrole changes each part of a role and leaves the others", func(t T, b *Backend) {
			ctx, c, r := t.Context(), iamrole.New(b.IAM), b.desired(t)
			r.PermissionsBoundary, r.Tags = b.Boundary, nil
			must(c.Create(ctx, r, "nonce"))(t)
			wantNil(t, "put policy", c.PutPolicy(ctx, r.Name, "p", document(t, permissions)))
			r.Trust, r.Tags, r.Description, r.MaxSessionDuration = document(t, otherTrust), map[string]string{"k": "v"}, "", 3600
			wantNil(t, "update trust", c.UpdateTrust(ctx, r))
			wantNil(t, "tag", c.Tag(ctx, r))
			wantNil(t, "put boundary", c.PutBoundary(ctx, r))
			wantNil(t, "update settings", c.UpdateSettings(ctx, r))
			o := must(c.Read(ctx, r.Name))(t)
			if !r.Trust.Same(o.Trust) || !maps.Equal(o.Tags, map[string]string{"k": "v", model.TagCreation: "nonce"}) ||
				o.PermissionsBoundary != b.Boundary || o.Description != "" || o.MaxSessionDuration != 3600 || len(o.Policies) != 1 {
				t.Errorf("role %+v", o)
			}
			for range 2 {
				wantNil(t, "delete policy", c.DeletePolicy(ctx, r.Name, "p"))
			}
			if o := must(c.Read(ctx, r.Name))(t); len(o.Policies) != 0 {
				t.Errorf("policies %v", o.Policies)
			}
		}},
		{"iamrole says what IAM's refusals mean", func(t T, b *Backend) {
			ctx, c, r := t.Context(), iamrole.New(b.IAM), b.desired(t)
			_, err := c.Head(ctx, r.Name)
			wantFault(t, "head of a missing role", err, fault.Unknown, fault.ErrNotFound)
			_, err = c.Read(ctx, r.Name)
			wantFault(t, "read of a missing role", err, fault.Unknown, fault.ErrNotFound)
			wantFault(t, "policy for a role that is not to be seen", c.PutPolicy(ctx, r.Name, "p", document(t, permissions)), fault.Retry, nil)
			must(c.Create(ctx, r, "nonce"))(t)
			_, err = c.Create(ctx, r, "nonce")
			wantFault(t, "a name that is taken", err, fault.Retry, fault.ErrExists)
			wantFault(t, "a trust policy as permissions", c.PutPolicy(ctx, r.Name, "p", r.Trust), fault.Unknown, nil)
			long := document(t, strings.Replace(permissions, "a+b c", strings.Repeat("x", 10_240), 1))
			wantFault(t, "a policy beyond the quota", c.PutPolicy(ctx, r.Name, "p", long), fault.Unknown, nil)
			bad := r
			bad.Trust = document(t, permissions)
			wantFault(t, "permissions as a trust policy", c.UpdateTrust(ctx, bad), fault.Unknown, nil)
			bad = b.desired(t)
			bad.MaxSessionDuration = 43_201
			_, err = c.Create(ctx, bad, "nonce")
			wantFault(t, "a session too long", err, fault.Unknown, nil)
		}},
		{"slrole makes a service-linked role once and finds it", func(t T, b *Backend) {
			b.linked.Lock()
			defer b.linked.Unlock()
			ctx, c := t.Context(), slrole.New(b.IAM)
			const name, service = "AWSServiceRoleForBedrockAgentCoreIdentity", "identity-network.bedrock-agentcore.amazonaws.com"
			if there, err := c.Present(ctx, name); there || err != nil {
				t.Errorf("before: %v, %v", there, err)
			}
			for range 2 {
				wantNil(t, "create", c.Create(ctx, name, service))
			}
			if there, err := c.Present(ctx, name); !there || err != nil {
				t.Errorf("after: %v, %v", there, err)
			}
			wantFault(t, "an unknown service", c.Create(ctx, "AWSServiceRoleForSuite", "suite.amazonaws.com"), fault.Unknown, nil)
		}},
		{"configstore says what S3's refusals mean", func(t T, b *Backend) {
			ctx, c, key := t.Context(), configstore.New(b.S3, b.Bucket, b.Account), b.fresh("object")
			_, err := c.Get(ctx, key)
			wantFault(t, "get of a missing object", err, fault.Unknown, fault.ErrNotFound)
			_, err = c.Replace(ctx, key, []byte("x"), `"0123456789abcdef0123456789abcdef"`)
			wantFault(t, "replace of a missing object", err, fault.Retry, fault.ErrConflict)
			first := must(c.Create(ctx, key, []byte("one")))(t)
			_, err = c.Create(ctx, key, []byte("two"))
			wantFault(t, "create of what is there", err, fault.Retry, fault.ErrConflict)
			second := must(c.Replace(ctx, key, []byte("two"), first))(t)
			_, err = c.Replace(ctx, key, []byte("three"), first)
			wantFault(t, "replace of what has changed", err, fault.Retry, fault.ErrConflict)
			wantFault(t, "delete of what has changed", c.Delete(ctx, key, first), fault.Retry, fault.ErrConflict)
			if o := must(c.Get(ctx, key))(t); string(o.Body) != "two" || o.ETag != second || o.VersionID == "" || o.LastModified.IsZero() {
				t.Errorf("object %+v", o)
			}
			wantNil(t, "delete", c.Delete(ctx, key, second))
			wantFault(t, "delete of what is deleted", c.Delete(ctx, key, second), fault.Retry, fault.ErrConflict)
			_, err = c.Get(ctx, key)
			wantFault(t, "get of what is deleted", err, fault.Unknown, fault.ErrNotFound)
		}},
		{"configstore takes nothing for absent that S3 does not call so", func(t T, b *Backend) {
			ctx, key := t.Context(), b.fresh("object")
			_, err := configstore.New(b.Unlisted, b.Bucket, b.Account).Get(ctx, key)
			wantFault(t, "get without the right to list", err, fault.Unknown, nil)
			_, err = configstore.New(b.S3, b.Bucket+"-none", b.Account).Get(ctx, key)
			wantFault(t, "get from a missing bucket", err, fault.Unknown, nil)
		}},
		{"configstore does not touch a bucket of another account", func(t T, b *Backend) {
			ctx, key := t.Context(), b.fresh("object")
			must(configstore.New(b.S3, b.Bucket, b.Account).Create(ctx, key, []byte("x")))(t)
			foreign := configstore.New(b.S3, b.Bucket, "999999999999")
			_, err := foreign.Get(ctx, key)
			wantFault(t, "get", err, fault.Unknown, nil)
			_, err = foreign.Create(ctx, b.fresh("object"), []byte("x"))
			wantFault(t, "create", err, fault.Unknown, nil)
		}},
		{"configstore lists what is under a prefix", func(t T, b *Backend) {
			prefix := b.fresh("list") + "/"
			c, r := configstore.New(b.S3, b.Bucket, b.Account), configstore.NewReader(b.S3, b.Bucket, b.Account)
			if keys, err := r.List(t.Context(), prefix); err != nil || len(keys) != 0 {
				t.Errorf("before: %q, %v", keys, err)
			}
			for _, name := range []string{"c \a+ü", "b", "a"} {
				must(c.Create(t.Context(), prefix+name, []byte(name)))(t)
			}
			if keys, err := r.List(t.Context(), prefix); err != nil || !slices.Equal(keys, []string{prefix + "a", prefix + "b", prefix + "c \a+ü"}) {
				t.Errorf("keys %q, %v", keys, err)
			}
			for i, e := range must(r.Entries(t.Context(), prefix))(t) {
				o, err := r.Get(t.Context(), e.Key)
				if err != nil || e.Key != prefix+[]string{"a", "b", "c \a+ü"}[i] || e.Modified.IsZero() || !e.Modified.Truncate(time.Second).Equal(o.LastModified.Truncate(time.Second)) {
					t.Errorf("entry %+v of object %+v, %v", e, o, err)
				}
			}
			if o, err := r.Get(t.Context(), prefix+"a"); err != nil || string(o.Body) != "a" {
				t.Errorf("object %+v, %v", o, err)
			}
		}},
		{"workqueue sends to either kind of queue and postpones", func(t T, b *Backend) {
			m := event.Message{Body: "m", Group: "g", ID: "1", Attributes: map[string]string{"reason": "r"}, Delay: visibility}
			standard := b.queue(t, "")
			wantNil(t, "send", workqueue.New(b.SQS, standard).Send(t.Context(), m))
			b.wantNext(t, "before its delay", standard, "")
			b.Pass(over)
			e := b.Receive(t, standard, 1)
			if len(e.Records) != 1 || aws.ToString(e.Records[0].MessageAttributes["reason"].StringValue) != "r" {
				t.Fatalf("received %+v", e.Records)
			}
			inOrder := b.queue(t, ".fifo")
			q := workqueue.New(b.SQS, inOrder)
			for range 2 {
				wantNil(t, "send", q.Send(t.Context(), m))
			}
			receipt, _ := b.wantNext(t, "from the FIFO queue", inOrder, "m")
			wantNil(t, "postpone", q.Postpone(t.Context(), receipt, 0))
			_, done := b.wantNext(t, "postponed", inOrder, "m")
			done()
			b.wantNext(t, "a duplicate", inOrder, "")
		}},
		{"workqueue says what SQS's refusals mean", func(t T, b *Backend) {
			url := b.queue(t, "")
			missing := workqueue.New(b.SQS, url+"-none")
			wantFault(t, "send to a missing queue", missing.Send(t.Context(), event.Message{Body: "m"}), fault.Unknown, nil)
			wantFault(t, "postpone with a wrong receipt", workqueue.New(b.SQS, url).Postpone(t.Context(), "none", 0), fault.Unknown, nil)
		}},
		{"bus sends more events than one call takes", func(t T, b *Backend) {
			var all []event.Outgoing
			for i := range 21 {
				all = append(all, event.RolesReady{Transition: event.NewTransition("configs/a.yaml", fmt.Sprint(i), "a", "ready")})
			}
			wantNil(t, "send", bus.New(b.EventBridge).Send(t.Context(), all))
			wantNil(t, "send nothing", bus.New(b.EventBridge).Send(t.Context(), nil))
		}},
	}
}
