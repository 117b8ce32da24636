package report

import (
	"encoding/json"
	"fmt"
	"time"

	"rolekeeper/shared/model"
)

// MetricsNamespace is the CloudWatch namespace of all of Rolekeeper's metrics.
const MetricsNamespace = "Rolekeeper"

// metric is a value with its unit, one of those of CloudWatch's MetricDatum.
type metric struct {
	name  string
	unit  string
	value float64
}

// Metrics gives the metrics of a pass as one line for the log of a function,
// with its end, in CloudWatch's embedded metric format. What a pass that failed
// does not know is left out, and so is Passes: a pass that failed, or never
// came, is one that is missing.
func Metrics(p Pass, now time.Time) ([]byte, error) {
	all := []metric{{"Duration", "Seconds", p.Seconds}, amount("IAMCalls", p.Totals.IAMCalls)}
	if p.Failed == "" {
		all = append(all, amount("Passes", 1))
	}
	if p.Failed == "" || p.FoundAt.IsZero() && p.Totals.Configs > 0 { // it failed when all was counted
		stopped := 0
		if p.Stopped != nil {
			stopped = 1
		}
		all = append(all, amount("PassStopped", stopped),
			amount("Configs", p.Totals.Configs), amount("Agents", p.Totals.Agents), amount("Roles", p.Totals.Roles),
			amount("Drifted", p.Totals.Drifted), amount("Outdated", p.Totals.Outdated), amount("Refused", p.Totals.Refused), amount("Unread", p.Totals.Unread),
			amount("Orphans", p.Totals.Orphans), amount("Retiring", p.Totals.Retiring), amount("Blocked", p.Totals.Blocked),
			amount("AccountRoles", p.Totals.AccountRoles))
		if p.Totals.RolesQuota > 0 {
			all = append(all, metric{"RolesOfQuota", "Percent", p.Totals.OfQuota()})
		}
	}
	return embedded(now, all...)
}

// OfQuota gives how many percent of the roles that the account may have it has, where
// RolesQuota is known.
func (t Totals) OfQuota() float64 { return 100 * float64(t.AccountRoles) / float64(t.RolesQuota) }

// Repaired gives the metric of n elements that reconcile put right, as Metrics
// does.
func Repaired(n int, now time.Time) ([]byte, error) {
	return embedded(now, amount("Repaired", n))
}

// LinkedMetrics gives the metrics of a look at the service-linked roles, as Metrics
// does: how many have the verdicts that somebody should hear of, and that a look
// came to its end.
func LinkedMetrics(s model.ServiceLinkedRoles, now time.Time) ([]byte, error) {
	n := map[model.Verdict]int{}
	for _, r := range s.Roles {
		n[r.Verdict]++
	}
	return embedded(now,
		amount("ServiceLinkedRolesMissing", n[model.LinkedMissing]), amount("ServiceLinkedRolesIdle", n[model.LinkedIdle]),
		amount("ServiceLinkedRolesRemovable", n[model.LinkedRemovable]), amount("ServiceLinkedRolesRefused", n[model.LinkedRefused]),
		amount("ServiceLinkedRolesUnknown", n[model.LinkedUnknown]), amount("ServiceLinkedRoleLooks", 1))
}

func amount(name string, n int) metric { return metric{name, "Count", float64(n)} }

// embedded puts metrics without dimensions into one line of the embedded metric
// format:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func embedded(now time.Time, all ...metric) ([]byte, error) {
	type definition struct {
		Name string
		Unit string
	}
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []definition
	}
	type metadata struct {
		Timestamp         int64 // milliseconds since 1970
		CloudWatchMetrics []directive
	}
	d := directive{Namespace: MetricsNamespace, Dimensions: [][]string{{}}}
	line := map[string]any{}
	for _, m := range all {
		d.Metrics = append(d.Metrics, definition{m.name, m.unit})
		line[m.name] = m.value
	}
	line["_aws"] = metadata{now.UnixMilli(), []directive{d}}
	text, err := json.Marshal(line)
	if err != nil {
		return nil, fmt.Errorf("report: metrics: %w", err)
	}
	return append(text, '\n'), nil
}
