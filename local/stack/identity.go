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
	"AWS::S3::BucketPolicy":   "moto would apply it without its conditions and answer 403 to everything",
	"AWS::SQS::QueuePolicy":   "moto does not evaluate queue policies",
	"AWS::CloudWatch::Alarm":  "nothing evaluates alarms here",
	"AWS::Lambda::Permission": "the host invokes without asking",
	"AWS::Logs::LogGroup":     "a function's log is a file",
}

// identity gives the names that the resource will have. Unnamed resources are
// called <stack>-<logical id>, without CloudFormation's random part.
func (r *resolver) identity(logical string) (identity, error) {
	res, ok := r.template.Resources[logical]
	if !ok {
		return identity{}, fmt.Errorf("no resource or parameter %s", logical)
	}
	if made, err := r.isMade(res); err != nil || !made {
		return identity{}, fmt.Errorf("resource %s is not made, its condition does not hold (%v)", logical, err)
	}
	leave, err := r.enter("the name of " + logical)
	if err != nil {
		return identity{}, err
	}
	defer leave()
	name := func(property string) (string, error) {
		v, given := res.Properties[property]
		if !given {
			return r.place.Name + "-" + logical, nil
		}
		v, err := r.value(v)
		return text(v), err
	}
	switch res.Type {
	case "AWS::S3::Bucket":
		n, err := name("BucketName")
		n = strings.ToLower(n)
		return identity{n, map[string]string{"Arn": "arn:" + r.place.Partition + ":s3:::" + n}}, err
	case "AWS::SQS::Queue":
		n, err := name("QueueName")
		if fifo := text(res.Properties["FifoQueue"]) == "true"; fifo && !strings.HasSuffix(n, ".fifo") {
			n += ".fifo"
		}
		url := r.place.Endpoint + "/" + r.place.Account + "/" + n
		return identity{url, map[string]string{"Arn": r.arn("sqs", n), "QueueName": n, "QueueUrl": url}}, err
	case "AWS::IAM::Role":
		n, err := name("RoleName")
		return identity{n, map[string]string{"Arn": r.iamARN("role" + rolePath(res) + n)}}, err
	case "AWS::IAM::ManagedPolicy":
		n, err := name("ManagedPolicyName")
		arn := r.iamARN("policy" + rolePath(res) + n)
		return identity{arn, map[string]string{"PolicyArn": arn}}, err
	case "AWS::Lambda::Function":
		n, err := name("FunctionName")
		return identity{n, map[string]string{"Arn": r.arn("lambda", "function:"+n)}}, err
	case "AWS::Events::Rule":
		n, err := name("Name")
		return identity{n, map[string]string{"Arn": r.arn("events", "rule/"+n)}}, err
	case "AWS::Logs::LogGroup":
		n, err := name("LogGroupName")
		return identity{n, map[string]string{"Arn": r.arn("logs", "log-group:"+n+":*")}}, err
	case "AWS::CloudWatch::Alarm":
		n, err := name("AlarmName")
		return identity{n, map[string]string{"Arn": r.arn("cloudwatch", "alarm:"+n)}}, err
	default:
		return identity{r.place.Name + "-" + logical, map[string]string{}}, nil
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
