package drift_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/report"
)

func TestWhatNobodyAnswersForIsTold(t *testing.T) {
	ours := runtimeRole("lost_agent")
	for name, c := range map[string]struct {
		given func(w *world)
		want  report.Orphan // Reason and Fix: what they have
	}{
		"a role that the toolkit made": {
			func(w *world) { w.admin().createRole(ours, plainTrust) },
			report.Orphan{Kind: report.OrphanRole, Name: ours, Reason: "no config claims it", Fix: "rolekeeper retire " + ours + " --agent AGENT"},
		},
		"a role of a config that is gone without a trace": {
			func(w *world) {
				w.admin().createRole(ours, plainTrust)
				w.admin().tag(ours, tag(model.TagAgent, "lost_agent"), tag(model.TagConfig, key))
			},
			report.Orphan{Kind: report.OrphanRole, Name: ours, Agent: "lost_agent", Config: key, Reason: "no config claims it", Fix: "`rolekeeper adopt " + key + " lost_agent`; or, when nobody needs it, run `rolekeeper retire " + ours + "`"},
		},
		"a role with tags that are not true": {
			func(w *world) {
				w.admin().createRole(ours, plainTrust)
				w.admin().tag(ours, tag(model.TagAgent, "another --yes"), tag(model.TagConfig, "configs/a --yes"))
			},
			report.Orphan{Kind: report.OrphanRole, Name: ours, Config: "configs/a --yes", Reason: "no config claims it", Fix: "`rolekeeper adopt KEY AGENT`; or, when nobody needs it, run `rolekeeper retire " + ours + " --agent AGENT`"},
		},
		"a role with the agent's tag and no config's": {
			func(w *world) {
				w.admin().createRole(ours, plainTrust)
				w.admin().tag(ours, tag(model.TagAgent, "lost_agent"), tag(model.TagConfig, "configs/a --yes"))
			},
			report.Orphan{Kind: report.OrphanRole, Name: ours, Agent: "lost_agent", Config: "configs/a --yes", Reason: "no config claims it", Fix: "`rolekeeper adopt KEY lost_agent`"},
		},
		"a role whose agent no config can have": {
			func(w *world) {
				name := naming.RuntimeRole("us-east-1", "a --yes;b")
				w.admin().createRole(name, plainTrust)
				w.admin().tag(name, tag(model.TagAgent, "a --yes;b"), tag(model.TagConfig, key))
			},
			report.Orphan{Kind: report.OrphanRole, Name: naming.RuntimeRole("us-east-1", "a --yes;b"), Config: key, Reason: "no config claims it", Fix: "`rolekeeper adopt KEY AGENT`; or, when nobody needs it, run `rolekeeper retire " + naming.RuntimeRole("us-east-1", "a --yes;b") + " --agent AGENT`"},
		},
		"a role of another name with our tags": {
			func(w *world) {
				w.admin().createRole("copy", plainTrust)
				w.admin().tag("copy", tag(model.TagAgent, "lost_agent"), tag(model.TagTemplate, "1"), tag("rolekeeper:x --profile y", "1"))
			},
			report.Orphan{Kind: report.OrphanTagged, Name: "copy", Agent: "lost_agent", Reason: "not the name of a role", Fix: "aws iam untag-role --role-name copy --tag-keys rolekeeper:agent rolekeeper:template"},
		},
		"a role in the place of ours whose config is gone": {
			func(w *world) {
				w.apply("configs/lost.yaml", agentsNamed("lost_agent"))
				w.remove("configs/lost.yaml")
				w.reconcile("configs/lost.yaml")
				w.dropRole(ours)
				w.admin().createRole(ours, plainTrust)
			},
			report.Orphan{Kind: report.OrphanTagged, Name: ours, Agent: "lost_agent", Config: "configs/lost.yaml", Reason: "not the one that Rolekeeper made", Fix: "`rolekeeper adopt configs/lost.yaml lost_agent`; or, when nobody needs it, run `rolekeeper retire " + ours + "`"},
		},
		"a claim that nothing leads to": {
			func(w *world) {
				w.write(naming.RoleClaimKey("lost_agent"), model.Claim{V: 1, Config: "configs/lost.yaml", Agent: "lost_agent", BuildRoleID: "AROA1"})
			},
			report.Orphan{Kind: report.OrphanClaim, Name: naming.RoleClaimKey("lost_agent"), Agent: "lost_agent", Config: "configs/lost.yaml", Reason: "does not know of it", Fix: "rolekeeper retire " + buildRole("lost_agent") + "`"},
		},
		"a claim that its config forgot": {
			func(w *world) {
				w.write(naming.RoleClaimKey("lost_agent"), model.Claim{V: 1, Config: key, Agent: "lost_agent", RuntimeRoleID: "AROA1"})
			},
			report.Orphan{Kind: report.OrphanHalfGone, Name: naming.RoleClaimKey("lost_agent"), Agent: "lost_agent", Config: key, Reason: "does not know of it", Fix: "rolekeeper retire " + ours + "`"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := kept(t)
			c.given(w)
			r := w.run("second")
			if len(r.Orphans) != 1 || r.Totals.Orphans != 1 || len(w.sent()) > 0 || len(r.Findings) > 0 {
				t.Fatalf("%+v %q %q", r.Orphans, rows(r), w.hints())
			}
			got := r.Orphans[0]
			if !strings.Contains(got.Reason, c.want.Reason) || !strings.Contains(got.Fix, c.want.Fix) || strings.Contains(got.Fix, "--yes") || strings.Contains(got.Fix, "--profile") {
				t.Errorf("reason %q, fix %q", got.Reason, got.Fix)
			}
			c.want.Reason, c.want.Fix, c.want.Since, c.want.New = got.Reason, got.Fix, w.cloud.Now(), true
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestWhatSomebodyAnswersForIsNoOrphan(t *testing.T) {
	r := runtimeRole("my_agent")
	for name, given := range map[string]func(w *world){
		"a role of another Region": func(w *world) {
			w.admin().createRole(naming.RuntimeRole("eu-west-1", "my_agent"), plainTrust)
			w.admin().tag(naming.RuntimeRole("eu-west-1", "my_agent"), tag(model.TagAgent, "my_agent"))
		},
		"a role without name and tags of ours": func(w *world) {
			w.admin().createRole("theirs-2", plainTrust)
			w.admin().tag("theirs-2", tag("team", "rolekeeper"))
		},
		"a role that is half-made": func(w *world) {
			nonce := model.Nonce(model.RuntimeRole, "random")
			w.write(naming.RoleClaimKey("new_agent"), model.Claim{V: 1, Config: key, Agent: "new_agent"}.WithCreating(model.HashNonce(nonce)))
			w.write(naming.ClaimIndexKey(key), model.ClaimIndex{V: 1, Config: key, Claims: []string{naming.ProjectClaimKey("my_agent"), naming.RoleClaimKey("my_agent"), naming.RoleClaimKey("new_agent")}})
			w.admin().createRole(runtimeRole("new_agent"), plainTrust)
			w.admin().tag(runtimeRole("new_agent"), tag(model.TagCreation, nonce))
		},
		"a role whose claim is damaged": func(w *world) {
			w.put(naming.RoleClaimKey("lost_agent"), "{")
			w.admin().createRole(runtimeRole("lost_agent"), plainTrust)
		},
		"a claim whose config's list is damaged": func(w *world) {
			w.write(naming.RoleClaimKey("lost_agent"), model.Claim{V: 1, Config: "configs/lost.yaml", Agent: "lost_agent", RuntimeRoleID: "AROA1"})
			w.put(naming.ClaimIndexKey("configs/lost.yaml"), "{")
		},
		"a claim that nothing was made under": func(w *world) {
			w.write(naming.RoleClaimKey("lost_agent"), model.Claim{V: 1, Config: "configs/lost.yaml", Agent: "lost_agent"})
		},
		"a role in the place of ours, which its config tells": func(w *world) {
			w.dropRole(r)
			w.admin().createRole(r, plainTrust)
		},
		"an agent on its way out": func(w *world) {
			w.remove(key)
			w.reconcile(key)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := kept(t)
			given(w)
			if got, err := w.pass().Check(t.Context(), "second"); err != nil || len(got.Orphans)+got.Totals.Orphans > 0 {
				t.Errorf("%v %+v", err, got.Orphans)
			}
		})
	}
}

// Between the listings of the bucket and of the account, reconcile goes on.
func TestAnOrphanWhoseClaimChangedMeanwhileIsNotTold(t *testing.T) {
	ours, claim := runtimeRole("lost_agent"), naming.RoleClaimKey("lost_agent")
	role := func(w *world) { w.admin().createRole(ours, plainTrust) }
	record := func(config, id string) func(w *world) {
		return func(w *world) {
			w.write(claim, model.Claim{V: 1, Config: config, Agent: "lost_agent", RuntimeRoleID: id})
		}
	}
	replaced := func(w *world) {
		w.apply("configs/lost.yaml", agentsNamed("lost_agent"))
		w.remove("configs/lost.yaml")
		w.reconcile("configs/lost.yaml")
		w.dropRole(ours)
		role(w)
	}
	for name, c := range map[string]struct {
		given, then func(w *world)
		told        report.OrphanKind
	}{
		"of a role, nothing": {role, func(*world) {}, report.OrphanRole},
		"of a role, another's claim came": {role, func(w *world) {
			w.write(naming.RoleClaimKey("another"), model.Claim{V: 1, Config: key, Agent: "another"})
		}, report.OrphanRole},
		"a role was claimed":           {role, record(key, "AROA1"), ""},
		"of a claim, nothing":          {record(key, "AROA1"), func(*world) {}, report.OrphanHalfGone},
		"a claim changed":              {record(key, "AROA1"), record(key, "AROA2"), ""},
		"a claim went":                 {record("configs/lost.yaml", "AROA1"), func(w *world) { w.remove(claim) }, ""},
		"of a role made anew, nothing": {replaced, func(*world) {}, report.OrphanTagged},
		"ours was made anew":           {replaced, record("configs/lost.yaml", "AROA3"), ""},
		"of a copy, nothing": {func(w *world) {
			w.admin().createRole("copy", plainTrust)
			w.admin().tag("copy", tag(model.TagAgent, "lost_agent"))
		}, func(w *world) { w.put("copy", "an object of that name") }, report.OrphanTagged},
	} {
		t.Run(name, func(t *testing.T) {
			w := kept(t)
			c.given(w)
			p := w.pass()
			p.Account = meanwhile{p.Account, func() { c.then(w) }}
			r, err := p.Run(t.Context(), "id")
			if told := len(r.Orphans) > 0; err != nil || told != (c.told != "") || told && r.Orphans[0].Kind != c.told || r.Totals.Orphans != len(r.Orphans) {
				t.Errorf("%v %+v", err, r.Orphans)
			}
			for _, call := range w.cloud.Calls() {
				if call.Operation == "GetObject" && call.Resource == bucket+"/" {
					t.Error("an object without a name is read")
				}
			}
		})
	}
}

func TestWhetherAnOrphanIsOneMustBeKnown(t *testing.T) {
	w := kept(t)
	w.admin().createRole(runtimeRole("lost_agent"), plainTrust)
	w.admin().createRole(runtimeRole("lost_too"), plainTrust)
	w.admin().trust(runtimeRole("my_agent"), evil)
	w.cloud.Before = func(c awsfake.Call) error {
		if c.Operation == "GetObject" && c.Resource == bucket+"/"+naming.RoleClaimKey("lost_agent") {
			return awsfake.APIError("SlowDown", "not now")
		}
		return nil
	}
	r, err := w.pass().Run(t.Context(), "id")
	if err == nil || !strings.Contains(r.Failed, runtimeRole("lost_agent")) || len(r.Orphans) != 1 || r.Orphans[0].Name != runtimeRole("lost_too") {
		t.Errorf("%v %+v", err, r.Orphans)
	}
	if diff := cmp.Diff([]string{key + " pass:id"}, w.hints()); diff != "" {
		t.Error(diff)
	}
}
