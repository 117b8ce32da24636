package awsfake

import (
	"strings"
	"time"
)

// Trailed is a call as CloudTrail records it.
type Trailed struct {
	Account, Region string
	Source, Name    string // eventSource and eventName
	Time            time.Time
	ID              string // no other call's
	Role            string // ARN of the role of the session that called, which has the role's name
	Request         any
	Response        any // nil: there was nothing to tell
	Resources       []any
	ErrorCode       string // empty: the call did what it was to
	ErrorMessage    string
}

// Detail gives the detail of the event about the call (CloudTrail user guide,
// "CloudTrail record contents").
func (t Trailed) Detail() map[string]any {
	name := t.Role[strings.LastIndexByte(t.Role, '/')+1:]
	d := map[string]any{
		"eventVersion": "1.09", "eventTime": t.Time.UTC().Format(time.RFC3339), "eventSource": t.Source, "eventName": t.Name,
		"awsRegion": t.Region, "sourceIPAddress": "192.0.2.1", "userAgent": "aws-sdk-go-v2", "readOnly": false, "eventType": "AwsApiCall",
		"requestID": "request-" + t.ID, "eventID": "record-" + t.ID, "managementEvent": true,
		"recipientAccountId": t.Account, "eventCategory": "Management", "requestParameters": t.Request, "responseElements": t.Response,
		"userIdentity": map[string]any{
			"type": "AssumedRole", "principalId": "AROAEXAMPLE:" + name, "accountId": t.Account, "accessKeyId": "ASIAEXAMPLE",
			"arn": strings.NewReplacer(":iam:", ":sts:", ":role/", ":assumed-role/").Replace(t.Role) + "/" + name,
			"sessionContext": map[string]any{"sessionIssuer": map[string]any{
				"type": "Role", "principalId": "AROAEXAMPLE", "arn": t.Role, "accountId": t.Account, "userName": name,
			}},
		},
	}
	if t.ErrorCode != "" {
		d["errorCode"], d["errorMessage"] = t.ErrorCode, t.ErrorMessage
	}
	if t.Resources != nil {
		d["resources"] = t.Resources
	}
	return d
}
