package drift_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/report"
	"rolekeeper/shared/status"
)

const (
	other    = "configs/team/other.yaml"
	evil     = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"sts:AssumeRole"}]}`
	handMade = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::by-hand/*"}]}`
	readOnly = "arn:aws:iam::aws:policy/ReadOnlyAccess"
)

// kept gives two configs that are as they should be, and a pass that found them so.
func kept(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	w.cloud.AddPolicy(readOnly, handMade)
	w.apply(key, agentsNamed("my_agent"))
	w.apply(other, agentsNamed("other"))
	if r := w.run("first"); len(r.Findings)+len(r.Orphans)+r.Totals.Enqueued > 0 || r.Totals.Roles != 4 {
		t.Fatalf("the world is not as it was meant: %+v", r)
	}
	w.cloud.Advance(time.Hour)
	return w
}

// row gives a finding on one line, and what of its texts is looked for.
func row(d report.Finding) string {
	return fmt.Sprintf("%s %s %s %s", d.Kind, d.Action, d.Role, d.Element)
}

func rows(r report.Pass) []string {
	var all []string
	for _, d := range r.Findings {
		all = append(all, row(d))
	}
	return all
}

// drifting is one way in which the account comes to differ.
type drifting struct {
	change func(w *world)
	want   []string  // rows of the pass
	texts  [2]string // what the first finding's texts have: what is there, what should be
	free   bool      // it is of no config
}

