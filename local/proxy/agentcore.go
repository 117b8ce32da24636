package proxy

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/smithy-go"

	"rolekeeper/local/bus"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/naming"
)

// agentCore is AgentCore's control plane, which is no part of moto to speak of:
// its runtimes go at once, and their ARNs are not AWS's.
type agentCore struct {
	cloud *awsfake.Cloud
	clock sync.Mutex
	now   func() time.Time

	mirror sync.Mutex // held while moto learns of service-linked roles
}

// How long it takes here to make or change something, and to delete it.
const (
	agentCoreMaking   = 100 * time.Millisecond
	agentCoreDeleting = 300 * time.Millisecond

	linkedDeleting  = 500 * time.Millisecond // of a service-linked role
	accessReporting = 200 * time.Millisecond // of a report on last accesses
)

func (p *Proxy) startAgentCore() {
	c := awsfake.New()
	c.Account, c.Region, c.Partition = p.o.Account, p.o.Region, naming.Partition(p.o.Region)
	c.SettleAgentCore(agentCoreMaking, agentCoreDeleting)
	c.SettleLinkedRoles(linkedDeleting, accessReporting)
	c.AssumeAgentCoreRoles(p.trustsAgentCore)
	c.WatchAgentCore(func(e awsfake.TrailEvent) {
		p.o.Bus.Publish(bus.Event{Source: awsfake.TrailEventSource, DetailType: awsfake.TrailEventDetailType, Time: e.Time, Detail: e.Detail})
	})
	p.agentCore.cloud, p.agentCore.now = c, time.Now
}

// SetAgentCoreClock has AgentCore go by another clock than this machine's: what
// it takes its time for then takes as much of a test's.
func (p *Proxy) SetAgentCoreClock(now func() time.Time) {
	p.agentCore.clock.Lock()
	defer p.agentCore.clock.Unlock()
	p.agentCore.now = now
}

// AgentCore is the account's AgentCore control plane in its Region and, by Abroad,
// in others, with the service-linked roles and network interfaces that it has, to
// set what becomes of them and when. Nothing else in it is used.
func (p *Proxy) AgentCore() *awsfake.Cloud {
	p.agentCore.clock.Lock()
	defer p.agentCore.clock.Unlock()
	p.agentCore.cloud.Advance(p.agentCore.now().Sub(p.agentCore.cloud.Now()))
	return p.agentCore.cloud
}

func (p *Proxy) answerAgentCore(ctx context.Context, c Call, r *http.Request, body []byte) answer {
	status, out, err := p.in(c.Region).ServeAgentCore(c.Caller, r.Method, r.URL.Path, r.URL.RawQuery, body)
	if err := p.mirror(ctx); err != nil {
		return refuse(c, http.StatusBadGateway, "LocalBackend", "moto: "+err.Error())
	}
	var api smithy.APIError
	switch {
	case errors.As(err, &api):
		return refuse(c, status, api.ErrorCode(), api.ErrorMessage())
	case err != nil:
		return refuse(c, http.StatusInternalServerError, "InternalServerException", err.Error())
	}
	return answer{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: out}
}

// trustsAgentCore asks moto whether a role lets AgentCore assume it for a
// resource. What cannot be read is not trusted.
func (p *Proxy) trustsAgentCore(role, source string) bool {
	a, err := p.ownIAM(context.Background(), url.Values{"Action": {"GetRole"}, "RoleName": {role[strings.LastIndexByte(role, '/')+1:]}})
	var out struct {
		ARN   string `xml:"GetRoleResult>Role>Arn"`
		Trust string `xml:"GetRoleResult>Role>AssumeRolePolicyDocument"`
	}
	if err != nil || !a.ok() || xml.Unmarshal(a.body, &out) != nil {
		return false
	}
	trust, err := url.PathUnescape(out.Trust)
	return err == nil && out.ARN == role && awsfake.Trusts(trust, "bedrock-agentcore.amazonaws.com", source, p.o.Account)
}
