package awsfake

// logGroups is what an account has of CloudWatch Logs.
type logGroups struct{}

func newLogGroups() *logGroups { return &logGroups{} }

func (g *logGroups) clone() *logGroups { out := *g; return &out }
