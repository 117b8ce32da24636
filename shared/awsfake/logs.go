package awsfake

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// logGroups is what an account has of CloudWatch Logs: log groups by name.
type logGroups struct{ groups map[string]*LogGroup }

// LogGroup is a log group.
type LogGroup struct {
	RetentionDays int32 // 0 keeps everything
	Tags          map[string]string
}

func newLogGroups() *logGroups { return &logGroups{map[string]*LogGroup{}} }

func (l *logGroups) clone() *logGroups {
	out := newLogGroups()
	for name, g := range l.groups {
		out.groups[name] = &LogGroup{g.RetentionDays, maps.Clone(g.Tags)}
	}
	return out
}

// Logs is the client of one caller.
type Logs struct {
	cloud  *Cloud
	caller string
}

// Logs gives the client of a caller.
func (c *Cloud) Logs(caller string) *Logs { return &Logs{c, caller} }

// LogGroups gives all log groups by name, without a call.
func (c *Cloud) LogGroups() map[string]LogGroup {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]LogGroup{}
	for name, g := range c.logs.clone().groups {
		all[name] = *g
	}
	return all
}

func (l *Logs) call(operation string, name *string, carryOut func(name string) error) error {
	return l.cloud.call(l.caller, "logs", operation, aws.ToString(name), func() error {
		n := aws.ToString(name)
		if !validLogGroup.MatchString(n) || strings.HasPrefix(n, "aws/") {
			return &types.InvalidParameterException{Message: aws.String("Log group name is not valid: " + n)}
		}
		return carryOut(n)
	})
}

// validLogGroup and retentions are what CreateLogGroup and PutRetentionPolicy
// take (CloudWatch Logs API reference).
var (
	validLogGroup = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]{1,512}$`)
	retentions    = []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
)

// CreateLogGroup is logs:CreateLogGroup.
func (l *Logs) CreateLogGroup(_ context.Context, in *cloudwatchlogs.CreateLogGroupInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.CreateLogGroupOutput, error) {
	return &cloudwatchlogs.CreateLogGroupOutput{}, l.call("CreateLogGroup", in.LogGroupName, func(name string) error {
		if _, taken := l.cloud.logs.groups[name]; taken {
			return &types.ResourceAlreadyExistsException{Message: aws.String("The specified log group already exists")}
		}
		if len(in.Tags) > 50 {
			return &types.InvalidParameterException{Message: aws.String("Too many tags")}
		}
		l.cloud.logs.groups[name] = &LogGroup{Tags: maps.Clone(in.Tags)}
		return nil
	})
}

// PutRetentionPolicy is logs:PutRetentionPolicy.
func (l *Logs) PutRetentionPolicy(_ context.Context, in *cloudwatchlogs.PutRetentionPolicyInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.PutRetentionPolicyOutput, error) {
	return &cloudwatchlogs.PutRetentionPolicyOutput{}, l.call("PutRetentionPolicy", in.LogGroupName, func(name string) error {
		if !slices.Contains(retentions, aws.ToInt32(in.RetentionInDays)) {
			return &types.InvalidParameterException{Message: aws.String("1 validation error detected: Value at 'retentionInDays' failed to satisfy constraint")}
		}
		g, there := l.cloud.logs.groups[name]
		if !there {
			return &types.ResourceNotFoundException{Message: aws.String("The specified log group does not exist.")}
		}
		g.RetentionDays = *in.RetentionInDays
		return nil
	})
}

// DeleteLogGroup is logs:DeleteLogGroup.
func (l *Logs) DeleteLogGroup(_ context.Context, in *cloudwatchlogs.DeleteLogGroupInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.DeleteLogGroupOutput, error) {
	return &cloudwatchlogs.DeleteLogGroupOutput{}, l.call("DeleteLogGroup", in.LogGroupName, func(name string) error {
		if _, there := l.cloud.logs.groups[name]; !there {
			return &types.ResourceNotFoundException{Message: aws.String("The specified log group does not exist.")}
		}
		delete(l.cloud.logs.groups, name)
		return nil
	})
}
