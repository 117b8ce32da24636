package reconcile_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

// Sources, configs and settings change, events repeat, come late or not at all,
// builds end well or badly, room comes and goes. Once all is quiet there is one
// build of the newest source, none was made twice, and none ran beside another.
func TestRandomHistoriesEndInOneBuildOfTheNewestSource(t *testing.T) {
	var saw struct{ failed, waited, overtaken, lost int }
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 4)) //nolint:gosec // a history is to be repeatable
			w := newWorld(t)
			w.cloud.RunBuilds(func(types.Build) awsfake.Outcome {
				o := awsfake.Outcome{After: time.Duration(1+r.IntN(20)) * time.Minute}
				if r.IntN(4) == 0 {
					o.State = types.StatusTypeFailed
				}
				return o
			})
			uploads := 0
			for range 3 + r.IntN(12) {
				switch r.IntN(9) {
				case 0, 1, 2:
					uploads++
					w.source("my_agent", fmt.Sprint(zip, uploads))
				case 3:
					w.upload(key, container+fmt.Sprintf("# %d\n", r.IntN(3)))
				case 4:
					w.cloud.Put(w.inbox, sourceEvent(w, "my_agent"))
				case 5:
					for _, b := range w.cloud.Builds() {
						w.cloud.Put(w.inbox, buildEvent(w, b))
					}
				case 6:
					w.cloud.LimitBuilds(r.IntN(2))
				case 7: // events are lost
					uploads++
					w.source("my_agent", fmt.Sprint(zip, uploads))
					e := w.cloud.Receive(w.inbox, 10)
					saw.lost += len(e.Records)
					w.cloud.Done(w.inbox, e, nil)
				case 8:
					w.lose(naming.StatusKey(key))
				}
				w.run(time.Duration(r.IntN(30*60*1000)) * time.Millisecond)
			}
			w.cloud.LimitBuilds(1)
			w.upload(key, container)
			newest := w.source("my_agent", zip+"at last")
			w.settle()
			w.again(key)

			made := map[string]int{}
			all := w.cloud.Builds()
			for i, b := range all {
				made[environment(b)["ROLEKEEPER_BUILD"]]++
				if b.BuildStatus == types.StatusTypeFailed {
					saw.failed++
				}
				if i > 0 && b.StartTime.Before(*all[i-1].EndTime) {
					t.Errorf("build %s began before %s had ended", *b.Id, *all[i-1].Id)
				}
			}
			for identity, n := range made {
				if n != 1 {
					t.Errorf("%d builds of %s", n, identity)
				}
			}
			if last := all[len(all)-1]; *last.SourceVersion != newest {
				t.Errorf("the newest build is of %s, the newest source is %s", *last.SourceVersion, newest)
			}
			saw.overtaken += uploads + 1 - len(all)
			saw.waited += count(w.cloud.Calls(), "StartBuild") - len(all)
			b := w.build(key)
			if want := model.BuildState(strings.ToLower(string(all[len(all)-1].BuildStatus))); b.State != want || b.SourceVersion != newest || w.status(key).Outcome != status.Ready {
				t.Errorf("told: %s, %+v, want %s", w.status(key).Outcome, b, want)
			}
			if failed := b.State == model.BuildFailed; failed != slices.Contains(codes(w.status(key)), "build-failed") || failed == (b.Image != "") {
				t.Errorf("told: %v, %+v", codes(w.status(key)), b)
			}
			w.wantNothingLost()
		})
	}
	t.Logf("saw %+v", saw)
	if saw.failed == 0 || saw.waited == 0 || saw.overtaken == 0 || saw.lost == 0 {
		t.Errorf("the histories are not wild enough: %+v", saw)
	}
}
