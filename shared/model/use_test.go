package model_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rolekeeper/shared/model"
)

const (
	goodInventory = `{
  "v": 1, "takenAt": "2026-11-22T12:00:00Z", "taking": "somebody", "until": "2026-11-22T12:02:30Z",
  "uses": [{"role": "arn:role", "arn": "arn:runtime", "kind": "runtime", "status": "READY", "runtime": "a-0123456789", "version": "2", "newest": true}],
  "runtimes": {"a-0123456789": {"updated": "2026-11-22T11:00:00.123Z", "version": "2", "roles": {"arn:role": ["1", "2"]}}}
}`
	goodDeletions = `{"v": 1, "all": [{"retirement": "r1", "roles": 2, "at": "2026-11-22T12:00:00Z"}]}`
)

func TestAnInventoryIsReadAsItWasWritten(t *testing.T) {
	i, err := model.ParseInventory([]byte(goodInventory))
	if err != nil {
		t.Fatal(err)
	}
	at := func(hour, minute, second, nanosecond int) time.Time {
		return time.Date(2026, 11, 22, hour, minute, second, nanosecond, time.UTC)
	}
	want := model.Inventory{
		V: 1, TakenAt: at(12, 0, 0, 0), Taking: "somebody", Until: at(12, 2, 30, 0),
		Uses: []model.Use{{Role: "arn:role", ARN: "arn:runtime", Kind: "runtime", Status: "READY", Runtime: "a-0123456789", Version: "2", Newest: true}},
		Runtimes: map[string]model.RuntimeRoles{
			"a-0123456789": {Updated: "2026-11-22T11:00:00.123Z", Version: "2", Roles: map[string][]string{"arn:role": {"1", "2"}}},
		},
	}
	if diff := cmp.Diff(want, i); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Read as nothing, the one would say that nothing is used, the other that nothing
// was deleted.
func TestADamagedInventoryOrCountIsNotReadAsNothing(t *testing.T) {
	parsers := map[string]func(string) error{
		goodInventory: func(s string) error { _, err := model.ParseInventory([]byte(s)); return err },
		goodDeletions: func(s string) error { _, err := model.ParseDeletions([]byte(s)); return err },
	}
	for good, parse := range parsers {
		readsNothingDamaged(t, good, parse)
	}
}

// readsNothingDamaged fails when a parser of a memory of ours reads less than a good
// one, or another format.
func readsNothingDamaged(t *testing.T, good string, parse func(string) error) {
	t.Helper()
	if err := parse(good); err != nil {
		t.Fatal(err)
	}
	for n := range strings.TrimSpace(good) {
		if parse(good[:n]) == nil {
			t.Fatalf("%d of %d bytes are read", n, len(good))
		}
	}
	for name, change := range map[string][2]string{
		"a later format":       {`"v": 1`, `"v": 2`},
		"no format":            {`"v": 1,`, ``},
		"an unknown field":     {`"v": 1`, `"v": 1, "cleared": true`},
		"an unknown field in":  {`[{`, `[{"not": 1, `},
		"a list that is a map": {`[{`, `{"a": {`},
		"more behind it":       {`"v"`, `}{"v"`},
		"null":                 {good, `null`},
		"an empty object":      {good, `{}`},
	} {
		changed := strings.Replace(good, change[0], change[1], 1)
		if changed == good || parse(changed) == nil {
			t.Errorf("%s: %s is read", name, changed)
		}
	}
}

// Of an inventory that is read nothing is lost when it is written and read again.
func FuzzParseInventory(f *testing.F) {
	f.Add([]byte(goodInventory))
	f.Add([]byte(`{"v":1}`))
	f.Add([]byte(`{"v":1,"uses":null,"runtimes":{"":{"updated":"","version":""}},"until":"0001-01-01T00:00:00+01:00"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		i, err := model.ParseInventory(data)
		if err != nil {
			if diff := cmp.Diff(model.Inventory{}, i); diff != "" {
				t.Fatalf("refused, yet something came of it\n%s", diff)
			}
			return
		}
		readAgain(t, i, model.ParseInventory)
	})
}

// A count that is read is the same when it is written and read again.
func FuzzParseDeletions(f *testing.F) {
	f.Add([]byte(goodDeletions))
	f.Add([]byte(`{"v":1}`))
	f.Add([]byte(`{"v":1,"all":[{"retirement":"","roles":0,"at":"0001-01-01T00:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := model.ParseDeletions(data)
		if err != nil {
			if diff := cmp.Diff(model.Deletions{}, d); diff != "" {
				t.Fatalf("refused, yet something came of it\n%s", diff)
			}
			return
		}
		readAgain(t, d, model.ParseDeletions)
	})
}

func TestTheBrakeLetsGoOfSoManyRolesAnHour(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	one := func(retirement string, roles int, before time.Duration) model.Deletion {
		return model.Deletion{Retirement: retirement, Roles: roles, At: noon.Add(-before)}
	}
	const most = 4
	for name, c := range map[string]struct {
		all   []model.Deletion
		roles int
		want  bool
		kept  []string
	}{
		"the first":                                   {nil, 2, true, []string{"now"}},
		"one for which there is room":                 {[]model.Deletion{one("a", 2, time.Minute)}, 2, true, []string{"a", "now"}},
		"one for which there is none":                 {[]model.Deletion{one("a", 2, time.Minute), one("b", 1, time.Second)}, 2, false, []string{"a", "b"}},
		"a smaller one":                               {[]model.Deletion{one("a", 2, time.Minute), one("b", 1, time.Second)}, 1, true, []string{"a", "b", "now"}},
		"one that is let go already":                  {[]model.Deletion{one("a", 2, time.Minute), one("now", 2, time.Second)}, 2, true, []string{"a", "now"}},
		"one after an hour":                           {[]model.Deletion{one("a", 4, time.Hour)}, 2, true, []string{"now"}},
		"one just before the hour is over":            {[]model.Deletion{one("a", 4, time.Hour-1)}, 2, false, []string{"a"}},
		"one counted by a clock that is fast":         {[]model.Deletion{one("a", 4, -time.Hour)}, 2, false, []string{"a"}},
		"one that is more than an hour may see":       {nil, 5, false, nil},
		"one of which no role is left":                {[]model.Deletion{one("a", 4, time.Minute)}, 0, true, []string{"a", "now"}},
		"one that is refused forgets nothing":         {[]model.Deletion{one("a", 1, 2*time.Hour), one("b", 4, time.Minute)}, 2, false, []string{"a", "b"}},
		"one that is let go forgets what is old":      {[]model.Deletion{one("a", 4, 2*time.Hour), one("b", 2, time.Minute)}, 2, true, []string{"b", "now"}},
		"one by a clock that is behind all others'":   {[]model.Deletion{one("a", 2, -time.Minute), one("b", 2, -time.Second)}, 1, false, []string{"a", "b"}},
		"one when some are old and some are from now": {[]model.Deletion{one("a", 4, 2*time.Hour), one("b", 2, 0)}, 3, false, []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			given := model.Deletions{V: 1, All: slices.Clone(c.all)}
			next, ok := given.Let("now", c.roles, most, noon)
			if ok != c.want || next.V != 1 {
				t.Errorf("%v, %+v", ok, next)
			}
			var kept []string
			for _, d := range next.All {
				kept = append(kept, d.Retirement)
			}
			if diff := cmp.Diff(c.kept, kept); diff != "" {
				t.Errorf("counted (-want +got)\n%s", diff)
			}
			if !slices.Equal(given.All, c.all) {
				t.Errorf("the count given was changed: %+v", given)
			}
		})
	}
}

// However often and whenever it is asked, no hour sees more than so many roles
// let go, each retirement counts once, and who was refused is let go when the
// hour is over. The count is written and read on the way, as it is in the bucket.
func TestTheBrake(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 8).Draw(t, "most")
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		count := model.Deletions{V: 1}
		let := map[string]model.Deletion{} // by retirement, when it was let go last
		for i := range rapid.IntRange(1, 40).Draw(t, "times") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(40*time.Minute)).Draw(t, "later")))
			retirement, roles := fmt.Sprint("r", rapid.IntRange(0, i).Draw(t, "retirement")), rapid.IntRange(1, 2).Draw(t, "roles")
			next, ok := count.Let(retirement, roles, most, now)
			again, same := next.Let(retirement, roles, most, now)
			if ok != same || cmp.Diff(next, again) != "" {
				t.Fatalf("asked again: %v, then %v: %s", ok, same, cmp.Diff(next, again))
			}
			if !ok {
				if cmp.Diff(count, next) != "" {
					t.Fatalf("refused, and counted: %s", cmp.Diff(count, next))
				}
				if _, later := count.Let(retirement, roles, most, now.Add(time.Hour)); later != (roles <= most) {
					t.Fatalf("an hour later: %v", later)
				}
				continue
			}
			let[retirement] = model.Deletion{Retirement: retirement, Roles: roles, At: now}
			written, err := json.Marshal(next)
			if err != nil {
				t.Fatal(err)
			}
			if count, err = model.ParseDeletions(written); err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, d := range let {
				if now.Sub(d.At) < time.Hour {
					n += d.Roles
				}
			}
			if n > most {
				t.Fatalf("%d roles in the hour before %s", n, now)
			}
		}
	})
}
