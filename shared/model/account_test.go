package model_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"rolekeeper/shared/model"
)

func TestAPortionIsANumberOrAPercentage(t *testing.T) {
	for text, want := range map[string]model.Portion{
		"1": {Count: 1}, "50": {Count: 50}, "99999": {Count: 99999}, "1%": {Percent: 1}, "10%": {Percent: 10}, "100%": {Percent: 100},
	} {
		if got, err := model.ParsePortion(text); err != nil || got != want {
			t.Errorf("%s is %+v, want %+v (%v)", text, got, want, err)
		}
	}
	for _, text := range []string{"", "%", "0", "0%", "-1", "+1", "01", "1.5", "101%", "100000", "10%%", "10 %", " 10", "ten", "1e3", "0x1", "1_0", "٣"} {
		if got, err := model.ParsePortion(text); err == nil || got != (model.Portion{}) || !strings.Contains(err.Error(), fmt.Sprintf("%q", text)) {
			t.Errorf("%q is %+v (%v)", text, got, err)
		}
	}
}

func TestAPercentageOfAFewIsFive(t *testing.T) {
	for name, c := range map[string]struct {
		of          model.Portion
		total, want int
	}{
		"a number of many":             {model.Portion{Count: 3}, 1000, 3},
		"a number of fewer":            {model.Portion{Count: 30}, 7, 30},
		"a percentage of many":         {model.Portion{Percent: 10}, 5000, 500},
		"a percentage that goes over":  {model.Portion{Percent: 10}, 101, 11},
		"a percentage that just fits":  {model.Portion{Percent: 10}, 100, 10},
		"a percentage at five":         {model.Portion{Percent: 10}, 50, 5},
		"a percentage just above five": {model.Portion{Percent: 10}, 51, 6},
		"a percentage of a few":        {model.Portion{Percent: 10}, 12, 5},
		"a percentage of none":         {model.Portion{Percent: 10}, 0, 5},
		"all of many":                  {model.Portion{Percent: 100}, 40, 40},
		"nothing":                      {model.Portion{}, 1000, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.of.Of(c.total); got != c.want {
				t.Errorf("%d of %d, want %d", got, c.total, c.want)
			}
		})
	}
}

// What is read as a portion is what the template lets through, and is some of
// everything that there is.
func FuzzParsePortion(f *testing.F) {
	allowed := regexp.MustCompile(`\A([1-9][0-9]{0,4}|([1-9][0-9]?|100)%)\z`) // template.yaml, MaxChangesPerSweep
	for _, text := range []string{"10%", "1", "100%", "101%", "99999", "100000", "010", "+1", "9223372036854775808", "10%%", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := model.ParsePortion(text)
		if (err == nil) != allowed.MatchString(text) {
			t.Fatalf("%q is %+v (%v)", text, p, err)
		}
		if err != nil {
			return
		}
		again := fmt.Sprint(p.Count)
		if p.Percent > 0 {
			again = fmt.Sprintf("%d%%", p.Percent)
		}
		if again != text {
			t.Errorf("%q is %+v, which is %s", text, p, again)
		}
		for total, before := 0, 0; total < 2000; total, before = total+7, p.Of(total) {
			if n := p.Of(total); n < max(1, before) || p.Percent > 0 && (n < 5 || n > max(5, total) || 100*n < p.Percent*total) {
				t.Fatalf("%s of %d is %d, and %d of fewer", text, total, n, before)
			}
		}
	})
}

var goodFleetRequest = fmt.Sprintf(`{"v":1,"id":"20261122T120000Z-4f1d","action":"approve","config":"","plans":{"pass":"%064d"},"expires":"2026-11-22T13:00:00Z","by":"somebody"}`, 0)

