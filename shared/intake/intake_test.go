package intake_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/event"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/intake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

var here = event.Here{
	Account: "123456789012", Region: "us-east-1",
	ConfigBucket: naming.ConfigBucket("123456789012", "us-east-1"), SourceBucket: naming.SourceBucket("123456789012", "us-east-1"),
	OwnRole: "arn:aws:iam::123456789012:role/rolekeeper-reconcile-us-east-1",
}

type queue struct {
	sent []event.Message
	err  error
}

func (q *queue) Send(_ context.Context, m event.Message) error {
	q.sent = append(q.sent, m)
	return q.err
}

func handle(t *testing.T, id, body string) (event.Message, error) {
	t.Helper()
	var q queue
	err := intake.Intake{Here: here, Work: &q}.Handle(t.Context(), id, body)
	if len(q.sent) > 1 || (len(q.sent) == 1) != (err == nil) {
		t.Fatalf("sent %v with error %v", q.sent, err)
	}
	if err != nil {
		return event.Message{}, err
	}
	return q.sent[0], nil
}

func sample(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile("../../events/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestAnEventBecomesOneMessageInTheGroupOfItsConfig(t *testing.T) {
	for name, want := range map[string]string{
		"s3-config-uploaded.json":        "config-uploaded",
		"s3-config-deleted.json":         "config-deleted",
		"s3-config-version-deleted.json": "config-deleted",
		"wake.json":                      "wake",
	} {
		t.Run(name, func(t *testing.T) {
			m, err := handle(t, "inbox-1", sample(t, name))
			if err != nil {
				t.Fatal(err)
			}
			w, err := event.DecodeWork(m.Body)
			if err != nil {
				t.Fatal(err)
			}
			if len(w.Hints) != 1 || w.Hints[0].Kind != want {
				t.Errorf("hints %+v, want one of kind %s", w.Hints, want)
			}
			if m.Group != naming.ConfigID(w.Key) || m.Delay != 0 || len(m.Attributes) > 0 {
				t.Errorf("message %+v of %s", m, w.Key)
			}
		})
	}
}

// objects is the config bucket: bodies by key.
type objects map[string]string

func (o objects) Get(_ context.Context, key string) (model.Object, error) {
	body, ok := o[key]
	switch {
	case !ok:
		return model.Object{}, fault.ErrNotFound
	case body == "denied":
		return model.Object{}, errors.New("get " + key + ": AccessDenied")
	case body == "slow":
		return model.Object{}, fault.Errorf(fault.Retry, "get %s: SlowDown", key)
	}
	return model.Object{Body: []byte(body)}, nil
}

func TestARequestLeadsToTheConfigThatItNames(t *testing.T) {
	const config, id = "configs/team/agent.yaml", "20261122T120000Z-4f1d"
	request := func(config, id string) string {
		return fmt.Sprintf(`{"v":1,"id":%q,"action":"adopt","config":%q,"plans":{"my_agent":"%064d"},"expires":"2026-11-22T13:00:00Z","by":"somebody"}`, id, config, 0)
	}
	for name, c := range map[string]struct {
		body string
		want fault.Class // empty: it leads to the config
	}{
		"as the tool writes it":        {request(config, id), ""},
		"gone again":                   {"", fault.Ignored},
		"not to be read now":           {"denied", fault.Unknown},
		"damaged":                      {"{", fault.Poison},
		"copied from another config":   {request("configs/other.yaml", id), fault.Poison},
		"copied under another id":      {request(config, "20261122T120000Z-0000"), fault.Poison},
		"for what cannot be a config":  {request("status/team/agent.yaml", id), fault.Poison},
		"for a config of another team": {request("configs/team/../agent.yaml", id), fault.Poison},
	} {
		t.Run(name, func(t *testing.T) {
			there := objects{}
			if c.body != "" {
				there[naming.RequestKey(config, id)] = c.body
			}
			var q queue
			err := intake.Intake{Here: here, Objects: there, Work: &q}.Handle(t.Context(), "inbox-1", sample(t, "s3-request-written.json"))
			if c.want != "" {
				if err == nil || fault.Of(err) != c.want || len(q.sent) > 0 {
					t.Errorf("sent %v, error %v of class %s, want %s", q.sent, err, fault.Of(err), c.want)
				}
				return
			}
			if err != nil || len(q.sent) != 1 || q.sent[0].Group != naming.ConfigID(config) {
				t.Fatalf("sent %+v, %v", q.sent, err)
			}
			if w, err := event.DecodeWork(q.sent[0].Body); err != nil || w.Key != config || w.Hints[0].ID != naming.RequestKey(config, id) {
				t.Errorf("work %+v, %v", w, err)
			}
		})
	}
}

// once counts reads: no event is worth more than one.
type once struct {
	objects
	reads []string
}

func (o *once) Get(ctx context.Context, key string) (model.Object, error) {
	o.reads = append(o.reads, key)
	return o.objects.Get(ctx, key)
}

func claim(config, agent string) string {
	return fmt.Sprintf(`{"v":1,"config":%q,"agent":%q}`, config, agent)
}

func TestWhatIsOfAnAgentLeadsToTheConfigThatHoldsTheClaim(t *testing.T) {
	const config = "configs/team/agent.yaml"
	role, project := naming.RoleClaimKey("my_agent"), naming.ProjectClaimKey("my_agent")
	uploaded, built, deleted := sample(t, "s3-source-uploaded.json"), sample(t, "codebuild-build-ended.json"), sample(t, "cloudtrail-runtime-deleted.json")
	edited := sample(t, "cloudtrail-role-edited.json")
	of := func(team string) string {
		return strings.ReplaceAll(uploaded, "my_agent/source.zip", team+"/my_agent/source.zip")
	}
	for name, c := range map[string]struct {
		body, claim, text string      // of the claim; none when empty
		want              fault.Class // empty: it leads to the config
	}{
		"a source":                             {uploaded, role, claim(config, "my_agent"), ""},
		"a source of the config's team":        {of("team"), role, claim(config, "my_agent"), ""},
		"a source of another team":             {of("teams"), role, claim(config, "my_agent"), fault.Ignored},
		"a team's source, a config of none":    {of("team"), role, claim("configs/agent.yaml", "my_agent"), fault.Ignored},
		"a source of no config's agent":        {uploaded, role, "", fault.Ignored},
		"a source with the claim on a build":   {uploaded, project, claim(config, "my_agent"), fault.Ignored},
		"a source of an agent with a twin":     {uploaded, role, claim(config, "your_agent"), fault.Ignored},
		"a source with a claim not read now":   {uploaded, role, "denied", fault.Unknown},
		"a source with a claim that throttled": {uploaded, role, "slow", fault.Retry},
		"a source with a damaged claim":        {uploaded, role, "{", fault.Unknown},
		"a source with an empty claim":         {uploaded, role, "{}", fault.Unknown},
		"a source with a claim of no config":   {uploaded, role, claim("status/team/agent.yaml", "my_agent"), fault.Unknown},
		"a build":                              {built, project, claim(config, "my_agent"), ""},
		"a build of an agent named alike":      {built, project, claim(config, "My_Agent"), ""},
		"a build that failed":                  {sample(t, "codebuild-build-failed.json"), project, claim(config, "my_agent"), ""},
		"a build of no config's agent":         {built, project, "", fault.Ignored},
		"a build with a claim on another":      {built, project, claim(config, "your_agent"), fault.Ignored},
		"a build with a claim not read now":    {built, project, "denied", fault.Unknown},
		"a build with a claim that throttled":  {built, project, "slow", fault.Retry},
		"a build with a damaged claim":         {built, project, "[]", fault.Unknown},
		"a runtime that was made":              {sample(t, "cloudtrail-runtime-created.json"), role, claim(config, "my_agent"), ""},
		"a runtime that was changed":           {sample(t, "cloudtrail-runtime-updated.json"), role, claim(config, "my_agent"), ""},
		"a runtime that lost a version":        {sample(t, "cloudtrail-runtime-version-deleted.json"), role, claim(config, "my_agent"), ""},
		"a runtime that was deleted":           {deleted, role, claim(config, "my_agent"), ""},
		"a runtime of an agent that has left":  {deleted, role, strings.Replace(claim(config, "my_agent"), "}", `,"free":true}`, 1), ""},
		"a runtime of no config's agent":       {deleted, role, "", fault.Ignored},
		"a runtime with the claim on a build":  {deleted, project, claim(config, "my_agent"), fault.Ignored},
		"a runtime of an agent with a twin":    {deleted, role, claim(config, "your_agent"), fault.Ignored},
		"a runtime of an agent named alike":    {deleted, role, claim(config, "My_Agent"), fault.Ignored},
		"a runtime with a claim not read now":  {deleted, role, "denied", fault.Unknown},
		"a runtime with a claim throttled":     {deleted, role, "slow", fault.Retry},
		"a runtime with a damaged claim":       {deleted, role, "{", fault.Unknown},
		"a runtime with a claim of no config":  {deleted, role, claim("status/team/agent.yaml", "my_agent"), fault.Unknown},
		"a runtime role":                       {edited, role, claim(config, "my_agent"), ""},
		"a build role":                         {strings.ReplaceAll(edited, "SDKRuntime", "SDKCodeBuild"), role, claim(config, "my_agent"), ""},
		"a role in other capitals":             {strings.ReplaceAll(edited, "AmazonBedrock", "AMAZONbedrock"), role, claim(config, "my_agent"), ""},
		"a role of an agent that has left":     {edited, role, strings.Replace(claim(config, "my_agent"), "}", `,"free":true}`, 1), ""},
		"a role that nobody claims":            {edited, role, "", fault.Ignored},
		"a role with the claim on a build":     {edited, project, claim(config, "my_agent"), fault.Ignored},
		"a role with a claim on another":       {edited, role, claim(config, "your_agent"), fault.Ignored},
		"a role with a claim not read now":     {edited, role, "denied", fault.Unknown},
		"a role with a claim that throttled":   {edited, role, "slow", fault.Retry},
		"a role with a damaged claim":          {edited, role, "{", fault.Unknown},
		"a role with a claim of no config":     {edited, role, claim("status/team/agent.yaml", "my_agent"), fault.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			there := &once{objects: objects{}}
			if c.text != "" {
				there.objects[c.claim] = c.text
			}
			var q queue
			err := intake.Intake{Here: here, Objects: there, Work: &q}.Handle(t.Context(), "inbox-1", c.body)
			if len(there.reads) != 1 {
				t.Errorf("read %v", there.reads)
			}
			if c.want != "" {
				if err == nil || fault.Of(err) != c.want || len(q.sent) > 0 {
					t.Errorf("sent %v, error %v of class %s, want %s", q.sent, err, fault.Of(err), c.want)
				}
				if err != nil && !strings.Contains(err.Error(), "my_agent") && !strings.Contains(err.Error(), "-"+naming.Hash("my_agent")+":") {
					t.Errorf("%v does not say whose it was", err)
				}
				return
			}
			if err != nil || len(q.sent) != 1 || q.sent[0].Group != naming.ConfigID(config) {
				t.Fatalf("sent %+v, %v", q.sent, err)
			}
			look, err := event.Decode(c.body, here)
			if err != nil {
				t.Fatal(err)
			}
			want := event.Work{V: 1, Key: config, Hints: []event.Hint{look.Hint}}
			w, err := event.DecodeWork(q.sent[0].Body)
			if diff := cmp.Diff(want, w); err != nil || diff != "" {
				t.Errorf("work (-want +got): %v\n%s", err, diff)
			}
		})
	}
}

