package settings

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/model"
	"rolekeeper/shared/plan"
)

// Parameters is what a stack was given by the parameters of template.yaml, as
// far as anything but the stack itself decides by it. What was not given has the
// default of the template; of PermissionsBoundaryArn and SourceBucketName that
// is empty, which says that the stack makes its own.
type Parameters struct {
	PermissionProfile        desired.Profile
	PermissionsBoundaryArn   string
	SourceBucketName         string
	EnsureServiceLinkedRoles bool
	ExistingRoles            plan.Existing
	BuildImage               string
	LogRetentionDays         int32 // of the logs of functions and builds
	GracePeriod              time.Duration
	MaxDeletesPerHour        int // roles, over all configs
	DeleteRepositories       bool
	DriftMode                plan.DriftMode
	UnmanagedPolicies        plan.Unmanaged
	MaxChangesPerSweep       model.Portion // of the roles of agents
	TeamTag                  string
	Allowed                  agent.Allowed
	OperatorPrincipalArns    []string // of IAM users and roles; * stands for any characters

	ServiceLinkedRoleIdleDays int      // after which one is deleted that nothing needs; 0: never
	Regions                   []string // in which resources are looked for that need service-linked roles: the stack's own and those given, sorted

	given map[string]bool
}

// Given reports whether the parameter of that name was given a value.
func (p Parameters) Given(name string) bool { return p.given[name] }

// maxParameters bounds the text in bytes. The stack's own ends at 8 KB; a file
// that people keep has comments.
const maxParameters = 64 << 10

// ParseParameters reads a map of the stack's parameters by name, YAML or JSON:
// the file that `rolekeeper render --settings` takes, or the value of the
// parameter /rolekeeper/<stack>/settings of Systems Manager. A list is a list of
// texts, or one text with commas between, as samconfig.toml has it. ARNs must be
// of the place. Nothing, or nothing but comments, gives the defaults. A name
// that no parameter has is more likely misspelt than meant. All faults are
// reported together, each with its line.
func ParseParameters(data []byte, place agent.Place) (Parameters, error) {
	return parseParameters(data, place, true)
}

// ParseStored is ParseParameters for the value of the stack's own parameter,
// which CloudFormation writes: names that it has and this version does not know
// are those of a later version, whose template is deployed before its code.
func ParseStored(data []byte, place agent.Place) (Parameters, error) {
	return parseParameters(data, place, false)
}

func parseParameters(data []byte, place agent.Place, strict bool) (Parameters, error) {
	r := parameterReader{given: map[string]bool{}}
	if err := r.decode(data); err != nil {
		return Parameters{}, err
	}
	p := Parameters{
		PermissionProfile:        desired.Profile(cmp.Or(r.text("PermissionProfile", asText(Profile)), string(desired.Scoped))),
		PermissionsBoundaryArn:   r.text("PermissionsBoundaryArn", Boundary),
		SourceBucketName:         r.text("SourceBucketName", Bucket),
		EnsureServiceLinkedRoles: r.text("EnsureServiceLinkedRoles", flag) != "false",
		ExistingRoles:            plan.Existing(cmp.Or(r.text("ExistingRoles", asText(Existing)), string(plan.ReportExisting))),
		BuildImage:               cmp.Or(r.text("BuildImage", BuildImage), DefaultBuildImage),
		LogRetentionDays:         number(&r, "LogRetentionDays", DefaultLogRetentionDays, RetentionDays),
		GracePeriod:              r.grace("GracePeriod"),
		MaxDeletesPerHour:        number(&r, "MaxDeletesPerHour", DefaultMaxDeletesPerHour, MaxDeletesPerHour),
		DeleteRepositories:       r.text("DeleteRepositories", flag) == "true",
		DriftMode:                plan.DriftMode(cmp.Or(r.text("DriftMode", asText(DriftMode)), string(plan.RepairDrift))),
		UnmanagedPolicies:        plan.Unmanaged(cmp.Or(r.text("UnmanagedPolicies", asText(Unmanaged)), string(plan.ReportUnmanaged))),
		MaxChangesPerSweep:       r.portion("MaxChangesPerSweep"),
		TeamTag:                  r.text("TeamTag", TeamTag),
		Allowed:                  r.allowed(place),
		OperatorPrincipalArns:    r.operators(place),

		ServiceLinkedRoleIdleDays: number(&r, "ServiceLinkedRoleIdleDays", 0, IdleDays),
		Regions:                   r.regions(place),

		given: r.given,
	}
	for _, name := range []string{"MaximumConcurrency", "DriftSchedule", "DriftAlarmThreshold", "NotificationEmail"} { // the stack's own
		r.text(name, func(string) error { return nil })
	}
	for _, name := range slices.Sorted(maps.Keys(r.nodes)) {
		if strict && !slices.Contains(r.known, name) {
			r.fail(r.nodes[name].Line, fmt.Errorf("the stack has no parameter %.100q", name))
		}
	}
	if err := r.err(); err != nil {
		return Parameters{}, err
	}
	return p, nil
}

// parameterReader is a map of parameters on its way through ParseParameters.
type parameterReader struct {
	nodes  map[string]yaml.Node
	known  []string // names that were asked for
	given  map[string]bool
	faults []lineFault
}

type lineFault struct {
	line int
	err  error
}

func (r *parameterReader) fail(line int, err error) {
	r.faults = append(r.faults, lineFault{line, fmt.Errorf("line %d: %w", line, err)})
}

