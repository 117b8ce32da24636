package model_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/model"
)

func TestADamagedClaimIsNoClaim(t *testing.T) {
	for name, body := range map[string]string{
		"empty":              "",
		"cut":                `{"v":1,"config":"configs/a","ag`,
		"of a later format":  `{"v":2,"config":"configs/a","agent":"a"}`,
		"without owner":      `{"v":1,"agent":"a"}`,
		"without agent":      `{"v":1,"config":"configs/a"}`,
		"with unknown field": `{"v":1,"config":"configs/a","agent":"a","unheard":true}`,
		"two of them":        `{"v":1,"config":"configs/a","agent":"a"}{"v":1,"config":"configs/b","agent":"a"}`,
	} {
		if c, err := model.ParseClaim([]byte(body)); err == nil {
			t.Errorf("%s: read as %+v", name, c)
		}
	}
}

func TestOnlyTheNewestNoncesAreKept(t *testing.T) {
	var c model.Claim
	for i := range 20 {
		c = c.WithCreating(strings.Repeat("x", i+1))
	}
	if len(c.Creating) != model.MaxCreating || len(c.Creating[model.MaxCreating-1]) != 20 {
		t.Errorf("kept %v", c.Creating)
	}
}

func TestAConfigWaitsOnce(t *testing.T) {
	c := model.Claim{}.WithWaiting("b").WithWaiting("a").WithWaiting("b")
	if !slices.Equal(c.Waiting, []string{"a", "b"}) {
		t.Errorf("waiting: %v", c.Waiting)
	}
}

func TestARoleIsBeingTakenOverUntilItIsNotAnyMore(t *testing.T) {
	first := model.Claim{}.WithAdopting(model.RuntimeRole)
	c := first.WithAdopting(model.BuildRole, model.RuntimeRole)
	if diff := cmp.Diff([]model.RoleKind{model.BuildRole, model.RuntimeRole}, c.Adopting); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if left := c.WithoutAdopting(model.BuildRole); !slices.Equal(left.Adopting, []model.RoleKind{model.RuntimeRole}) {
		t.Errorf("left: %v", left.Adopting)
	}
	if none := c.WithoutAdopting(model.RuntimeRole, model.BuildRole); len(none.Adopting) > 0 {
		t.Errorf("left: %v", none.Adopting)
	}
	if len(first.Adopting) != 1 || len(c.Adopting) != 2 {
		t.Error("the claims given were changed")
	}
}

func TestANonceCountsForItsKindAlone(t *testing.T) {
	nonce := model.Nonce(model.RuntimeRole, "random")
	c := model.Claim{}.WithCreating(model.HashNonce(nonce))
	if !c.Made(model.RuntimeRole, nonce) {
		t.Error("the role it was made for is not known by it")
	}
	for kind, other := range map[model.RoleKind]string{model.BuildRole: nonce, model.RuntimeRole: "runtime-other"} {
		if c.Made(kind, other) {
			t.Errorf("a %s role is taken for ours by %q", kind, other)
		}
	}
	if (model.Claim{}).Made(model.RuntimeRole, "") {
		t.Error("a role without a nonce is taken for ours")
	}
}

func TestANonceCountsForItsPartAlone(t *testing.T) {
	nonce := model.Nonce(model.ProjectPart, "random")
	c := model.Claim{}.WithCreating(model.HashNonce(nonce)).WithCreating(model.HashNonce("random"))
	if !c.MadePart(model.ProjectPart, nonce) {
		t.Error("the project it was made for is not known by it")
	}
	for _, other := range []string{"project-other", "random", "", "project-"} {
		if c.MadePart(model.ProjectPart, other) {
			t.Errorf("a project is taken for ours by %q", other)
		}
	}
	if c.MadePart(model.RepositoryPart, nonce) || c.Made(model.BuildRole, nonce) {
		t.Error("it counts for something else, too")
	}
}

func TestAClaimRemembersWhenEachPartWasMade(t *testing.T) {
	at := time.Date(2026, 11, 22, 13, 0, 0, 123456789, time.FixedZone("here", 3600))
	for part, other := range map[model.Part]model.Part{model.ProjectPart: model.RepositoryPart, model.RepositoryPart: model.ProjectPart} {
		c := model.Claim{V: 1, Config: "configs/a", Agent: "a"}
		if !c.Unused() || !c.Created(part).IsZero() {
			t.Errorf("%s: a new claim has one", part)
		}
		c = c.WithCreated(part, at)
		if !c.Created(part).Equal(at) || !c.Created(other).IsZero() || c.Unused() {
			t.Errorf("%s: %+v", part, c)
		}
		written, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		read, err := model.ParseClaim(written)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, read); diff != "" {
			t.Errorf("%s: (-written +read)\n%s", part, diff)
		}
	}
}

func FuzzParseClaim(f *testing.F) {
	f.Add([]byte(`{"v":1,"config":"configs/a","agent":"a","creating":["x"],"repositoryCreated":"2026-11-22T12:00:00.123Z","projectCreated":"2026-11-22T13:00:00+01:00"}`))
	f.Add([]byte(`{"v":1,"config":"configs/a","agent":"a","repositoryCreated":"0001-01-01T01:00:00+01:00","projectCreated":null}`))
	f.Add([]byte(`{"v":1,"config":"configs/a","agent":"a","runtimeRoleId":"AROA1","creating":["x"],"adopting":["runtime"],"waiting":["configs/b"]}`))
	f.Add([]byte(`{"v":1,"config":"configs/a","agent":"a"} `))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := model.ParseClaim(data)
		if err != nil {
			return
		}
		if c.Config == "" || c.Agent == "" {
			t.Fatalf("a claim without owner: %+v", c)
		}
		written, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := model.ParseClaim(written)
		if err != nil {
			t.Fatal(err)
		}
		rewritten, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(written), string(rewritten)); diff != "" {
			t.Fatalf("changes when it is written and read:\n%s", diff)
		}
	})
}

func FuzzParseClaimIndex(f *testing.F) {
	f.Add([]byte(`{"v":1,"config":"configs/a","claims":["claims/roles/x.json"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := model.ParseClaimIndex(data)
		if err == nil && x.V != 1 {
			t.Fatalf("read as %+v", x)
		}
	})
}
