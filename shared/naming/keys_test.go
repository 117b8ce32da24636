package naming_test

import (
	"strings"
	"testing"

	"rolekeeper/shared/naming"
)

func TestConfigKeysThatAreRefused(t *testing.T) {
	for name, key := range map[string]string{
		"elsewhere":          "claims/a.yaml",
		"the prefix alone":   "configs/",
		"a folder":           "configs/team/",
		"dots":               "configs/./a.yaml",
		"two dots":           "configs/../a.yaml",
		"two dots at an end": "configs/a/..",
		"a space":            "configs/a b.yaml",
		"unicode":            "configs/é.yaml",
		"a control":          "configs/a\x00.yaml",
		"201 bytes":          "configs/" + strings.Repeat("a", 193),
	} {
		if naming.CheckConfigKey(key) == nil {
			t.Errorf("%s: %q was accepted", name, key)
		}
	}
}

func TestARefusedKeyShowsTheWholeCharacter(t *testing.T) {
	for key, want := range map[string]string{
		"configs/a b.yaml": `' ' at byte 9`, "configs/\u00e9.yaml": `'\u00e9' at byte 8`, "configs/\U0001f600": `'\U0001f600' at byte 8`,
	} {
		if err := naming.CheckConfigKey(key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", key, err, want)
		}
	}
}

func TestTheTeamOfAConfigIsItsFirstFolder(t *testing.T) {
	for key, want := range map[string]string{
		"configs/red/a.yaml":        "red",
		"configs/red/blue/a.yaml":   "red",
		"configs/red=1@b/a.yaml":    "red=1@b",
		"configs/a.yaml":            "",
		"configs//a.yaml":           "",
		"configs/configs/a.yaml":    "configs",
		"configs/red":               "",
		"configs/red/configs/a/b/c": "red",
	} {
		if got := naming.Team(key); got != want {
			t.Errorf("Team(%q) = %q, want %q", key, got, want)
		}
	}
}

func FuzzConfigKey(f *testing.F) {
	for _, key := range []string{"configs/a.yaml", "configs/team/.bedrock_agentcore.yaml", "configs/a=b@c+d", "configs/..", "status/a"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if naming.CheckConfigKey(key) != nil {
			return
		}
		back, ok := naming.ConfigKeyOf(naming.StatusKey(key))
		if !ok || back != key {
			t.Fatalf("status key %q of %q leads to %q", naming.StatusKey(key), key, back)
		}
		if len(naming.StatusKey(key)) > 1024 || len(key) > 256 {
			t.Fatalf("%q is too long for S3 or a tag", key)
		}
		if team := naming.Team(key); strings.Contains(team, "/") || team != "" && !strings.HasPrefix(key, "configs/"+team+"/") {
			t.Fatalf("team %q of %q", team, key)
		}
		if !strings.HasPrefix(naming.StatusKey(key), naming.StatusPrefix) || strings.Contains(naming.StatusKey(key), "/../") {
			t.Fatalf("status key %q leaves its prefix", naming.StatusKey(key))
		}
	})
}
