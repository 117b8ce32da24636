package agent

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rolekeeper/shared/fault"
)

func TestEntriesOfAllowListsAndWhatTheyAreReducedTo(t *testing.T) {
	const here = "eu-west-1:111122223333:"
	for _, c := range []struct {
		parameter, entry string
		want             string // the pattern, or after "!" a part of what is told
	}{
		{allowedModels, "*", "*"},
		{allowedModels, "anthropic.claude-sonnet-4-20250514-v1:0", "anthropic.claude-sonnet-4-20250514-v1:0"},
		{allowedModels, "eu.*", "eu.*"},
		{allowedModels, "foundation-model/anthropic.*", "foundation-model/anthropic.*"},
		{allowedModels, "arn:aws:bedrock:eu-west-1::foundation-model/*", "foundation-model/*"},
		{allowedModels, "arn:aws:bedrock:" + here + "inference-profile/eu.anthropic.*", "inference-profile/eu.anthropic.*"},
		{allowedModels, "arn:aws:bedrock:" + here + "foundation-model/a.b", `!has the account "111122223333"; leave it empty`},
		{allowedModels, "arn:aws:bedrock:eu-west-1::inference-profile/eu.a.b", `!has the account ""; write 111122223333`},
		{allowedModels, "arn:aws:bedrock:eu-west-1:*:inference-profile/eu.a.b", `!has the account "*"; write 111122223333`},
		{allowedModels, "arn:aws:bedrock:*::foundation-model/a.b", `!has the region "*"; write eu-west-1`},
		{allowedModels, "arn:*:bedrock:eu-west-1::foundation-model/a.b", `!has the partition "*"; write aws there`},
		{allowedModels, "arn:aws:bedrock:" + here + "application-inference-profile/abc", "!arn:aws:bedrock:eu-west-1:111122223333:inference-profile/NAME"},
		{allowedModels, "arn:aws:ecr:" + here + "repository/a.b", "!arn:aws:bedrock:eu-west-1::foundation-model/NAME"},
		{allowedModels, "arn:aws:*", "!is not the ARN"},
		{allowedModels, "Anthropic.claude", "!is not the id of a model"},
		{allowedModels, "team/model", "!is not the id of a model"},
		{allowedModels, "*/claude", "!is not the id of a model"},
		{allowedModels, "foundation-model/", "!is not the id of a model"},
		{allowedModels, "a.b?", "!is not the id of a model"},
		{allowedRepositories, "team/*", "team/*"},
		{allowedRepositories, "arn:aws:ecr:" + here + "repository/team/*", "team/*"},
		{allowedRepositories, "arn:aws:codecommit:" + here + "repository/team", "!arn:aws:ecr:eu-west-1:111122223333:repository/NAME"},
		{allowedRepositories, "arn:aws:ecr:" + here + "repository/", "!is not the name of an ECR repository"},
		{allowedRepositories, "arn:aws:ecr:us-east-1:111122223333:repository/a", `!has the region "us-east-1"`},
		{allowedRepositories, "arn:aws:ecr:eu-west-1:999988887777:repository/a", `!has the account "999988887777"`},
		{allowedRepositories, "arn:aws-cn:ecr:" + here + "repository/a", `!has the partition "aws-cn"`},
		{allowedRepositories, "Team", "!is not the name of an ECR repository"},
		{allowedMemories, "shared_mem-*", "shared_mem-*"},
		{allowedMemories, "arn:aws:bedrock-agentcore:" + here + "memory/shared-AbCdEf1234", "shared-AbCdEf1234"},
		{allowedMemories, "arn:aws:bedrock-agentcore:" + here + "runtime/a", "!memory/NAME"},
		{allowedMemories, "a.b", "!is not the id of a memory"},
		{allowedProviders, "crm-*", "crm-*"},
		{allowedProviders, "oauth2credentialprovider/crm", "oauth2credentialprovider/crm"},
		{allowedProviders, "apikeycredentialprovider/*", "apikeycredentialprovider/*"},
		{allowedProviders, "*/crm", "!is not the name of a credential provider"},
		{allowedProviders, "paymentcredentialprovider/crm", "!is not the name of a credential provider"},
		{
			allowedProviders, "arn:aws:bedrock-agentcore:" + here + "token-vault/default/apikeycredentialprovider/crm-*",
			"apikeycredentialprovider/crm-*",
		},
		{allowedProviders, "arn:aws:bedrock-agentcore:" + here + "token-vault/default/*", "!token-vault/default/oauth2credentialprovider/NAME or"},
		{allowedAudiences, "https://*.example.com/?q=<a>&b=|,#", "https://*.example.com/?q=<a>&b=|,#"},
		{allowedAudiences, "arn:aws:anything", "arn:aws:anything"},
		{allowedAudiences, "urn:é", "urn:é"},
		{allowedAudiences, strings.Repeat("a", maxAllowedEntry), strings.Repeat("a", maxAllowedEntry)},
		{allowedAudiences, strings.Repeat("a", maxAllowedEntry+1), "!more than the 1000 allowed"},
	} {
		got, err := ParseAllowed(map[string][]string{c.parameter: {c.entry}}, in("eu-west-1"))
		told, bad := strings.CutPrefix(c.want, "!")
		if bad {
			if err == nil || !strings.HasPrefix(err.Error(), c.parameter+": ") || !strings.Contains(err.Error(), told) || !strings.Contains(err.Error(), cut(c.entry)) {
				t.Errorf("%s %q: %v, want %q", c.parameter, c.entry, err, told)
			}
			continue
		}
		if list := *listOf(c.parameter, &got); err != nil || !slices.Equal(list, []string{c.want}) {
			t.Errorf("%s %q: %q, %v", c.parameter, c.entry, list, err)
		}
	}
}

