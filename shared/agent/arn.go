package agent

import (
	"fmt"
	"strings"

	"rolekeeper/shared/expression"
)

// arn is an ARN in its parts: arn:partition:service:region:account:resource.
type arn struct{ partition, service, region, account, resource string }

func splitARN(s string) (arn, bool) {
	parts := strings.SplitN(s, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return arn{}, false
	}
	return arn{parts[1], parts[2], parts[3], parts[4], parts[5]}, true
}

var (
	accountID = expression.Lazy(`\A[0-9]{12}\z`)
	regionID  = expression.Lazy(`\A[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}\z`)
)

// foreign says in what an ARN is not of p, "" when it is. Services without
// regions (IAM) leave the region empty.
func (p Place) foreign(a arn) string {
	switch {
	case a.partition != p.Partition:
		return fmt.Sprintf("partition %s, not %s", quoted(a.partition), p.Partition)
	case a.account != p.Account:
		return fmt.Sprintf("account %s, not %s", quoted(a.account), p.Account)
	case a.region != "" && a.region != p.Region:
		return fmt.Sprintf("region %s, not %s", quoted(a.region), p.Region)
	}
	return ""
}

// agentCoreARN gives the ARN of a resource of AgentCore in p.
func (p Place) agentCoreARN(resource string) string {
	return fmt.Sprintf("arn:%s:bedrock-agentcore:%s:%s:%s", p.Partition, p.Region, p.Account, resource)
}
