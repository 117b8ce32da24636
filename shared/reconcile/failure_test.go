package reconcile_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

// failing makes an operation fail for as long as the account's time is before end.
func (w *world) failing(operation string, end time.Time, err error) {
	w.cloud.Before = func(c awsfake.Call) error {
		// Before runs under the account's lock, so its time is read from outside.
		if c.Operation == operation && w.clock.Before(end) {
			return err
		}
		return nil
	}
}

func TestThrottlingThatLastsMakesAConfigWait(t *testing.T) {
	w := newWorld(t)
	w.failing("CreateRole", w.cloud.Now().Add(10*time.Minute), awsfake.APIError("Throttling", "Rate exceeded"))
	w.upload(key, container)
	w.run(5 * time.Minute) // all but the wake-up
	s := w.status(key)
	if s.Outcome != status.Waiting || s.WakeAt.IsZero() || !slices.Contains(codes(s), "aws-not-ready") {
		t.Fatalf("status: %+v", s)
	}
	if n := len(w.cloud.Messages(w.work)); n > 0 {
		t.Errorf("%d messages are left in the work queue; a wait is not a failed message", n)
	}
	w.settle()
	wantOutcome(t, w, key, status.Ready)
	if s := w.status(key); !s.WakeAt.IsZero() {
		t.Errorf("wakeAt is still %s", s.WakeAt)
	}
	if dead := w.cloud.Messages(w.workDead); len(dead) > 0 {
		t.Errorf("dead letters: %v", dead)
	}
	if c := w.claim(naming.RoleClaimKey("my_agent")); len(c.Creating) > 0 {
		t.Errorf("claim: %+v", c)
	}
}

func TestOneWakeUpIsEnough(t *testing.T) {
	w := newWorld(t)
	w.failing("CreateRole", w.cloud.Now().Add(5*time.Minute), awsfake.APIError("Throttling", "Rate exceeded"))
	w.upload(key, container)
	w.run(3 * time.Minute)
	w.upload(key, container)
	w.run(3 * time.Minute)
	if n := len(w.cloud.Messages(w.inbox)); n != 1 {
		t.Errorf("%d wake-ups are under way, want 1", n)
	}
}

func TestADeniedCallEndsInTheDeadLettersWithItsReason(t *testing.T) {
	w := newWorld(t)
	w.failing("CreateRole", w.cloud.Now().Add(time.Hour), awsfake.APIError("AccessDenied", "User is not authorized to perform: iam:CreateRole"))
	w.upload(key, container)
	w.settle()
	wantOutcome(t, w, key, status.Failed)
	dead := w.cloud.Messages(w.workDead)
	if len(dead) != 1 {
		t.Fatalf("%d dead letters, want 1", len(dead))
	}
	a := dead[0].Attributes
	if !strings.Contains(a["reason"], "AccessDenied") || !strings.Contains(a["reason"], runtimeRole("my_agent")) || a["errorClass"] != "unknown" || a["requestId"] == "" {
		t.Errorf("attributes of the dead letter: %v", a)
	}
	if !strings.Contains(dead[0].Body, key) {
		t.Errorf("body of the dead letter: %s", dead[0].Body)
	}
	// Mended, and uploaded again.
	w.cloud.Before = nil
	w.upload(key, container)
	w.settle()
	wantOutcome(t, w, key, status.Ready)
}

func TestAReaderThatMayNotListTakesNothingForAbsent(t *testing.T) {
	w := newWorld(t)
	w.upload(key, container)
	w.settle()
	w.cloud.DenyList(bucket, "reconcile")
	w.remove(key)
	w.cloud.ForgetCalls()
	w.settle()
	if s := w.status(key); s.Outcome == status.Orphaned {
		t.Errorf("a denied read was taken for a deleted config: %+v", s)
	}
	if writes := w.writes(naming.ClaimPrefix); len(writes) > 0 {
		t.Errorf("writes: %v", writes)
	}
}

func TestADeniedReadOfARoleChangesNothing(t *testing.T) {
	for _, operation := range []string{"GetRole", "ListRolePolicies", "GetRolePolicy", "ListAttachedRolePolicies"} {
		t.Run(operation, func(t *testing.T) {
			w := newWorld(t)
			w.upload(key, container)
			w.settle()
			w.cloud.ForgetCalls()
			w.failing(operation, w.cloud.Now().Add(time.Hour), awsfake.APIError("AccessDenied", "no"))
			w.upload(key, container+"    permissions:\n      browser: true\n")
			w.settle()
			wantOutcome(t, w, key, status.Failed)
			if writes := w.writes(naming.ClaimPrefix, naming.ArchivePrefix); len(writes) > 0 {
				t.Errorf("writes: %v", writes)
			}
		})
	}
}

func TestANameTakenByARoleThatCannotBeReadIsTold(t *testing.T) {
	w := newWorld(t)
	w.failing("CreateRole", w.cloud.Now().Add(time.Hour), awsfake.APIError("EntityAlreadyExists", "Role with name already exists."))
	w.upload(key, direct)
	w.settle()
	wantOutcome(t, w, key, status.Failed)
	if dead := w.cloud.Messages(w.workDead); len(dead) != 1 || !strings.Contains(dead[0].Attributes["reason"], "cannot be read") {
		t.Errorf("dead letters: %v", dead)
	}
}