// ways are all the kinds of difference there are.
func ways() map[string]drifting {
	r, b, p := runtimeRole("my_agent"), buildRole("my_agent"), naming.Project("my_agent")
	policy, linked := naming.RuntimePolicy("my_agent"), "service-linked-role-missing repaired AWSServiceRoleForBedrockAgentCoreRuntimeIdentity "
	return map[string]drifting{
		"a trust that was changed": {
			func(w *world) { w.admin().trust(r, evil) }, []string{"edited repaired " + r + " runtime/trust"}, [2]string{"999999999999", "bedrock-agentcore.amazonaws.com"}, false,
		},
		"an inline policy that was changed": {
			func(w *world) { w.admin().putPolicy(r, policy, handMade) }, []string{"edited repaired " + r + " runtime/policy/" + policy}, [2]string{"by-hand", "ImagePull"}, false,
		},
		"an inline policy that was removed": {
			func(w *world) { w.admin().deletePolicy(b, naming.BuildPolicy) }, []string{"missing repaired " + b + " build/policy/" + naming.BuildPolicy}, [2]string{"", "ecr:"}, false,
		},
		"an inline policy that was added": {
			func(w *world) { w.admin().putPolicy(r, "mine", handMade) }, []string{"ineffective told " + r + " runtime/policy/mine"}, [2]string{"by-hand", ""}, false,
		},
		"a managed policy that was attached": {
			func(w *world) { w.admin().attach(b, readOnly) }, []string{"extra told " + b + " build/attached/" + readOnly}, [2]string{readOnly, ""}, false,
		},
		"a boundary that was replaced": {
			func(w *world) { w.admin().limit(r, readOnly) }, []string{"edited repaired " + r + " runtime/boundary"}, [2]string{readOnly, boundary}, false,
		},
		"a boundary that was removed": {
			func(w *world) { w.admin().limit(b, "") }, []string{"missing repaired " + b + " build/boundary"}, [2]string{"", boundary}, false,
		},
		"tags that were changed": {
			func(w *world) { w.admin().tag(r, tag(model.TagConfig, other)) }, []string{"edited repaired " + r + " runtime/tags"}, [2]string{model.TagConfig + " = " + other, model.TagConfig + " = " + key}, false,
		},
		"tags that were removed": {
			func(w *world) { w.admin().untag(b, model.TagAgent) }, []string{"edited repaired " + b + " build/tags"}, [2]string{model.TagConfig + " = " + key, model.TagAgent + " = my_agent"}, false,
		},
		"a description that was changed": {
			func(w *world) { w.admin().describe(r, "mine", w.role(r).MaxSessionDuration) }, []string{"edited repaired " + r + " runtime/settings"}, [2]string{"description: mine\n", "longest session: 3600 s\n"}, false,
		},
		"a session that was made longer": {
			func(w *world) { w.admin().describe(b, w.role(b).Description, 43200) }, []string{"edited repaired " + b + " build/settings"}, [2]string{"longest session: 43200 s\n", "longest session: 3600 s\n"}, false,
		},
		"several of them": {
			func(w *world) {
				w.admin().limit(r, "")
				w.admin().trust(r, evil)
				w.admin().putPolicy(r, "mine", handMade)
			}, []string{"missing repaired " + r + " runtime/boundary", "ineffective told " + r + " runtime/policy/mine", "edited repaired " + r + " runtime/trust"}, [2]string{"", boundary}, false,
		},
		"a project that was changed": {
			func(w *world) { w.changeProject(p) }, []string{"edited repaired " + p + " project/settings"}, [2]string{"BY_HAND", "IMAGE_TAG"}, false,
		},
		"a project that was deleted": {
			func(w *world) { w.dropProject(p) }, []string{"role-missing repaired " + p + " project"}, [2]string{}, false,
		},
		"a role that was deleted": {
			func(w *world) { w.dropRole(r) }, []string{"role-missing repaired " + r + " runtime"}, [2]string{}, false,
		},
		"a role that was emptied": {
			func(w *world) { w.empty(r) }, []string{"missing repaired " + r + " runtime/policy/" + policy}, [2]string{"", "ImagePull"}, false,
		},
		"a role that was deleted and made anew": {
			func(w *world) {
				w.dropRole(r)
				w.admin().createRole(r, plainTrust)
			}, []string{"replaced blocked " + r + " "}, [2]string{}, false,
		},
		"a role that was deleted and made anew for others": {
			func(w *world) {
				w.dropRole(b)
				w.admin().createRole(b, evil)
			}, []string{"replaced blocked " + b + " "}, [2]string{}, false,
		},
		"a role whose creation was cut short": {
			func(w *world) {
				w.dropRole(r)
				w.cloud.After = func(c awsfake.Call) error {
					if c.Operation == "CreateRole" {
						return awsfake.APIError("ServiceFailure", "cut")
					}
					return nil
				}
				if _, err := w.reconciler().Reconcile(context.Background(), key); err == nil {
					w.t.Fatal("nothing was cut short")
				}
				w.cloud.After = nil
			}, []string{"half-made repaired " + r + " runtime/policy/" + policy}, [2]string{"", "ImagePull"}, false,
		},
		"a service-linked role that is missing": {
			func(w *world) { w.settings.EnsureServiceLinkedRoles = true },
			[]string{linked, linked}, [2]string{}, false,
		},
		"an older template": {
			func(w *world) { w.outdate(key, "my_agent") }, []string{"outdated repaired " + b + " build/tags", "outdated repaired " + r + " runtime/tags"}, [2]string{model.TagTemplate + " = 1", model.TagTemplate + " = 2"}, false,
		},
		"a config that was uploaded and not looked at": {
			func(w *world) { w.put(key, agentsNamed("my_agent", "second")) },
			[]string{
				"pending repaired " + buildRole("second") + " build", "pending repaired " + runtimeRole("second") + " runtime",
				"pending repaired " + naming.Project("second") + " project",
			}, [2]string{}, false,
		},
		"another boundary document": {
			func(w *world) { w.cloud.AddPolicy(boundary, handMade) }, []string{"boundary told " + boundary + " "}, [2]string{"by-hand", "Everywhere"}, true,
		},
	}
}

// in gives the rows of a pass in a mode.
func (c drifting) in(mode plan.DriftMode) []string {
	if mode != plan.ReportDrift {
		return c.want
	}
	var all []string
	for _, line := range c.want {
		kind, rest, _ := strings.Cut(line, " ")
		switch report.Kind(kind) {
		case report.KindEdited, report.KindMissing:
			rest = strings.Replace(rest, string(report.ActionRepaired), string(report.ActionTold), 1)
		case report.KindRoleMissing:
			rest = strings.Replace(rest, string(report.ActionRepaired), string(report.ActionBlocked), 1)
		}
		all = append(all, kind+" "+rest)
	}
	return all
}

