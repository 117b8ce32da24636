package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"rolekeeper/shared/aws/awserr"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/plan"
	"rolekeeper/shared/status"
)

// How an answer is waited for.
const (
	pollEvery = 2 * time.Second
	pollFor   = 2 * time.Minute
)

// requestAPI is what writes requests: the one write of the tool.
type requestAPI interface {
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

type requestFlags struct {
	stackFlags
	yes, wait bool
	expiresIn time.Duration
}

func (f *requestFlags) register(c *cobra.Command) {
	f.stackFlags.register(c)
	flags := c.Flags()
	flags.BoolVar(&f.yes, "yes", false, "do not ask for confirmation")
	flags.BoolVar(&f.wait, "wait", true, fmt.Sprintf("wait for the answer, at most %v", pollFor))
	flags.DurationVar(&f.expiresIn, "expires-in", time.Hour, fmt.Sprintf("how long the request can be carried out, at most %v", model.MaxRequestAge))
}

func (f *requestFlags) check() error {
	if f.expiresIn <= 0 || f.expiresIn > model.MaxRequestAge {
		return fmt.Errorf("--expires-in: %v is not between 0 and %v", f.expiresIn, model.MaxRequestAge)
	}
	return nil
}

// requestHelp is what the help of every request ends with.
const requestHelp = `

Nothing is changed from here: the request is an object in the config bucket, which
Rolekeeper carries out. It names, for each agent, the digest of what was shown. When
that was changed since, the request is refused and nothing is done; other changes of
the config do not matter.

Needs what plan needs, and s3:PutObject on requests/ in the config bucket. Only the
principals of the stack's OperatorPrincipalArns may write there.

Exit codes: 0 done, or there was nothing to do; 3 refused, or it cannot be done; 1
no answer in time, or anything else. What stays blocked for another reason after
the request was done is told, and the exit code is 0.`

func (p program) adoptCommand() *cobra.Command {
	var f requestFlags
	c := &cobra.Command{
		Use:   "adopt CONFIG AGENT",
		Short: "Have Rolekeeper take over an agent's roles that somebody else made",
		Long: `Show what it would mean that Rolekeeper takes over the roles of one agent of an
uploaded config, what they lose with it, and, once you confirm, ask for it. CONFIG
is the config's S3 key, with or without configs/ in front.` + requestHelp,
		Example: `  rolekeeper adopt team/agent.yaml my_agent
  rolekeeper adopt team/agent.yaml my_agent --yes --wait=false`,
		Args: takes(2, 2, "a CONFIG and an AGENT"),
		RunE: func(c *cobra.Command, args []string) error {
			return p.request(c.Context(), f, model.Adopt, args[0], p.adoption(args[1]))
		},
	}
	f.register(c)
	return c
}

// proposal shows what is about to be asked for and gives what the request has to
// say of it, by agent. When nothing is to be asked for it gives none, and says why.
type proposal func(context.Context, stack, planned) (plans map[string]string, err error)

// request asks for something to be done about a config.
func (p program) request(ctx context.Context, f requestFlags, action model.RequestAction, config string, propose proposal) error {
	if err := f.check(); err != nil {
		return err
	}
	key, err := configKey(config)
	if err != nil {
		return err
	}
	s, err := p.stack(ctx, f.stackFlags)
	if err != nil {
		return err
	}
	now, err := s.look(key).plan(ctx)
	if err != nil {
		return s.unreadable(err)
	}
	plans, err := propose(ctx, s, now)
	if err != nil || len(plans) == 0 {
		return err
	}
	return p.ask(ctx, f, s, model.Request{Action: action, Config: key, Plans: plans})
}

// stackAndRole finds what a request about one role is about: the stack, and the
// name of the role that a person names.
func (p program) stackAndRole(ctx context.Context, f requestFlags, arg string) (s stack, role string, err error) {
	if err := f.check(); err != nil {
		return stack{}, "", err
	}
	if s, err = p.stack(ctx, f.stackFlags); err != nil {
		return stack{}, "", err
	}
	role, err = s.account.agentRole(arg)
	return s, role, err
}

// ask asks for what was shown, and waits for the answer. The request lacks what
// all have.
func (p program) ask(ctx context.Context, f requestFlags, s stack, r model.Request) error {
	r, err := p.submit(ctx, f, s, r)
	if err != nil || !f.wait {
		return err
	}
	return p.await(ctx, s.bucket, r)
}

// submit writes a request once it is confirmed, and gives it whole.
func (p program) submit(ctx context.Context, f requestFlags, s stack, r model.Request) (model.Request, error) {
	if len(s.settings.OperatorPrincipalArns) == 0 {
		return r, errors.New("requests are off: the stack's parameter OperatorPrincipalArns names nobody who may write them; nothing was written")
	}
	if err := p.confirm(ctx, f.yes); err != nil {
		return r, err
	}
	at := p.now().UTC()
	r.V, r.ID, r.Expires, r.By = 1, at.Format(model.IDTime)+"-"+p.random(), at.Add(f.expiresIn), s.account.caller
	if err := s.write(ctx, r); err != nil {
		return r, err
	}
	answer := naming.StatusKey(r.Config)
	switch {
	case r.Action == model.DeleteLinked:
		answer = naming.LinkedKey
	case r.Config == "":
		answer = naming.LatestPassKey
	}
	p.stdout.line("")
	p.stdout.line("request %s is written; the answer comes into s3://%s/%s", r.ID, s.bucket.name, answer)
	return r, nil
}

// adoption proposes the adoption of an agent's roles.
func (p program) adoption(agent string) proposal {
	return func(ctx context.Context, s stack, now planned) (map[string]string, error) {
		if err := p.good(s, now); err != nil {
			return nil, err
		}
		hash := now.Adoptable[agent]
		if hash == "" {
			if err := p.left(s, now, agent); err != nil {
				return nil, err
			}
			return nil, p.nothingToAdopt(now, agent)
		}
		if err := p.show(ctx, s, now, agent); err != nil {
			return nil, err
		}
		if now.waits()[agent] == "" {
			p.stdout.line("")
			p.stdout.line("%s; the request has it look now", byItself)
		}
		return map[string]string{agent: hash}, nil
	}
}

// show shows the adoption of the agents' roles.
func (p program) show(ctx context.Context, s stack, now planned, agents ...string) error {
	shown, err := now.look.plan(ctx, agents...)
	if err != nil {
		return s.unreadable(err)
	}
	shown.only(agents...).text(p.stdout)
	return nil
}

// left shows the roles of the agents, or of all, that cannot be adopted, and says
// so when there are any.
func (p program) left(s stack, now planned, agents ...string) error {
	var all []string
	for _, f := range now.strangers(agents...) {
		all = append(all, f.Agent)
	}
	if len(all) == 0 {
		return nil
	}
	now.only(all...).text(p.stdout)
	if s.settings.ExistingRoles == plan.RefuseExisting {
		p.stdout.line("")
		p.stdout.line("The stack's parameter ExistingRoles is %s: no role is adopted, whoever asks.", plan.RefuseExisting)
	}
	return errProblems
}

// good says that there is a config, and shows what is wrong with it.
func (p program) good(s stack, now planned) error {
	switch {
	case now.Gone:
		return fmt.Errorf("there is no config %s in %s", now.Key, s.bucket.name)
	case fault.Blocks(now.Problems):
		now.text(p.stdout)
		return errProblems
	}
	return nil
}

// byItself is said of adoptions that nobody has to ask for.
const byItself = "the stack's parameter ExistingRoles is adopt: the next look does this by itself"

// nothingToAdopt says why not, of an agent whose roles nobody else made. It is an
// error that the config lacks the agent.
func (p program) nothingToAdopt(now planned, name string) error {
	a, err := now.agent(name)
	switch {
	case err != nil:
		return err
	case len(a.Roles()) == 0:
		p.stdout.line("%s: nothing to adopt: agent %s has no role of its own, but those that the config brings for it or another agent has", now.Key, name)
	default:
		p.stdout.line("%s: nothing to adopt: the roles of agent %s are Rolekeeper's, or are not there yet", now.Key, name)
	}
	return nil
}

// agent gives what the config's agent should have. It is an error that the config
// lacks the agent, or that nothing of it is kept up.
func (p planned) agent(name string) (desired.Agent, error) {
	var names []string
	for _, a := range p.Desired.Agents {
		if a.Name == name {
			return a, nil
		}
		names = append(names, a.Name)
	}
	if a, known := p.answer.Agent(name); known && a.Phase != status.PhaseActive {
		return desired.Agent{}, fmt.Errorf("%s: agent %s is %s", p.Key, name, phaseText(a))
	}
	if len(names) == 0 {
		return desired.Agent{}, fmt.Errorf("%s has no agent %q", p.Key, name)
	}
	return desired.Agent{}, fmt.Errorf("%s has no agent %q; it has %s", p.Key, name, strings.Join(names, ", "))
}

// waits gives what waits for an operator, as Adoptable has it: it leaves out what
// the next look does by itself.
func (p planned) waits() map[string]string {
	left := maps.Clone(p.Adoptable)
	maps.DeleteFunc(left, func(agent, _ string) bool { return len(p.strangers(agent)) == 0 })
	return left
}

// strangers gives the roles of the agents, or of all when none is named, that are
// left alone because somebody else made them.
func (p planned) strangers(agents ...string) []plan.Refusal {
	return slices.DeleteFunc(slices.Clone(p.Plan.Refusals), func(f plan.Refusal) bool {
		return !p.Plan.Stranger(f.Role) || len(agents) > 0 && !slices.Contains(agents, f.Agent)
	})
}

// only gives what is about the agents.
func (p planned) only(agents ...string) planned {
	of := plan.Plan{}
	for _, a := range slices.Compact(slices.Sorted(slices.Values(agents))) {
		part := p.of(a)
		of.Steps = append(of.Steps, part.Steps...)
		of.Findings = append(of.Findings, part.Findings...)
		of.Refusals = append(of.Refusals, part.Refusals...)
	}
	p.Plan, p.Removed, p.Problems, p.answer = of, nil, nil, status.Status{}
	return p
}

// confirm asks whoever is there, and was shown what it is about.
func (p program) confirm(ctx context.Context, yes bool) error {
	switch {
	case p.stdout.err != nil:
		return errors.New("what would be done could not be shown; nothing was written")
	case yes:
		return nil
	case !p.interactive:
		return errors.New("nobody is there to confirm this: run it in a terminal, or pass --yes; nothing was written")
	}
	p.stderr.ask("Ask Rolekeeper to do this? Type yes:")
	answer := make(chan string, 1)
	go func() { // reading does not end with the context
		line, _ := bufio.NewReader(p.stdin).ReadString('\n') // what cannot be read is not yes
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return fmt.Errorf("%w; nothing was written", ctx.Err())
	case a := <-answer:
		if a != "yes" {
			return errors.New("not confirmed; nothing was written")
		}
		return nil
	}
}

// write puts a request where there is none of its id. One for no config is for
// the whole fleet.
func (s stack) write(ctx context.Context, r model.Request) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("request %s: %w", r.ID, err)
	}
	key := naming.RequestKey(r.Config, r.ID)
	if r.Config == "" {
		key = naming.FleetRequestKey(r.ID)
	}
	_, err = s.account.requests.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket.name, Key: &key, Body: bytes.NewReader(body), IfNoneMatch: aws.String("*"),
		ContentType: aws.String("application/json"), ExpectedBucketOwner: &s.account.id,
	})
	if httpStatus(err) == http.StatusForbidden {
		return fmt.Errorf("%w (you are %s; only those may write requests whom the stack's parameter OperatorPrincipalArns names, %s, and whose own policies allow it)",
			awserr.Wrap(err, "put s3://%s/%s", s.bucket.name, key), s.account.caller, strings.Join(s.settings.OperatorPrincipalArns, ", "))
	}
	return awserr.Wrap(err, "put s3://%s/%s", s.bucket.name, key)
}