// err gives all faults in the order of the lines, nil when there are none.
func (r *parameterReader) err() error {
	slices.SortStableFunc(r.faults, func(a, b lineFault) int { return cmp.Compare(a.line, b.line) })
	var all []error
	for _, f := range r.faults {
		all = append(all, f.err)
	}
	return errors.Join(all...)
}

func (r *parameterReader) decode(data []byte) error {
	if len(data) > maxParameters {
		return fmt.Errorf("%d bytes, more than the %d that parameters may have", len(data), maxParameters)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&r.nodes); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return fmt.Errorf("not a map of parameters: %w", err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("not one map of parameters: something follows it")
	}
	return nil
}

// node gives what stands for a parameter; not ok when nothing or null does.
func (r *parameterReader) node(name string) (n yaml.Node, ok bool) {
	r.known = append(r.known, name)
	n, ok = r.nodes[name]
	if !ok || n.ShortTag() == "!!null" {
		return n, false
	}
	r.given[name] = true
	return n, true
}

// text gives a single value that check has nothing against, else none.
func (r *parameterReader) text(name string, check func(string) error) string {
	n, ok := r.node(name)
	if !ok {
		return ""
	}
	err := check(n.Value)
	if n.Kind != yaml.ScalarNode {
		err = errors.New("not a single value")
	}
	if err != nil {
		r.fail(n.Line, fmt.Errorf("%s: %w", name, err))
		return ""
	}
	return n.Value
}

// number gives a whole number that check has nothing against, else the default.
func number[N int | int32](r *parameterReader, name string, otherwise N, check func(N) error) N {
	number := otherwise
	r.text(name, func(s string) error {
		if s == "" {
			return nil
		}
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			return fmt.Errorf("%.100q is not a whole number", s)
		}
		number = N(n)
		return check(number)
	})
	return number
}

// grace gives a grace period.
func (r *parameterReader) grace(name string) time.Duration {
	period := DefaultGracePeriod
	r.text(name, func(s string) error {
		if err := GracePeriod(s); err != nil || s == "" {
			return err
		}
		var err error
		period, err = time.ParseDuration(s)
		return err
	})
	return period
}

// portion gives how much of a whole is allowed.
func (r *parameterReader) portion(name string) model.Portion {
	portion := model.Portion{Percent: DefaultMaxChangesPercent}
	r.text(name, func(s string) (err error) {
		if s != "" {
			portion, err = model.ParsePortion(s)
		}
		return err
	})
	return portion
}

// list gives the entries of a list with their lines. What is no text is
// reported and empty. It is not ok when no list was given.
func (r *parameterReader) list(name string) (entries []string, lines []int, ok bool) {
	n, ok := r.node(name)
	switch {
	case !ok:
		return nil, nil, false
	case n.Kind == yaml.ScalarNode:
		for entry := range strings.SplitSeq(n.Value, ",") {
			entries, lines = append(entries, strings.TrimSpace(entry)), append(lines, n.Line)
		}
	case n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			text := item.Value
			if item.Kind != yaml.ScalarNode || item.ShortTag() == "!!null" {
				r.fail(item.Line, fmt.Errorf("%s: an entry is not text", name))
				text = ""
			}
			entries, lines = append(entries, text), append(lines, item.Line)
		}
	default:
		r.fail(n.Line, fmt.Errorf("%s: neither a list nor a text with commas", name))
	}
	return entries, append(lines, n.Line), true
}

// allowed reads the allow lists.
func (r *parameterReader) allowed(place agent.Place) agent.Allowed {
	lists, lines := map[string][]string{}, map[string][]int{}
	for _, name := range agent.AllowedParameters() {
		if entries, at, ok := r.list(name); ok {
			lists[name], lines[name] = entries, at
		}
	}
	allowed, err := agent.ParseAllowed(lists, place)
	var faults interface{ Unwrap() []error } // ParseAllowed joins them
	if !errors.As(err, &faults) {
		return allowed
	}
	for _, err := range faults.Unwrap() {
		line := 0
		var entry *agent.EntryError
		if errors.As(err, &entry) {
			at := lines[entry.Parameter]
			line = at[len(at)-1] // that of the whole list
			if entry.Index >= 0 {
				line = at[entry.Index]
			}
		}
		r.fail(line, err)
	}
	return allowed
}

// operators reads the principals that may write requests.
func (r *parameterReader) operators(place agent.Place) []string {
	entries, lines, _ := r.list("OperatorPrincipalArns")
	var arns []string
	for i, entry := range entries {
		if entry == "" {
			continue // CloudFormation's empty list has one
		}
		if err := operator(entry, place); err != nil {
			r.fail(lines[i], fmt.Errorf("OperatorPrincipalArns: %w", err))
			continue
		}
		arns = append(arns, entry)
	}
	return arns
}

// maxRegions bounds the Regions that are looked at, the stack's own among them:
// each is read in whole every day.
const maxRegions = 20

// regions reads the Regions to look at.
func (r *parameterReader) regions(place agent.Place) []string {
	const name = "Regions"
	entries, lines, _ := r.list(name)
	regions := []string{place.Region}
	for i, entry := range entries {
		if entry == "" || slices.Contains(regions, entry) {
			continue // CloudFormation's empty list has one
		}
		if err := region(entry, place); err != nil {
			r.fail(lines[i], fmt.Errorf("%s: %w", name, err))
			continue
		}
		regions = append(regions, entry)
	}
	if len(regions) > maxRegions {
		r.fail(lines[len(lines)-1], fmt.Errorf("%s: %d Regions with the stack's own, at most %d are looked at", name, len(regions), maxRegions))
	}
	slices.Sort(regions)
	return regions
}
