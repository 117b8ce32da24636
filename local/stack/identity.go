package stack

import (
	"fmt"
	"strings"
)

// identity is what the rest of a template can learn of a resource.
type identity struct {
	ref        string
	attributes map[string]string
}

// held are the types of which nothing is made: they are kept in the resolved
// stack, where tests can read them. Ref gives a made-up id.
var held = map[string]string{
	"AWS::SQS::QueuePolicy":      "moto does not evaluate queue policies",
	"AWS::CloudWatch::Alarm":     "nothing evaluates alarms here",
	"AWS::CloudWatch::Dashboard": "there are no metrics to show here",
	"AWS::KMS::Key":              "nothing is encrypted here",
	"AWS::Lambda::Permission":    "the host invokes without asking",
	"AWS::Logs::LogGroup":        "a function's log is a file",
	"AWS::Logs::MetricFilter":    "nothing counts the lines of logs here",
	"AWS::SNS::Subscription":     "there are no alarms to tell here",
	"AWS::SNS::Topic":            "there are no alarms to tell here",
	"AWS::SNS::TopicPolicy":      "there are no alarms to tell here",
}

// identity gives the names that the resource will have. Unnamed resources are
// called <stack>-<logical id>, without CloudFormation's random part.
func (r *resolver) identity(logical string) (identity, error) {
	res, ok := r.template.Resources[logical]
	if !ok {
		return identity{}, fmt.Errorf("no resource or parameter %s", logical)
	}
	made, err := r.isMade(res)
	if err != nil {
		return identity{}, err
	}
	if !made {
		return identity{}, fmt.Errorf("resource %s is not made: condition %s does not hold", logical, res.Condition)
	}
	leave, err := r.enter("the name of " + logical)
	if err != nil {
		return identity{}, err
	}
	defer leave()
	named, ok := named[res.Type]
	name := r.place.Name + "-" + logical
	if !ok {
		return identity{ref: name}, nil
	}
	if given, ok := res.Properties[named.property]; ok {
		v, err := r.value(given)
		if err != nil {
			return identity{}, err
		}
		name = text(v)
	}
	return named.identity(r, res, name), nil
}

// named are the types whose name is a property, and what follows from it.
var named = map[string]struct {
	property string
	identity func(r *resolver, res resource, name string) identity
}{
	"AWS::S3::Bucket": {"BucketName", func(r *resolver, _ resource, name string) identity {
		name = strings.ToLower(name)
		return identity{name, map[string]string{"Arn": "arn:" + r.place.Partition + ":s3:::" + name}}
	}},
	"AWS::SQS::Queue": {"QueueName", func(r *resolver, res resource, name string) identity {
		if text(res.Properties["FifoQueue"]) == "true" && !strings.HasSuffix(name, ".fifo") {
			name += ".fifo"
		}
		url := r.place.Endpoint + "/" + r.place.Account + "/" + name
		return identity{url, map[string]string{"Arn": r.arn("sqs", name), "QueueName": name, "QueueUrl": url}}
	}},
	"AWS::IAM::Role": {"RoleName", func(r *resolver, res resource, name string) identity {
		return identity{name, map[string]string{"Arn": r.iamARN("role" + rolePath(res) + name)}}
	}},
	"AWS::IAM::ManagedPolicy": {"ManagedPolicyName", func(r *resolver, res resource, name string) identity {
		arn := r.iamARN("policy" + rolePath(res) + name)
		return identity{arn, map[string]string{"PolicyArn": arn}}
	}},
	"AWS::SSM::Parameter": {"Name", func(_ *resolver, _ resource, name string) identity {
		return identity{name, nil}
	}},
	"AWS::SNS::Topic": {"TopicName", func(r *resolver, _ resource, name string) identity {
		arn := r.arn("sns", name)
		return identity{arn, map[string]string{"TopicArn": arn, "TopicName": name}}
	}},
	"AWS::KMS::Key": {"", func(r *resolver, _ resource, name string) identity {
		return identity{name, map[string]string{"Arn": r.arn("kms", "key/"+name), "KeyId": name}}
	}},
	"AWS::CloudWatch::Dashboard": {"DashboardName", func(_ *resolver, _ resource, name string) identity {
		return identity{name, nil}
	}},
	"AWS::Lambda::Function":    {"FunctionName", inRegion("lambda", "function:", "")},
	"AWS::Events::Rule":        {"Name", inRegion("events", "rule/", "")},
	"AWS::Logs::LogGroup":      {"LogGroupName", inRegion("logs", "log-group:", ":*")},
	"AWS::CloudWatch::Alarm":   {"AlarmName", inRegion("cloudwatch", "alarm:", "")},
	"AWS::Scheduler::Schedule": {"Name", inRegion("scheduler", "schedule/default/", "")},
}

// inRegion is the identity of what Ref names and an ARN in the region holds.
func inRegion(service, before, after string) func(*resolver, resource, string) identity {
	return func(r *resolver, _ resource, name string) identity {
		return identity{name, map[string]string{"Arn": r.arn(service, before+name+after)}}
	}
}

// iamARN: IAM's ARNs have no region.
func (r *resolver) iamARN(rest string) string {
	return "arn:" + r.place.Partition + ":iam::" + r.place.Account + ":" + rest
}

func rolePath(res resource) string {
	if p, ok := res.Properties["Path"].(string); ok {
		return p
	}
	return "/"
}

func (r *resolver) isMade(res resource) (bool, error) {
	if res.Condition == "" {
		return true, nil
	}
	return r.condition(res.Condition)
}