func TestWhatConcernsNoConfigIsIgnoredWithoutARead(t *testing.T) {
	for name, body := range map[string]string{
		"a source that expired":    sample(t, "s3-source-expired.json"),
		"another object":           strings.ReplaceAll(sample(t, "s3-source-uploaded.json"), "my_agent/source.zip", "my_agent/deployment.zip"),
		"a build that runs":        strings.ReplaceAll(sample(t, "codebuild-build-ended.json"), `"SUCCEEDED",`, `"IN_PROGRESS",`),
		"a runtime that was kept":  sample(t, "cloudtrail-runtime-delete-failed.json"),
		"a role that was kept":     sample(t, "cloudtrail-role-edit-failed.json"),
		"a role of somebody":       strings.ReplaceAll(sample(t, "cloudtrail-role-edited.json"), "AmazonBedrockAgentCoreSDKRuntime-", "SomebodysRuntime-"),
		"a write of our own":       sample(t, "cloudtrail-role-edited-by-rolekeeper.json"),
		"a runtime of somebody":    strings.ReplaceAll(sample(t, "cloudtrail-runtime-deleted.json"), "my_agent-Qx7Lm2Zt9K", "my-agent-Qx7Lm2Zt9K"),
		"a build of somebody else": strings.ReplaceAll(sample(t, "codebuild-build-ended.json"), "bedrock-agentcore-my_agent-builder", "payroll"),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := handle(t, "inbox-1", body); fault.Of(err) != fault.Ignored {
				t.Errorf("class %q: %v", fault.Of(err), err)
			}
		})
	}
}

