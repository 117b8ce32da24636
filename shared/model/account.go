package model

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Account is what is in an account, read in bulk: as good as reading every role
// by itself, at a cost that does not grow with the roles of agents.
type Account struct {
	// Roles are all roles by name. They are whole, but for LastUsed, which IAM may
	// leave out.
	Roles map[string]ObservedRole
	// Unsettled are names of roles that came, went or changed while the account was
	// read, or of which a document could not be read: nothing is known of them.
	Unsettled map[string]bool
	Quota     int // roles that the account may have
	Calls     int // calls of IAM that it took
}

// Portion is how much of a whole is allowed: a number, or a percentage.
type Portion struct {
	Count   int // 0 with a percentage
	Percent int // 1 to 100; 0 with a number
}

// minPortion is what a percentage allows at least: of a small fleet it would
// otherwise be next to nothing.
const minPortion = 5

// Of gives how much of total is allowed.
func (p Portion) Of(total int) int {
	if p.Percent == 0 {
		return p.Count
	}
	return max((total*p.Percent+99)/100, minPortion)
}

// ParsePortion reads a portion as a parameter has it, such as 10% or 50.
func ParsePortion(text string) (Portion, error) {
	number, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(number)
	switch {
	case err != nil || n < 1 || strconv.Itoa(n) != number || percent && n > 100 || n > 99999:
		return Portion{}, fmt.Errorf("%.100q is neither a number from 1 to 99999 nor a percentage from 1%% to 100%%", text)
	case percent:
		return Portion{Percent: n}, nil
	}
	return Portion{Count: n}, nil
}

// FleetRequest is what an operator asks for that concerns no single config: an
// object of the config bucket that only operators can write, and that nobody can
// change.
type FleetRequest struct {
	Request
}

// ParseFleetRequest reads one, strictly. To approve, its plan is that of the pass
// that was stopped, by the name FleetPlan.
func ParseFleetRequest(data []byte) (FleetRequest, error) {
	r, err := ParseRequest(data)
	switch {
	case err != nil:
		return FleetRequest{}, err
	case r.Config != "", r.Action == Approve && (len(r.Plans) != 1 || r.Plans[FleetPlan] == ""), r.Action != Approve && r.Action != DeleteLinked:
		return FleetRequest{}, errors.New("request: it is neither one to approve a pass nor one to delete a service-linked role")
	}
	return FleetRequest{r}, nil
}

// FleetPlan is the name of the plan in a request to approve a pass.
const FleetPlan = "pass"