func TestEveryKindOfDriftIsFoundAndPutRightOrTold(t *testing.T) {
	for _, mode := range []plan.DriftMode{plan.RepairDrift, plan.ReportDrift} {
		for name, c := range ways() {
			t.Run(string(mode)+"/"+name, func(t *testing.T) {
				w := kept(t)
				c.change(w)
				w.settings.Drift = mode
				w.cloud.ForgetCalls()
				checked, err := w.pass().Check(t.Context(), "check")
				if diff := cmp.Diff(c.in(mode), rows(checked)); err != nil || diff != "" || len(w.writes()) > 0 || checked.Mode != string(mode) {
					t.Fatalf("%v, %s, writes %v (-want +got)\n%s", err, checked.Mode, w.writes(), diff)
				}
				c.check(t, w, checked)

				r := w.run("second")
				if diff := cmp.Diff(rows(checked), rows(r)); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				var enqueued []string
				for _, d := range r.Findings { // what is told is told in the status, too
					if d.Config != "" && !slices.Contains(enqueued, d.Config+" pass:second") {
						enqueued = append(enqueued, d.Config+" pass:second")
					}
				}
				if diff := cmp.Diff(enqueued, w.hints()); diff != "" || r.Totals.Enqueued != len(enqueued) {
					t.Errorf("messages (-want +got)\n%s", diff)
				}
				w.cloud.ForgetCalls()
				w.settle()
				repaired := slices.ContainsFunc(r.Findings, func(d report.Finding) bool { return d.Action == report.ActionRepaired })
				if made := w.made(); (len(made) > 0) != repaired {
					t.Errorf("reconcile made %v", made)
				}

				w.cloud.Advance(time.Hour)
				w.cloud.ForgetCalls()
				at := w.cloud.Now()
				after := w.run("third")
				want := slices.DeleteFunc(rows(r), func(line string) bool { return strings.Contains(line, " "+string(report.ActionRepaired)+" ") })
				if diff := cmp.Diff(want, rows(after), cmpopts.EquateEmpty()); diff != "" || after.Totals.Enqueued+after.Totals.Orphans > 0 {
					t.Errorf("%+v (-want +got)\n%s", after.Totals, diff)
				}
				for _, d := range after.Findings {
					if d.New || !d.Since.Equal(checked.At) {
						t.Errorf("%+v is as if it were new", d)
					}
				}
				if diff := cmp.Diff(reports(at), w.writes()); diff != "" {
					t.Errorf("writes (-want +got)\n%s", diff)
				}
				outcome := status.Ready
				if slices.ContainsFunc(after.Findings, func(d report.Finding) bool { return d.Action == report.ActionBlocked }) {
					outcome = status.Blocked
				}
				if s := w.status(key); s.Outcome != outcome {
					t.Errorf("the config is %s: %s", s.Outcome, s.Summary)
				}
			})
		}
	}
}

// check looks at what a pass tells beside the rows.
func (c drifting) check(t *testing.T, w *world, r report.Pass) {
	t.Helper()
	first := r.Findings[0]
	if has := strings.Contains(first.Observed, c.texts[0]) && strings.Contains(first.Desired, c.texts[1]); !has ||
		c.texts[0] == "" && first.Observed != "" || c.texts[1] == "" && first.Desired != "" {
		t.Errorf("texts %q and %q, want %q", first.Observed, first.Desired, c.texts)
	}
	for _, d := range r.Findings {
		its := d.Config == key || d.Kind == report.KindLinked && d.Config == other
		if !d.New || !d.Since.Equal(w.cloud.Now()) || its == c.free {
			t.Errorf("%+v", d)
		}
		if blocked := d.Action == report.ActionBlocked; blocked && (d.Message == "" || d.Fix == "") {
			t.Errorf("%s says neither what is wrong nor what to do", row(d))
		}
	}
}

func TestOtherSettingsAreAppliedAsWhatIsOutdated(t *testing.T) {
	w := kept(t)
	w.settings.Env.Profile, w.hash = desired.Toolkit, "settings-2"
	r := w.run("second")
	if r.Totals.Outdated != 2 || r.Totals.Drifted != 0 || r.Totals.Enqueued != 2 || len(r.Findings) == 0 {
		t.Errorf("%+v", r.Totals)
	}
	for _, d := range r.Findings {
		if d.Kind != report.KindOutdated || d.Action != report.ActionRepaired {
			t.Errorf("%s", row(d))
		}
	}
	w.settle()
	if r := w.run("third"); len(r.Findings)+r.Totals.Enqueued > 0 {
		t.Errorf("%+v %q", r.Totals, rows(r))
	}
}