// await waits for the answer to a request and shows it.
func (p program) await(ctx context.Context, b bucket, r model.Request) error {
	var s status.Status
	for range pollFor / pollEvery {
		if err := p.sleep(ctx, pollEvery); err != nil {
			return fmt.Errorf("%w; the request stands, and the answer will be in `rolekeeper status %s`", err, r.Config)
		}
		var err error
		s, err = b.status(ctx, r.Config)
		if err != nil && !errors.Is(err, fault.ErrNotFound) && fault.Of(err) != fault.Retry {
			return b.unreadable(err)
		}
		i := slices.IndexFunc(s.Requests, func(a status.Request) bool { return a.ID == r.ID })
		if i < 0 {
			continue
		}
		answer := s.Requests[i]
		p.stdout.line("request %s: %s: %s", answer.ID, answer.Outcome, answer.Message)
		p.buildsText(s, r)
		if answer.Outcome == status.RequestRefused {
			return errProblems
		}
		blockedText(p.stdout, s, slices.Sorted(maps.Keys(r.Plans)))
		return nil
	}
	p.buildsText(s, r)
	return fmt.Errorf("no answer within %v: the request stands until %s; look with `rolekeeper status %s`, and when it has none, "+
		"ask the platform team to look into the dead letters", pollFor, moment(r.Expires), r.Config)
}

// buildsText tells where the newest build stands of an agent that a build was
// asked for.
func (p program) buildsText(s status.Status, r model.Request) {
	if r.Action != model.BuildImage {
		return
	}
	for name := range r.Plans { // there is one
		if a, _ := s.Agent(name); a.Build != nil {
			buildText(p.stdout, *a.Build)
		}
	}
}

// blockedText tells what of the agents stays blocked, for other reasons than the
// request was for.
func blockedText(t *terminal, s status.Status, agents []string) {
	for _, name := range agents {
		a, _ := s.Agent(name)
		for _, b := range a.BlockedBy {
			t.line("agent %s stays blocked by %s: %s [%s]", name, b.ARN, b.Fix, b.Kind)
		}
	}
}
