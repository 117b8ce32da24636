package proxy

import (
	"encoding/json"
	"regexp"
	"strings"
)

// statement is what is checked of a policy statement.
type statement struct {
	Effect                string
	Principal             json.RawMessage
	NotPrincipal          json.RawMessage
	Action, NotAction     oneOrMany
	Resource, NotResource json.RawMessage
	Condition             json.RawMessage
	SID                   string `json:"Sid"`
}

// oneOrMany is a string or a list of strings, as policies have them.
type oneOrMany []string

// UnmarshalJSON reads either form.
func (m *oneOrMany) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*m = oneOrMany{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(m))
}

func parseStatements(document string) ([]statement, *violation) {
	var doc struct {
		Version   string
		ID        string `json:"Id"`
		Statement json.RawMessage
	}
	d := json.NewDecoder(strings.NewReader(document))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		return nil, malformed("This policy contains invalid Json")
	}
	var list []json.RawMessage
	if json.Unmarshal(doc.Statement, &list) != nil {
		list = []json.RawMessage{doc.Statement}
	}
	if len(list) == 0 || doc.Version != "" && doc.Version != "2012-10-17" && doc.Version != "2008-10-17" {
		return nil, malformed("Syntax errors in policy.")
	}
	var out []statement
	for _, raw := range list {
		var s statement
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.DisallowUnknownFields()
		if err := d.Decode(&s); err != nil || s.Effect != "Allow" && s.Effect != "Deny" {
			return nil, malformed("Syntax errors in policy.")
		}
		out = append(out, s)
	}
	return out, nil
}

var (
	servicePrincipal = regexp.MustCompile(`\A[a-z0-9.-]+\.amazonaws\.com(\.cn)?\z`)
	awsPrincipal     = regexp.MustCompile(`\A(\*|\d{12}|A[A-Z0-9]{15,127}|arn:aws[a-z-]*:(iam|sts)::\d{12}:[\w+=,.@/-]+)\z`)
)

// checkTrust does what IAM requires of a trust policy; moto's CreateRole takes
// any text.
func checkTrust(document string) *violation {
	if len(document) > maxTrust {
		return limit("Cannot exceed quota for ACLSizePerRole: %d", maxTrust)
	}
	statements, v := parseStatements(document)
	if v != nil {
		return v
	}
	for _, s := range statements {
		if s.Resource != nil || s.NotResource != nil {
			return malformed("Has prohibited field Resource")
		}
		if s.Principal == nil && s.NotPrincipal == nil {
			return malformed("AssumeRolepolicy contained an invalid principal: missing")
		}
		if len(s.Action) == 0 && len(s.NotAction) == 0 {
			return malformed("Missing required field Action")
		}
		for _, a := range append(append(oneOrMany{}, s.Action...), s.NotAction...) {
			if !strings.HasPrefix(strings.ToLower(a), "sts:") {
				return malformed("AssumeRole policy may only specify STS AssumeRole actions, not %s", a)
			}
		}
		if s.Principal != nil {
			if v := checkPrincipal(s.Principal); v != nil {
				return v
			}
		}
	}
	return nil
}

func checkPrincipal(raw json.RawMessage) *violation {
	if string(raw) == `"*"` {
		return nil
	}
	var kinds map[string]oneOrMany
	if json.Unmarshal(raw, &kinds) != nil || len(kinds) == 0 {
		return malformed("Invalid principal in policy")
	}
	for kind, names := range kinds {
		if len(names) == 0 {
			return malformed("Invalid principal in policy: no %s", kind)
		}
		for _, name := range names {
			ok := false
			switch kind {
			case "Service":
				ok = servicePrincipal.MatchString(name)
			case "AWS":
				ok = awsPrincipal.MatchString(name)
			case "Federated", "CanonicalUser":
				ok = name != ""
			}
			if !ok {
				return malformed("Invalid principal in policy: %q:%q", strings.ToUpper(kind), name)
			}
		}
	}
	return nil
}
