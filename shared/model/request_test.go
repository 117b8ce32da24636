package model_test

import (
	"fmt"
	"strings"
	"testing"

	"rolekeeper/shared/model"
)

var goodRequest = fmt.Sprintf(`{"v":1,"id":"20261122T120000Z-4f1d","action":"adopt","config":"configs/a.yaml","plans":{"my_agent":"%064d"},"expires":"2026-11-22T13:00:00Z","by":"somebody"}`, 0)

func TestARequestIsReadStrictly(t *testing.T) {
	if _, err := model.ParseRequest([]byte(goodRequest)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"of another version":      {`"v":1`, `"v":2`},
		"with an unknown field":   {`"v":1`, `"v":1,"force":true`},
		"twice":                   {`"by":"somebody"}`, `"by":"somebody"}{}`},
		"with another action":     {`adopt`, `delete-everything`},
		"without an action":       {`"action":"adopt",`, ``},
		"with a path for an id":   {`20261122T120000Z-4f1d`, `../../claims`},
		"without an id":           {`20261122T120000Z-4f1d`, ``},
		"without a plan":          {`{"my_agent":"` + strings.Repeat("0", 64) + `"}`, `{}`},
		"with a short plan":       {strings.Repeat("0", 64), "0"},
		"that never expires":      {`"expires":"2026-11-22T13:00:00Z",`, ``},
		"to adopt an archive":     {`"by"`, `"archive":"archive/r/1.json","by"`},
		"to restore nothing":      {`adopt`, `restore`},
		"to release an archive":   {`"action":"adopt"`, `"action":"release","archive":"archive/r/1.json"`},
		"to restore an empty key": {`"action":"adopt"`, `"action":"restore","archive":""`},
		"that is not JSON at all": {`{`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(goodRequest, change[0], change[1], 1)
			if r, err := model.ParseRequest([]byte(changed)); err == nil {
				t.Errorf("%s is read as %+v", changed, r)
			}
		})
	}
}

// asking gives a good request with another action, to restore with an archive.
func asking(action model.RequestAction, request string) string {
	if action == model.Restore {
		request = strings.Replace(request, `"by"`, `"archive":"archive/r/1.json","by"`, 1)
	}
	return strings.Replace(request, "adopt", string(action), 1)
}

func TestOnlyAnApprovalIsForSeveralAgents(t *testing.T) {
	two := strings.Replace(goodRequest, `{"my_agent"`, `{"other":"`+strings.Repeat("1", 64)+`","my_agent"`, 1)
	for action, several := range map[model.RequestAction]bool{
		model.Adopt: false, model.Approve: true, model.BuildImage: false, model.Restore: false, model.Release: false,
	} {
		of := func(request string) string { return asking(action, request) }
		if r, err := model.ParseRequest([]byte(of(goodRequest))); err != nil || r.Action != action {
			t.Errorf("%s of one: %+v, %v", action, r, err)
		}
		if r, err := model.ParseRequest([]byte(of(two))); (err == nil) != several {
			t.Errorf("%s of two: %+v, %v", action, r, err)
		}
	}
}

// What is read as a request is one that can be answered: it has an id to answer
// to, and says what for.
func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(goodRequest))
	for _, action := range []model.RequestAction{model.Approve, model.BuildImage, model.Restore, model.Release} {
		f.Add([]byte(asking(action, goodRequest)))
	}
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := model.ParseRequest(data)
		if err != nil {
			return
		}
		if r.ID == "" || len(r.Plans) == 0 || r.Expires.IsZero() || strings.ContainsAny(r.ID, "/.") {
			t.Errorf("%+v", r)
		}
		if r.Action != model.Approve && len(r.Plans) != 1 {
			t.Errorf("%d agents for what is done for one: %+v", len(r.Plans), r)
		}
		if (r.Action == model.Restore) != (r.Archive != "") {
			t.Errorf("an archive that nothing is restored of, or nothing to restore: %+v", r)
		}
		readAgain(t, r, model.ParseRequest)
	})
}