func listOf(parameter string, a *Allowed) *[]string {
	for _, l := range allowLists() {
		if l.parameter == parameter {
			return l.of(a)
		}
	}
	return nil
}

func TestNoEntryHasACharacterThatMeansSomethingElsewhere(t *testing.T) {
	for _, parameter := range AllowedParameters() {
		for _, unfit := range "\"'`\\${} \t\n\r\u00a0\u0085\x00\x1b\x7fĀ\u202e\ufffd" {
			_, err := ParseAllowed(map[string][]string{parameter: {"a" + string(unfit) + "b"}}, in("eu-west-1"))
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("(%U)", unfit)) {
				t.Errorf("%s with %q: %v", parameter, unfit, err)
			}
			if err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q is not printable ASCII", err)
			}
		}
	}
}

func TestListsThatAreNotGivenHaveTheirDefaultsAndEmptyOnesAllowNothing(t *testing.T) {
	got, err := ParseAllowed(nil, in("eu-west-1"))
	if diff := cmp.Diff(Allowed{Models: []string{"*"}, Repositories: []string{"bedrock-agentcore-*"}}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	got, err = ParseAllowed(map[string][]string{
		allowedModels: {""}, allowedRepositories: nil, allowedAudiences: {"", "a", ""},
	}, in("eu-west-1"))
	if diff := cmp.Diff(Allowed{Audiences: []string{"a"}}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestAllFaultsOfTheListsAreToldTogether(t *testing.T) {
	_, err := ParseAllowed(map[string][]string{
		allowedModels: {"*", "A", "", "B"}, allowedMemories: make([]string, maxAllowed+1), "AllowedTools": {"*"},
	}, in("eu-west-1"))
	if err == nil {
		t.Fatal("they were taken")
	}
	var got []string
	for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
		var e *EntryError
		if errors.As(err, &e) {
			got = append(got, fmt.Sprint(e.Parameter, " ", e.Index))
		} else {
			got = append(got, err.Error())
		}
	}
	want := []string{
		`there is no list "AllowedTools"; the lists are AllowedModels, AllowedRepositories, AllowedMemories, AllowedCredentialProviders, AllowedAudiences`,
		"AllowedModels 1", "AllowedModels 3", "AllowedMemories -1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := ParseAllowed(map[string][]string{allowedMemories: slices.Repeat([]string{"a"}, maxAllowed)}, in("eu-west-1")); err != nil {
		t.Errorf("%d entries: %v", maxAllowed, err)
	}
}

// asking asks for something of every list, most of it in lines of its own.
const asking = `agents:
  asker:
    name: asker
    entrypoint: app.py
    api_key_credential_provider_name: openai
    aws:
      ecr_repository: 111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/app:1
    memory:
      memory_id: shared_mem-AbCdEf1234
    identity:
      credential_providers:
        - name: crm
          type: OAUTH2
        - name: crm
          type: API_KEY
        - name: crm
          type: OAUTH2
    aws_jwt:
      enabled: true
      audiences:
        - https://a.example.com
        - https://b.example.com
    permissions:
      models:
        - amazon.nova-lite-v1:0
        - arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0
        - eu.amazon.nova-lite-v1:0
      base_images:
        - base
        - base
        - team/base
`

func TestWhatTheListsDoNotAllowIsToldWhereItStands(t *testing.T) {
	all := []string{
		"5:39 error provider-not-allowed asker api_key_credential_provider_name",
		"7:23 error repository-not-allowed asker aws.ecr_repository",
		"9:18 error memory-not-allowed asker memory.memory_id",
		"12:17 error provider-not-allowed asker identity.credential_providers[0].name",
		"14:17 error provider-not-allowed asker identity.credential_providers[1].name",
		"21:11 error audience-not-allowed asker aws_jwt.audiences[0]",
		"22:11 error audience-not-allowed asker aws_jwt.audiences[1]",
		"25:11 error model-not-allowed asker permissions.models[0]",
		"27:11 error model-not-allowed asker permissions.models[2]",
		"29:11 error repository-not-allowed asker permissions.base_images[0]",
		"31:11 error repository-not-allowed asker permissions.base_images[2]",
	}
	without := func(parts ...string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(line string) bool {
			return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(line, part) })
		})
	}
	cfg, problems := Parse([]byte(asking), in("eu-west-1"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for name, c := range map[string]struct {
		allowed Allowed
		want    []string
	}{
		"nothing":                             {Allowed{}, all},
		"the defaults":                        {DefaultAllowed(), without("model-")},
		"everything":                          {Allowed{}.Only(func(string) bool { return false }), nil},
		"a model and not its profile":         {Allowed{Models: []string{"amazon.nova-lite-v1:0"}}, without("models[0]")},
		"a profile and not its model":         {Allowed{Models: []string{"eu.*"}}, without("models[2]")},
		"models of the region by their type":  {Allowed{Models: []string{"foundation-model/*"}}, without("models[0]")},
		"profiles by their type":              {Allowed{Models: []string{"inference-profile/eu.amazon.*"}}, without("models[2]")},
		"a pattern that begins like a type":   {Allowed{Models: []string{"f*", "i*"}}, all},
		"a pattern with a type in its middle": {Allowed{Models: []string{"inference-profile/*amazon.nova-lite-v1:0"}}, without("models[2]")},
		"repositories of a team":              {Allowed{Repositories: []string{"team/*"}}, without("ecr_repository", "images[2]")},
		"one repository":                      {Allowed{Repositories: []string{"base"}}, without("images[0]")},
		"a prefix is no name":                 {Allowed{Repositories: []string{"bas", "team/", "eam/app"}}, all},
		"a memory":                            {Allowed{Memories: []string{"shared_mem-*"}}, without("memory-")},
		"providers by name":                   {Allowed{CredentialProviders: []string{"crm"}}, without("providers[")},
		"providers by name and kind":          {Allowed{CredentialProviders: []string{"oauth2credentialprovider/c*m"}}, without("providers[0]")},
		"all providers of a kind":             {Allowed{CredentialProviders: []string{"apikeycredentialprovider/*"}}, without("api_key", "providers[1]")},
		"names that begin like a kind":        {Allowed{CredentialProviders: []string{"oauth2*", "apikey*", "*credentialprovider*"}}, all},
		"all providers":                       {Allowed{CredentialProviders: []string{"*"}}, without("provider-")},
		"an audience":                         {Allowed{Audiences: []string{"https://a.*"}}, without("audiences[0]")},
	} {
		t.Run(name, func(t *testing.T) {
			problems := c.allowed.Check(cfg)
			if diff := cmp.Diff(c.want, seen(problems)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			notes := 0
			for of, texts := range c.allowed.Notes(cfg) {
				if notes += len(texts); of != "asker" {
					t.Errorf("notes of %q", of)
				}
			}
			if notes != len(problems) {
				t.Errorf("%d notes for %d problems", notes, len(problems))
			}
		})
	}
}

func TestAProblemSaysWhatToAskFor(t *testing.T) {
	cfg, _ := Parse([]byte(asking), in("eu-west-1"))
	problems := DefaultAllowed().Check(cfg)
	want := `7:23: error: agent "asker": aws.ecr_repository: repository "team/app" is beyond what the stack allows; ` +
		`ask the platform team to add "team/app" to AllowedRepositories [repository-not-allowed]`
	if got := problems[1].String(); got != want {
		t.Errorf("problem\n%s, want\n%s", got, want)
	}
	want = `ask the platform team to add "apikeycredentialprovider/openai" to AllowedCredentialProviders`
	if got := problems[0].Fix; got != want {
		t.Errorf("fix %q, want %q", got, want)
	}
	want = `Repository "team/app" is beyond what the stack allows unless AllowedRepositories names it.`
	if got := DefaultAllowed().Notes(cfg)["asker"]; !slices.Contains(got, want) {
		t.Errorf("notes %q, want one to be %q", got, want)
	}
	entry := regexp.MustCompile(`\Aask the platform team to add "([^"]+)" to ([A-Za-z]+)\z`)
	for len(problems) > 0 {
		lists := map[string][]string{}
		for _, p := range problems {
			m := entry.FindStringSubmatch(p.Fix)
			if m == nil {
				t.Fatalf("fix %q", p.Fix)
			}
			lists[m[2]] = append(lists[m[2]], m[1])
		}
		asked, err := ParseAllowed(lists, in("eu-west-1"))
		if err != nil {
			t.Fatal(err)
		}
		if problems = asked.Check(cfg); len(problems) > 0 {
			t.Fatalf("the platform team did what was asked, and yet: %v", problems)
		}
	}
}

func TestAnAudienceThatNoEntryCanSpellHasAnEntryToAskFor(t *testing.T) {
	for _, audience := range []string{"say \"hi\"", "a,b", `a\b`, "a$b{c}", "plain"} {
		entry := audienceEntry(audience)
		allowed, err := ParseAllowed(map[string][]string{allowedAudiences: strings.Split(entry, ",")}, in("eu-west-1"))
		if err != nil {
			t.Errorf("%q: %v", entry, err)
		}
		cfg := Config{Agents: []Agent{{Name: "a", JWT: &JWT{Audiences: []string{audience}}}}}
		if problems := allowed.Check(cfg); len(problems) > 0 {
			t.Errorf("%q does not allow %q", entry, audience)
		}
		if (entry == audience) != (audience == "plain") {
			t.Errorf("entry %q for %q", entry, audience)
		}
	}
}

func TestWhatIsAnAgentsOwnNeedsNoList(t *testing.T) {
	for _, c := range []struct {
		agent, memory string
		own           bool
	}{
		{"a", "a-0123456789", true},
		{"a", "a_mem-0123456789", true},
		{"a", "a-AbCdEfGhIj", true},
		{"a", "abc-0123456789", false},
		{"a", "a_memory-0123456789", false},
		{"a", "a_mem_mem-0123456789", false},
		{"a", "a-b-0123456789", false},
		{"a", "a-01234567890", false},
		{"a", "a-012345678", false},
		{"a", "a-01234_6789", false},
		{"a", "a-01234-6789", false},
		{"a", "A-0123456789", false},
		{"a", "a0123456789", false},
		{"a", "b_mem-0123456789", false},
		{"a", "_mem-0123456789", false},
		{"a_mem", "a_mem-0123456789", false},
		{"a_mem", "a_mem_mem-0123456789", true},
		{"a_mem", "a_mem_mem_mem-0123456789", false},
		{"a_memory", "a_memory-0123456789", true},
		{"a_mem", "a-0123456789", false},
	} {
		cfg := Config{Agents: []Agent{{Name: c.agent, MemoryID: c.memory}}}
		if own := len(Allowed{}.Check(cfg)) == 0; own != c.own {
			t.Errorf("agent %s, memory %s: own is %v", c.agent, c.memory, own)
		}
	}
	for repository, own := range map[string]bool{"": true, "bedrock-agentcore-my-agent": true, "bedrock-agentcore-my-agent2": false, "my-agent": false, "My__Agent": false} {
		cfg := Config{Agents: []Agent{{Name: "My__Agent", Repository: repository}}}
		if got := len(Allowed{}.Check(cfg)) == 0; got != own {
			t.Errorf("repository %q: own is %v", repository, got)
		}
	}
}

func TestAgentsThatAskForTooMuchAreAnsweredWithinBounds(t *testing.T) {
	var cfg Config
	for i := range maxProblems + 7 {
		cfg.Agents = append(cfg.Agents, Agent{Name: fmt.Sprintf("a%d", i), Repository: "other"})
	}
	problems := Allowed{}.Check(cfg)
	last := problems[len(problems)-1]
	if len(problems) != maxProblems+1 || last.Code != "config-too-many-problems" || last.Severity != fault.SeverityError || !strings.HasPrefix(last.Message, "7 more") {
		t.Errorf("%d problems, the last is %+v", len(problems), last)
	}
}

func TestOnlyTheChosenListsStayAsTheyAre(t *testing.T) {
	got := DefaultAllowed().Only(func(parameter string) bool { return parameter == allowedRepositories || parameter == allowedMemories })
	everything := []string{"*"}
	if diff := cmp.Diff(Allowed{
		Models: everything, Repositories: []string{"bedrock-agentcore-*"}, CredentialProviders: everything, Audiences: everything,
	}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// naive matches as the definition reads: a star is the empty text, or any one
// character and the star again.
func naive(pattern, s string) bool {
	before := make([]bool, len(s)+1) // what is matched of s by the pattern so far, by its end
	before[0] = true
	for _, p := range []byte(pattern) {
		now := make([]bool, len(s)+1)
		for i := range now {
			if p == '*' {
				now[i] = before[i] || i > 0 && now[i-1]
			} else {
				now[i] = i > 0 && before[i-1] && s[i-1] == p
			}
		}
		before = now
	}
	return before[len(s)]
}

func TestPatternsMatchAsTheirDefinitionReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[ab]{0,12}`).Draw(t, "s")
		pattern := rapid.StringMatching(`[ab*]{0,8}`).Draw(t, "pattern")
		if got, want := matches(pattern, s), naive(pattern, s); got != want {
			t.Fatalf("matches(%q, %q) = %v", pattern, s, got)
		}
	})
}

// A matcher that goes back takes longer than the test is given.
func TestManyStarsTakeNoLonger(t *testing.T) {
	pattern, s := strings.Repeat("*a", 300)+"*b", strings.Repeat("a", 1000)
	if matches(pattern, s) || !matches(pattern, s+"b") || matches(strings.Repeat("*aaaaaab", 100), s) {
		t.Error("wrong answer")
	}
}

// What is allowed matches an entry by the naive matcher, in the spelling that
// the entry has: an ARN is compared with the ARN of what the config names.
func TestWhatIsAllowedMatchesAnEntry(t *testing.T) {
	here := in("eu-west-1")
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[ab]{1,4}`)
		glob := rapid.StringMatching(`[ab*]{1,4}`)
		kind := rapid.SampledFrom([]ProviderKind{OAuth2Provider, APIKeyProvider})
		prefix := rapid.SampledFrom([]string{
			"", "", string(OAuth2Provider) + "/", string(APIKeyProvider) + "/",
			here.agentCoreARN("token-vault/default/" + string(OAuth2Provider) + "/"), here.agentCoreARN("token-vault/default/" + string(APIKeyProvider) + "/"),
		})
		var entries []string
		for range rapid.IntRange(0, 3).Draw(t, "entries") {
			entries = append(entries, prefix.Draw(t, "prefix")+glob.Draw(t, "glob"))
		}
		p := CredentialProvider{Name: name.Draw(t, "name"), Kind: kind.Draw(t, "kind")}
		p.ARN = here.agentCoreARN("token-vault/default/" + string(p.Kind) + "/" + p.Name)
		allowed, err := ParseAllowed(map[string][]string{allowedProviders: entries}, here)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.ContainsFunc(entries, func(entry string) bool {
			switch {
			case strings.HasPrefix(entry, "arn:"):
				return naive(entry, p.ARN)
			case strings.Contains(entry, "/"):
				return naive(entry, string(p.Kind)+"/"+p.Name)
			}
			return naive(entry, p.Name)
		})
		if got := len(allowed.Check(Config{Agents: []Agent{{Name: "x", Providers: []CredentialProvider{p}}}})) == 0; got != want {
			t.Fatalf("%q allow %s %s: %v", entries, p.Kind, p.Name, got)
		}
	})
}