func TestARequestForAllApprovesOnePass(t *testing.T) {
	r, err := model.ParseFleetRequest([]byte(goodFleetRequest))
	if err != nil || r.ID != "20261122T120000Z-4f1d" || r.Plans[model.FleetPlan] != strings.Repeat("0", 64) {
		t.Fatalf("%+v (%v)", r, err)
	}
	hash := strings.Repeat("0", 64)
	for name, change := range map[string][2]string{
		"of another version":       {`"v":1`, `"v":2`},
		"with an unknown field":    {`"v":1`, `"v":1,"force":true`},
		"to do something else":     {`"approve"`, `"retire"`},
		"to do nothing":            {`"action":"approve",`, ``},
		"for a config":             {`"config":""`, `"config":"configs/a.yaml"`},
		"for an agent":             {`"pass"`, `"my_agent"`},
		"for an agent too":         {`{"pass"`, `{"my_agent":"` + hash + `","pass"`},
		"for no pass":              {`{"pass":"` + hash + `"}`, `{}`},
		"for a pass without hash":  {hash, ``},
		"for a pass by its letter": {hash, `x`},
		"with an archive":          {`"by"`, `"archive":"archive/r/1.json","by"`},
		"that never expires":       {`"expires":"2026-11-22T13:00:00Z",`, ``},
		"twice":                    {`"by":"somebody"}`, `"by":"somebody"}{}`},
		"that is not JSON":         {`{`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(goodFleetRequest, change[0], change[1], 1)
			if r, err := model.ParseFleetRequest([]byte(changed)); err == nil || changed == goodFleetRequest || r.ID != "" {
				t.Errorf("%s is read as %+v (%v)", changed, r, err)
			}
		})
	}
}

// goodDeletion asks for the deletion of a service-linked role.
var goodDeletion = strings.NewReplacer(`"approve"`, `"delete-service-linked-role"`, `"pass"`, `"AWSServiceRoleForBedrockAgentCoreNetwork"`).Replace(goodFleetRequest)

func TestARequestToDeleteAServiceLinkedRoleNamesOneAndNothingElse(t *testing.T) {
	r, err := model.ParseFleetRequest([]byte(goodDeletion))
	if err != nil || r.Action != model.DeleteLinked || r.Plans["AWSServiceRoleForBedrockAgentCoreNetwork"] != strings.Repeat("0", 64) {
		t.Fatalf("%+v (%v)", r, err)
	}
	for name, change := range map[string][2]string{
		"for a config":      {`"config":""`, `"config":"configs/a.yaml"`},
		"for two roles":     {`{"AWS`, `{"other":"` + strings.Repeat("0", 64) + `","AWS`},
		"with an archive":   {`"by"`, `"archive":"archive/r/1.json","by"`},
		"without a plan":    {strings.Repeat("0", 64), ``},
		"of another action": {`"delete-service-linked-role"`, `"delete"`},
	} {
		changed := strings.Replace(goodDeletion, change[0], change[1], 1)
		if r, err := model.ParseFleetRequest([]byte(changed)); err == nil || changed == goodDeletion || r.ID != "" {
			t.Errorf("%s: %s is read as %+v (%v)", name, changed, r, err)
		}
	}
}

// What is read as a request for all names one pass or one role, and nothing of one
// config.
func FuzzParseFleetRequest(f *testing.F) {
	f.Add([]byte(goodFleetRequest))
	f.Add([]byte(goodRequest))
	f.Add([]byte(goodDeletion))
	f.Add([]byte(strings.Replace(goodFleetRequest, `"config":"",`, ``, 1)))
	f.Add([]byte(strings.Replace(goodFleetRequest, `"pass"`, `"pass":"","pass"`, 1)))
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := model.ParseFleetRequest(data)
		if err != nil {
			return
		}
		approves := r.Action == model.Approve && len(r.Plans[model.FleetPlan]) == 64
		if r.ID == "" || !approves && r.Action != model.DeleteLinked || r.Config != "" || r.Archive != "" || len(r.Plans) != 1 || r.Expires.IsZero() {
			t.Errorf("%+v", r)
		}
		readAgain(t, r, model.ParseFleetRequest)
	})
}
