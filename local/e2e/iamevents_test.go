package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local/bus"
	"rolekeeper/local/proxy"
	"rolekeeper/shared/event"
	"rolekeeper/shared/naming"
)

// untilTold is how long a role may stay as somebody left it once IAM's event is on
// the bus. Messages are taken at once here, and CloudTrail takes no time.
const untilTold = 5 * time.Second

// repaired gives the calls of IAM that changed a role, by whom, and the work that
// came of them.
func (s stack) repaired(role string) (writes []string, work []event.Work) {
	s.t.Helper()
	for _, c := range s.Calls(proxy.Filter{Service: "iam", Resource: role}) {
		if c.Committed && !strings.HasPrefix(c.Operation, "Get") && !strings.HasPrefix(c.Operation, "List") {
			writes = append(writes, c.Caller+" "+c.Operation)
		}
	}
	for _, c := range s.Calls(proxy.Filter{Caller: "intake", Service: "sqs", Operation: "SendMessage", Resource: "rolekeeper-work.fifo"}) {
		var in struct{ MessageBody string }
		if err := json.Unmarshal([]byte(c.Request.Body), &in); err != nil {
			s.t.Fatal(err)
		}
		w, err := event.DecodeWork(in.MessageBody)
		if err != nil {
			s.t.Fatal(err)
		}
		work = append(work, w)
	}
	return writes, work
}

// ofRoles gives IAM's events on the bus about a role.
func (s stack) ofRoles(role string) []bus.Event {
	s.t.Helper()
	return slices.DeleteFunc(s.Events(), func(e bus.Event) bool {
		return e.Source != "aws.iam" || !strings.Contains(string(e.Detail), `"roleName":"`+role+`"`)
	})
}

func TestARoleThatIsEditedByHandIsBackByTheEventAlone(t *testing.T) {
	s := start(t)
	const key = "configs/team/agent.yaml"
	runtime, build := naming.RuntimeRole(region, "my_agent"), naming.BuildRole(region, "my_agent")
	s.upload(key, container("my_agent"))
	s.idle()
	for _, role := range []string{runtime, build} {
		if told := s.ofRoles(role); len(told) < 2 { // CreateRole and PutRolePolicy
			t.Fatalf("IAM told of %s: %v", role, told)
		}
	}
	if _, work := s.repaired(runtime); len(work) != 1 || work[0].Hints[0].Kind != "config-uploaded" {
		t.Errorf("the roles that were made for an upload led to %+v", work)
	}
	admin := iam.NewFromConfig(s.Config("admin"))
	policy := naming.RuntimePolicy("my_agent")

	for name, c := range map[string]struct {
		role  string
		edit  func(role string) error
		call  string
		mends []string // reconcile's writes
	}{
		"a policy that was deleted": {runtime, func(role string) error {
			_, err := admin.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: &role, PolicyName: &policy})
			return err
		}, "DeleteRolePolicy", []string{"PutRolePolicy"}},
		"a policy that was widened": {runtime, func(role string) error {
			_, err := admin.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &policy, PolicyDocument: aws.String(
				`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)})
			return err
		}, "PutRolePolicy", []string{"PutRolePolicy"}},
		"a tag that was taken off": {build, func(role string) error {
			_, err := admin.UntagRole(t.Context(), &iam.UntagRoleInput{RoleName: &role, TagKeys: []string{"rolekeeper:agent"}})
			return err
		}, "UntagRole", []string{"TagRole"}},
		"a tag of somebody's, which may stay": {build, func(role string) error {
			_, err := admin.TagRole(t.Context(), &iam.TagRoleInput{RoleName: &role, Tags: []types.Tag{{Key: aws.String("mine"), Value: aws.String("1")}}})
			return err
		}, "TagRole", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			want := s.role(c.role)
			s.Proxy().Reset()
			if err := c.edit(c.role); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			s.idle()
			if took := time.Since(began); took > untilTold {
				t.Errorf("it took %s", took)
			}
			got := s.role(c.role)
			delete(got.Tags, "mine")
			delete(want.Tags, "mine")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the role (-before +after):\n%s", diff)
			}
			// Nothing comes of what reconcile wrote itself but its event.
			s.idle()
			writes, work := s.repaired(c.role)
			all := []string{"admin " + c.call}
			for _, operation := range c.mends {
				all = append(all, "reconcile "+operation)
			}
			if diff := cmp.Diff(all, writes); diff != "" {
				t.Errorf("writes (-want +made):\n%s", diff)
			}
			if len(work) != 1 || work[0].Key != key || len(work[0].Hints) != 1 {
				t.Fatalf("work %+v", work)
			}
			hint := work[0].Hints[0]
			if hint.Kind != event.RoleHint || !strings.HasPrefix(hint.ID+"/", c.role+"/"+c.call+"/") || !strings.HasSuffix(hint.Actor, ":assumed-role/admin/admin") || time.Since(hint.Time).Abs() > time.Minute {
				t.Errorf("hint %+v", hint)
			}
			told := s.ofRoles(c.role)
			if n := len(c.mends); n > 0 && !strings.Contains(string(told[len(told)-1].Detail), `"arn":"`+roleARN("rolekeeper-reconcile-"+region)+`"`) {
				t.Errorf("the last event is not of reconcile's write: %s", told[len(told)-1].Detail)
			}
		})
	}
	if dead := slices.Concat(s.dead("InboxDeadLetterQueueUrl"), s.dead("WorkDeadLetterQueueUrl")); len(dead) > 0 {
		t.Errorf("dead letters: %v", dead)
	}
	if errs := s.Errors(); len(errs) > 0 {
		t.Error(errs)
	}
}