// FuzzAllowed holds what an accepted entry may do: it has nothing in it that
// means something in JSON or to CloudFormation, is read again as what it became,
// and allows what it matches as plain text and nothing else.
func FuzzAllowed(f *testing.F) {
	for _, entry := range []string{
		"*", "anthropic.*", "us.anthropic.claude-sonnet-4-20250514-v1:0", "arn:aws:bedrock:eu-west-1::foundation-model/a.*", "arn:aws:ecr:eu-west-1:111122223333:repository/a/*",
		"arn:aws:ecr:*:*:repository/*", "oauth2credentialprovider/*", "arn:aws:bedrock-agentcore:eu-west-1:111122223333:token-vault/default/apikeycredentialprovider/*a*a*a*",
		"https://*.example.com", "a b", "${a}", "\u00e9", "arn:", "*a*a*a*",
	} {
		f.Add(entry, "a")
		f.Add(entry, "a.b")
	}
	here := in("eu-west-1")
	f.Fuzz(func(t *testing.T, entry, value string) {
		cfg := Config{Agents: []Agent{{
			Name: "x", Repository: value, MemoryID: value, JWT: &JWT{Audiences: []string{value}},
			Providers:   []CredentialProvider{{Name: value, Kind: APIKeyProvider}},
			Permissions: Permissions{Models: []Model{{FoundationModel: value}}, BaseImages: []string{value}},
		}}}
		for _, l := range allowLists() {
			allowed, err := ParseAllowed(map[string][]string{l.parameter: {entry}}, here)
			if err != nil {
				if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) || !strings.HasPrefix(err.Error(), l.parameter) {
					t.Errorf("%q", err)
				}
				continue
			}
			list := *l.of(&allowed)
			if entry == "" {
				if len(list) > 0 {
					t.Errorf("%s: an empty entry became %q", l.parameter, list)
				}
				continue
			}
			if len(list) != 1 || strings.ContainsFunc(list[0], unfitInEntries) || l.service != "" && strings.HasPrefix(list[0], "arn:") {
				t.Fatalf("%s: %q became %q", l.parameter, entry, list)
			}
			again, err := ParseAllowed(map[string][]string{l.parameter: list}, here)
			if diff := cmp.Diff(allowed, again); diff != "" || err != nil {
				t.Errorf("%s: %q read again: %v\n%s", l.parameter, list, err, diff)
			}
			only := allowed.Only(func(parameter string) bool { return parameter == l.parameter })
			_, name, typed := strings.Cut(list[0], "/")
			if typed = typed && len(l.types) > 1; !typed {
				name = list[0]
			}
			left := only.beyond(cfg)
			for _, d := range left {
				if d.parameter != l.parameter || !typed && naive(name, value) {
					t.Errorf("%s: %q does not allow %s %q", l.parameter, list, d.what, value)
				}
			}
			if len(left) == 0 && value != "" && !ownMemory("x", value) && !naive(name, value) {
				t.Errorf("%s: %q allows %q", l.parameter, list, value)
			}
		}
	})
}
