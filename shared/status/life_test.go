package status

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	noon  = time.Date(2026, 11, 22, 12, 0, 0, 900_000_000, time.UTC)
	grace = 24 * time.Hour
	// The whole second that the grace period ends in when it begins at noon.
	end = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

func TestAnAgentIsInThePhaseThatTheEvidenceCallsFor(t *testing.T) {
	// An agent in each phase that began under version v1, with all that it has then.
	active := Agent{Phase: PhaseActive}
	fresh := Agent{}
	retiring := Agent{Phase: PhaseRetiring, PhaseVersion: "v1", RetireAfter: noon.Add(time.Hour)}
	quarantined := Agent{Phase: PhaseQuarantined, PhaseVersion: "v1", DeleteAfter: noon.Add(time.Minute), RetirementID: "r", ArchiveKeys: []string{"k"}}
	retired := Agent{Phase: PhaseRetired, PhaseVersion: "v1", RetirementID: "r", ArchiveKeys: []string{"k"}}
	held := Agent{Phase: PhaseHeld, PhaseVersion: "v1"}
	revived := Agent{Phase: PhaseActive, PhaseVersion: "v1"}
	// What becomes of it.
	leaves := func(version string) Agent {
		return Agent{Phase: PhaseRetiring, PhaseVersion: version, RetireAfter: end}
	}
	revivedBy := func(version string) Agent { return Agent{Phase: PhaseActive, PhaseVersion: version} }
	under := func(a Agent, version string) Agent {
		a.PhaseVersion = version
		return a
	}
	wanted := func(version string) Evidence { return Evidence{Version: version, Wanted: true} }
	deserted := func(version string) Evidence { return Evidence{Version: version, Wanted: true, Deserted: true} }
	unwanted := func(version string) Evidence { return Evidence{Version: version} }
	released := func(e Evidence) Evidence {
		e.Released = true
		return e
	}
	const gone = ""
	for name, c := range map[string]struct {
		before Agent
		found  Evidence
		want   Agent
	}{
		"a new one that the config has":                      {fresh, wanted("v1"), active},
		"a new one whose runtimes are gone":                  {fresh, deserted("v1"), leaves("v1")},
		"a new one that the config lacks":                    {fresh, unwanted("v1"), leaves("v1")},
		"an active one":                                      {active, wanted("v1"), active},
		"an active one under another version":                {active, wanted("v2"), active},
		"an active one without runtimes":                     {active, deserted("v1"), leaves("v1")},
		"an active one without runtimes, and another config": {active, deserted("v2"), leaves("v2")},
		"an active one that was removed":                     {active, unwanted("v2"), leaves("v2")},
		"an active one whose config is gone":                 {active, unwanted(gone), leaves(gone)},
		"an active one that nobody held":                     {active, released(wanted("v1")), active},

		"a retiring one": {retiring, deserted("v1"), retiring},
		"a retiring one that has a runtime again":                    {retiring, wanted("v1"), active},
		"a retiring one that is uploaded again":                      {retiring, deserted("v2"), revivedBy("v2")},
		"a retiring one that is uploaded and runs again":             {retiring, wanted("v2"), active},
		"a retiring one that the config lacks still":                 {retiring, unwanted("v1"), retiring},
		"a retiring one that another version lacks":                  {retiring, unwanted("v2"), under(retiring, "v2")},
		"a retiring one whose config is gone, too":                   {retiring, unwanted(gone), under(retiring, gone)},
		"a retiring one whose config is back":                        {under(retiring, gone), wanted("v1"), active},
		"a retiring one whose config is back, though not a runtime":  {under(retiring, gone), deserted("v1"), revivedBy("v1")},
		"a retiring one that an older version has, which is back":    {under(retiring, "v2"), wanted("v1"), active},
		"a retiring one that nobody held":                            {retiring, released(deserted("v1")), retiring},
		"a revived one that still has no runtime":                    {revived, deserted("v1"), revived},
		"a revived one without runtime, under another version":       {revived, deserted("v2"), revivedBy("v2")},
		"a revived one that has a runtime":                           {revived, wanted("v1"), active},
		"a revived one that was removed":                             {revived, unwanted("v2"), leaves("v2")},
		"a revived one that was removed, with the runtimes it had":   {revived, Evidence{Version: "v2", Deserted: true}, leaves("v2")},
		"a quarantined one":                                          {quarantined, deserted("v1"), quarantined},
		"a quarantined one that has a runtime":                       {quarantined, wanted("v1"), quarantined},
		"a quarantined one that is uploaded again":                   {quarantined, wanted("v2"), active},
		"a quarantined one that is uploaded again, without runtimes": {quarantined, deserted("v2"), revivedBy("v2")},
		"a quarantined one that another version lacks":               {quarantined, unwanted("v2"), under(quarantined, "v2")},
		"a quarantined one that an older version has, which is back": {under(quarantined, "v2"), deserted("v1"), revivedBy("v1")},
		"a quarantined one that nobody held":                         {quarantined, released(deserted("v1")), quarantined},
		"a retired one":                                              {retired, deserted("v1"), retired},
		"a retired one that has a runtime":                           {retired, wanted("v1"), retired},
		"a retired one that is uploaded again":                       {retired, wanted("v2"), active},
		"a retired one that is uploaded again, without runtimes":     {retired, deserted("v2"), revivedBy("v2")},
		"a retired one whose config is gone":                         {retired, unwanted(gone), under(retired, gone)},
		"a retired one whose config is back":                         {under(retired, gone), wanted("v1"), active},
		"a retired one that nobody held":                             {retired, released(wanted("v1")), retired},

		"one that is held":                                     {held, deserted("v1"), held},
		"one that is held and has a runtime":                   {held, wanted("v1"), held},
		"one that is held and uploaded again":                  {held, wanted("v2"), active},
		"one that is held and uploaded again without runtimes": {held, deserted("v2"), revivedBy("v2")},
		"one that is held and the config lacks":                {held, unwanted("v2"), under(held, "v2")},
		"one that is held and whose config is gone":            {held, unwanted(gone), under(held, gone)},
		"one that is released":                                 {held, released(wanted("v1")), active},
		"one that is released without runtimes":                {held, released(deserted("v1")), leaves("v1")},
		"one that is released and uploaded again":              {held, released(deserted("v2")), revivedBy("v2")},
		"one that is released and the config lacks":            {held, released(unwanted("v1")), leaves("v1")},
		"one that is released and whose config is gone":        {under(held, gone), released(unwanted(gone)), leaves(gone)},
	} {
		t.Run(name, func(t *testing.T) {
			c.found.Now, c.found.Grace = noon.In(time.FixedZone("", 3600)), grace
			got := c.before.Age(c.found)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got.RetireAfter.Location() != time.UTC {
				t.Errorf("it retires after %s", got.RetireAfter)
			}
		})
	}
}

