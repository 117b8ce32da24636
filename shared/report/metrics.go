package report

import (
	"encoding/json"
	"fmt"
	"time"
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
	count := func(name string, n int) metric { return metric{name, "Count", float64(n)} }
	all := []metric{{"Duration", "Seconds", p.Seconds}, count("IAMCalls", p.Totals.IAMCalls)}
	if p.Failed == "" {
		all = append(all, count("Passes", 1))
	}
	if p.Failed == "" || p.FoundAt.IsZero() && p.Totals.Configs > 0 { // it failed when all was counted
		stopped := 0
		if p.Stopped != nil {
			stopped = 1
		}
		all = append(all, count("PassStopped", stopped),
			count("Configs", p.Totals.Configs), count("Agents", p.Totals.Agents), count("Roles", p.Totals.Roles),
			count("Drifted", p.Totals.Drifted), count("Outdated", p.Totals.Outdated), count("Refused", p.Totals.Refused), count("Unread", p.Totals.Unread),
			count("Orphans", p.Totals.Orphans), count("Retiring", p.Totals.Retiring), count("Blocked", p.Totals.Blocked),
			count("AccountRoles", p.Totals.AccountRoles))
		if p.Totals.RolesQuota > 0 {
			all = append(all, metric{"RolesOfQuota", "Percent", p.Totals.ofQuota()})
		}
	}
	return embedded(now, all...)
}

// ofQuota gives how many percent of the roles that the account may have it has.
func (t Totals) ofQuota() float64 { return 100 * float64(t.AccountRoles) / float64(t.RolesQuota) }

// Repaired gives the metric of n elements that reconcile put right, as Metrics
// does.
func Repaired(n int, now time.Time) ([]byte, error) {
	return embedded(now, metric{"Repaired", "Count", float64(n)})
}

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
