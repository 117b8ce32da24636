package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rolekeeper/shared/fault"
)

func TestDeclared(t *testing.T) {
	type declared struct {
		Accounts, Regions []string
		OK                bool
	}
	const one = "111122223333"
	for name, c := range map[string]struct {
		file string
		want declared
	}{
		"one agent": {
			"agents: {a: {name: a, aws: {account: '111122223333', region: eu-west-1}}}",
			declared{[]string{one}, []string{"eu-west-1"}, true},
		},
		"an unquoted account keeps its digits": {
			"agents: {a: {name: a, aws: {account: 012345670123}}}",
			declared{[]string{"012345670123"}, nil, true},
		},
		"agents that agree are told once, those that differ in the file's order": {
			"agents: {a: {aws: {account: '111122223333', region: us-west-2}}, b: {aws: {account: '111122223333', region: eu-west-1}}}",
			declared{[]string{one}, []string{"us-west-2", "eu-west-1"}, true},
		},
		"what cannot be an account or a region is left out": {
			"agents: {a: {aws: {account: YOUR_ACCOUNT, region: here}}, b: {aws: {account: [1], region: null}}}",
			declared{OK: true},
		},
		"the old form": {
			"name: a\nentrypoint: a.py\naws: {account: '111122223333'}",
			declared{[]string{one}, nil, true},
		},
		"merged keys count": {
			"base: &b {account: '111122223333'}\nagents: {a: {aws: {<<: *b, region: eu-west-1}}}",
			declared{[]string{one}, []string{"eu-west-1"}, true},
		},
		"an agent without an aws section names nothing": {"agents: {a: {name: a}}", declared{OK: true}},
		"no YAML":           {"agents: [", declared{}},
		"no agents":         {"agents: {}", declared{}},
		"agents of no maps": {"agents: {a: 1}", declared{}},
		"neither form":      {"name: a", declared{}},
		"empty":             {"", declared{}},
	} {
		t.Run(name, func(t *testing.T) {
			var got declared
			got.Accounts, got.Regions, got.OK = Declared([]byte(c.file))
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if _, problems := Parse([]byte(c.file), Place{}); !got.OK && len(problems) == 0 {
				t.Error("not ok, but Parse finds nothing wrong")
			}
		})
	}
}

func TestAPlaceIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		place Place
		good  bool
	}{
		"good":           {Place{"aws", "eu-west-1", "111122223333"}, true},
		"a GovCloud one": {Place{"aws-us-gov", "us-gov-west-1", "111122223333"}, true},
		"short account":  {Place{"aws", "eu-west-1", "1111"}, false},
		"no account":     {Place{"aws", "eu-west-1", ""}, false},
		"an odd region":  {Place{"aws", "eu-west-1\n", "111122223333"}, false},
		"no region":      {Place{"aws", "", "111122223333"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.place.Check(); (err == nil) != c.good {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

// Who gets no place from Declared may parse with any: there is no config.
func FuzzDeclaredWithoutAgentsIsAFault(f *testing.F) {
	for _, seed := range []string{
		"", "a: 1", "agents: {}", "agents: {a: 1}", "agents: [", "agents: {a: {name: a, aws: {}}}", "name: a\nentrypoint: b", "agents: null\nname: a\nentrypoint: b",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		accounts, regions, ok := Declared(data)
		for _, a := range accounts {
			for _, r := range regions {
				if err := (Place{"aws", r, a}).Check(); err != nil {
					t.Error(err)
				}
			}
		}
		if _, problems := Parse(data, Place{}); !ok && !fault.Blocks(problems) {
			t.Errorf("not ok, but Parse finds no fault: %v", problems)
		}
	})
}