func anyEvidence() *rapid.Generator[Evidence] {
	return rapid.Custom(func(t *rapid.T) Evidence {
		e := Evidence{
			Now:     time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "now"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")),
			Grace:   time.Duration(rapid.Int64Range(1, 1<<20).Draw(t, "grace")) * time.Second,
			Version: rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(t, "version"),
			Wanted:  rapid.Bool().Draw(t, "wanted"), Deserted: rapid.Bool().Draw(t, "deserted"), Released: rapid.Bool().Draw(t, "released"),
		}
		if !e.Wanted && rapid.Bool().Draw(t, "gone") {
			e.Version = ""
		}
		return e
	})
}

func anyAging() *rapid.Generator[Agent] {
	return rapid.Custom(func(t *rapid.T) Agent {
		s := anyStatus().Filter(func(s Status) bool { return len(s.Agents) > 0 }).Draw(t, "status")
		a := s.Agents[0]
		a.PhaseVersion = rapid.SampledFrom([]string{"", "v1", "v2", "v3"}).Draw(t, "phase version")
		return a
	})
}

// What holds of every agent and all evidence.
func TestAging(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, e := anyAging().Draw(t, "agent"), anyEvidence().Draw(t, "evidence")
		now := before.Age(e)
		if now.Phase != before.Phase && now.Phase != PhaseActive && now.Phase != PhaseRetiring {
			t.Errorf("%s becomes %s, which only deleting and restoring lead to", before.Phase, now.Phase)
		}
		if again := now.Age(e); cmp.Diff(now, again) != "" {
			t.Errorf("looked at again it is another (-first +second)\n%s", cmp.Diff(now, again))
		}
		if !e.Wanted && now.Phase == PhaseActive {
			t.Error("it is active, and no config has it")
		}
		if e.Wanted && before.PhaseVersion != e.Version && before.Phase != PhaseActive && now.Phase != PhaseActive {
			t.Errorf("uploaded anew it is %s", now.Phase)
		}
		if e.Wanted && !e.Deserted && now.Phase == PhaseRetiring {
			t.Error("it retires, though it is wanted and has a runtime")
		}
		switch now.Phase {
		case PhaseActive:
			if !now.RetireAfter.IsZero() || !now.DeleteAfter.IsZero() || now.RetirementID != "" || now.ArchiveKeys != nil || now.BlockedBy != nil {
				t.Errorf("it is active, and still on its way out: %+v", now)
			}
		case PhaseRetiring:
			left := now.RetireAfter.Sub(e.Now)
			if before.Phase == PhaseRetiring && (!now.RetireAfter.Equal(before.RetireAfter) || !cmp.Equal(now.BlockedBy, before.BlockedBy)) {
				t.Error("its grace period was moved, or what keeps it was forgotten")
			}
			if before.Phase != PhaseRetiring && now.BlockedBy != nil {
				t.Errorf("it begins to retire, and is kept by %+v", now.BlockedBy)
			}
			if before.Phase != PhaseRetiring && (left > e.Grace || left <= e.Grace-time.Second) {
				t.Errorf("it retires in %s of %s", left, e.Grace)
			}
		default:
			if !now.DeleteAfter.Equal(before.DeleteAfter) || now.RetirementID != before.RetirementID || !cmp.Equal(now.ArchiveKeys, before.ArchiveKeys) {
				t.Errorf("what is known of its retirement was changed: %+v, %+v", before, now)
			}
		}
		// All else stays.
		now.Phase, now.PhaseVersion, now.RetireAfter, now.DeleteAfter = before.Phase, before.PhaseVersion, before.RetireAfter, before.DeleteAfter
		now.RetirementID, now.ArchiveKeys, now.BlockedBy = before.RetirementID, before.ArchiveKeys, before.BlockedBy
		if diff := cmp.Diff(before, now); diff != "" {
			t.Errorf("(-before +now)\n%s", diff)
		}
	})
}

// An agent that was uploaded after its runtimes had gone stays for as long as it
// is wanted and has no other runtime, whatever else is uploaded.
func TestAnAgentThatWasUploadedAnewWaitsForItsRuntime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anyAging().Filter(func(a Agent) bool { return a.Phase != PhaseActive }).Draw(t, "agent")
		e := Evidence{Now: noon, Grace: grace, Version: "v4", Wanted: true, Deserted: true}
		for _, version := range rapid.SliceOfN(rapid.SampledFrom([]string{"v4", "v5", "v6"}), 1, 10).Draw(t, "versions") {
			if a = a.Age(e); a.Phase != PhaseActive {
				t.Fatalf("under %s it is %s", e.Version, a.Phase)
			}
			e.Version = version
		}
		e.Deserted = false
		a = a.Age(e)
		e.Deserted = true
		if a = a.Age(e); a.Phase != PhaseRetiring {
			t.Errorf("after its next runtime it is %s", a.Phase)
		}
	})
}