func TestAnInboxMessageThatComesAgainLeadsToTheSameWorkMessage(t *testing.T) {
	const config = "configs/team/agent.yaml"
	there := objects{naming.RoleClaimKey("my_agent"): claim(config, "my_agent"), naming.ProjectClaimKey("my_agent"): claim(config, "my_agent")}
	for _, name := range []string{"s3-config-uploaded.json", "s3-source-uploaded.json", "codebuild-build-ended.json", "cloudtrail-runtime-deleted.json", "cloudtrail-role-edited.json"} {
		t.Run(name, func(t *testing.T) {
			var q queue
			for _, id := range []string{"inbox-1", "inbox-1", "inbox-2"} {
				if err := (intake.Intake{Here: here, Objects: there, Work: &q}).Handle(t.Context(), id, sample(t, name)); err != nil {
					t.Fatal(err)
				}
			}
			first, again, other := q.sent[0], q.sent[1], q.sent[2]
			if diff := cmp.Diff(first, again); diff != "" {
				t.Errorf("again (-first +again):\n%s", diff)
			}
			if other.ID == first.ID || other.Group != first.Group {
				t.Errorf("another delivery: %+v", other)
			}
		})
	}
}

func TestAWakeUpLeadsToItsConfig(t *testing.T) {
	m, err := event.Wake("configs/a.yaml", time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	got, err := handle(t, "inbox-1", m.Body)
	if err != nil || got.Group != naming.ConfigID("configs/a.yaml") {
		t.Errorf("message %+v, %v", got, err)
	}
}

func TestWhatIsNotOursIsNotSentOn(t *testing.T) {
	uploaded := sample(t, "s3-config-uploaded.json")
	w, err := handle(t, "inbox-1", uploaded)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := event.DecodeWork(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	swap := func(old, with string) string {
		if !strings.Contains(uploaded, old) {
			t.Fatalf("the sample has no %q", old)
		}
		return strings.ReplaceAll(uploaded, old, with)
	}
	for name, c := range map[string]struct {
		body  string
		class fault.Class
	}{
		"not JSON":              {"{", fault.Poison},
		"nothing":               {"", fault.Poison},
		"no event":              {"{}", fault.Poison},
		"another account":       {swap(`"account": "`+here.Account, `"account": "999999999999`), fault.Poison},
		"another region":        {swap(`"`+here.Region+`"`, `"eu-west-1"`), fault.Poison},
		"another bucket":        {swap(here.ConfigBucket, "another-bucket"), fault.Poison},
		"a folder":              {swap(decoded.Key, "configs/team/"), fault.Ignored},
		"a key out of place":    {swap(decoded.Key, "status/a.json"), fault.Poison},
		"a key with ..":         {swap(decoded.Key, "configs/../a"), fault.Poison},
		"a key of 201 bytes":    {swap(decoded.Key, "configs/"+strings.Repeat("a", 193)), fault.Poison},
		"a key with a space":    {swap(decoded.Key, "configs/a b"), fault.Poison},
		"another detail-type":   {swap("Object Created", "Object Tags Added"), fault.Poison},
		"an event without more": {`{"source":"aws.s3","detail-type":"Object Created","account":"123456789012","region":"us-east-1"}`, fault.Poison},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := handle(t, "inbox-1", c.body); fault.Of(err) != c.class {
				t.Errorf("class %q, want %q: %v", fault.Of(err), c.class, err)
			}
		})
	}
}

func TestAnErrorOfTheWorkQueueKeepsItsClass(t *testing.T) {
	cause := fault.Errorf(fault.Retry, "throttled")
	q := queue{err: cause}
	err := intake.Intake{Here: here, Work: &q}.Handle(t.Context(), "inbox-1", sample(t, "s3-config-uploaded.json"))
	if !errors.Is(err, cause) || fault.Of(err) != fault.Retry {
		t.Errorf("error %v", err)
	}
}
