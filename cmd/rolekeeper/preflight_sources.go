package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"rolekeeper/shared/naming"
	"rolekeeper/shared/policy"
)

// maxBucketName is the longest name of a bucket (S3 user guide, "General purpose
// bucket naming rules").
const maxBucketName = 63

// sources looks at the bucket with the agents' sources: whether the stack can
// make it, or what one that is there lacks.
func (i *inspection) sources(ctx context.Context) []finding {
	const check = "source-bucket"
	if err := i.unsettled("source-bucket"); err != nil {
		return []finding{notRead(check, naming.SourceBucket(i.id, i.region), err)}
	}
	given := i.flags.sourceBucket != ""
	name := cmp.Or(i.flags.sourceBucket, naming.SourceBucket(i.id, i.region))
	const another = "make a bucket of another name in this Region, deploy with SourceBucketName=<its name>, and run preflight with --source-bucket"
	if len(name) > maxBucketName {
		return []finding{found(check, name, levelBad, "the name has %d characters, since the Region's name is long, and S3 allows %d", len(name), maxBucketName).fixed(another)}
	}
	place, err := i.bucketPlace(ctx, name)
	f := found(check, name, levelOK, "there")
	switch {
	case err != nil:
		return []finding{notRead(check, name, err)}
	case place == bucketForeign:
		return []finding{found(check, name, levelBad, "belongs to another account: do not upload to it").fixed(another)}
	case place == bucketElsewhere:
		return []finding{found(check, name, levelBad, "there, but in another Region, where its events stay").fixed(another)}
	case place == bucketAbsent && given:
		return []finding{found(check, name, levelBad, "not there").fixed("make it, or pass no SourceBucketName and the stack makes a bucket")}
	case !given:
		f = i.taken(check, name, place == bucketHere, nil,
			"deploy with SourceBucketName="+name+", and the stack uses the bucket as it is")
	}
	if place == bucketAbsent {
		return []finding{f}
	}
	return []finding{f, i.sourceVersions(ctx, name), i.sourceEvents(ctx, name), i.sourcePolicy(ctx, name)}
}

// s3api gives a command on a bucket of this account.
func (i *inspection) s3api(operation, bucket string, words ...string) string {
	return i.command(append([]string{"s3api", operation, "--bucket", bucket, "--expected-bucket-owner", i.id}, words...)...)
}

func (i *inspection) sourceVersions(ctx context.Context, name string) finding {
	const check = "source-bucket-versioning"
	on, err := i.versioned(ctx, name)
	switch {
	case err != nil:
		return notRead(check, name, err)
	case on:
		return found(check, name, levelOK, "on")
	}
	return found(check, name, levelWarning, "off: nothing is built, since a source could change before its build gets it").
		fixed("turn it on, and have the sources uploaded again: what was there before has no version to build", i.s3api("put-bucket-versioning", name, "--versioning-configuration", "Status=Enabled"))
}

func (i *inspection) sourceEvents(ctx context.Context, name string) finding {
	const check = "source-bucket-events"
	there, err := i.notifications(ctx, name)
	switch {
	case err != nil:
		return notRead(check, name, err)
	case there.EventBridgeConfiguration != nil:
		return found(check, name, levelOK, "go to EventBridge")
	}
	there.EventBridgeConfiguration = &s3types.EventBridgeConfiguration{}
	return found(check, name, levelWarning, "do not go to EventBridge: nothing is built, since new sources would not be noticed").
		fixed("turn them on, and have the sources uploaded again that came before; the command replaces the bucket's notifications, so it has those that are there",
			i.s3api("put-bucket-notification-configuration", name, "--notification-configuration", compact(withoutNulls(there))))
}

func (i *inspection) sourcePolicy(ctx context.Context, name string) finding {
	const check = "source-bucket-policy"
	if err := i.unsettled("team-tag"); err != nil {
		return notRead(check, name, err)
	}
	there, err := i.bucketPolicy(ctx, name)
	if err != nil {
		return notRead(check, name, err)
	}
	merged, missing, others, err := withStatements(there, i.sourceStatements(name))
	if err != nil {
		return notRead(check, name, fmt.Errorf("policy of bucket %s: %w", name, err))
	}
	if len(missing) == 0 {
		return found(check, name, levelOK, "has the statements that the stack gives a bucket of its own")
	}
	f := found(check, name, levelWarning, "lacks statements that the stack gives a bucket of its own: %s", strings.Join(missing, ", ")).
		fixed("add them; the command replaces the bucket's policy, so it has what is there", i.s3api("put-bucket-policy", name, "--policy", merged))
	switch {
	case slices.ContainsFunc(missing, func(sid string) bool { return sid != tlsOnly && sid != agentsOnlyRead }):
		f.Level = levelBad
		f.What += "; teams can replace each other's sources"
	case slices.Contains(missing, agentsOnlyRead):
		f.What += "; in profile toolkit every build can replace every agent's source"
	}
	for _, sid := range others {
		f.Details = append(f.Details, fmt.Sprintf("its own statement %s says something else and stays; take it out when it was for another TeamTag", sid))
	}
	return f
}

// Statements of a source bucket without teams.
const (
	tlsOnly        = "TlsOnly"
	agentsOnlyRead = "AgentsOnlyRead"
)

// sourceStatements gives the policy of the stack's own source bucket, as
// template.yaml has it.
func (i *inspection) sourceStatements(bucket string) []policy.Statement {
	arn := fmt.Sprintf("arn:%s:s3:::%s", naming.Partition(i.region), bucket)
	everybody := policy.Principals{policy.AWS: {"*"}}
	role := func(prefix string) string {
		return fmt.Sprintf("arn:%s:iam::%s:role/%s%s-??????????", naming.Partition(i.region), i.id, prefix, i.region)
	}
	write := policy.Statement{Effect: policy.Deny, Principals: everybody, Actions: []string{"s3:PutObject*", "s3:DeleteObject*", "s3:Replicate*"}}
	agents := write
	agents.Sid, agents.Resources = agentsOnlyRead, []string{arn + "/*"}
	statements := []policy.Statement{
		policy.Statement{
			Sid: tlsOnly, Effect: policy.Deny, Principals: everybody, Actions: []string{"s3:*"}, Resources: []string{arn, arn + "/*"},
		}.With("Bool", "aws:SecureTransport", "false"),
		agents.With("ArnLike", "aws:PrincipalArn", role(naming.RuntimeRolePrefix), role(naming.BuildRolePrefix)),
	}
	if i.flags.teamTag == "" {
		return statements
	}
	tag := "aws:PrincipalTag/" + i.flags.teamTag
	without, path, own := write, write, write
	without.Sid, without.Resources = "NobodyWithoutTeamWritesSources", []string{arn + "/*"}
	path.Sid, path.Resources = "NoTeamIsAPath", []string{arn + "/*"}
	own.Sid, own.NotResources = "TeamsWriteTheirOwnSources", []string{arn + "/${" + tag + "}/*"}
	return append(statements, without.With("StringNotLike", tag, "?*"), path.With("StringLike", tag, "*/*"), own)
}

// withStatements adds to a bucket's policy, empty for none, those of the
// statements that it does not have in meaning. It gives the Sids of what it
// added, and those of them that the policy has for others of its statements.
func withStatements(there string, statements []policy.Statement) (merged string, added, others []string, err error) {
	var d policy.Document
	if there != "" {
		if d, err = policy.Parse(there); err != nil {
			return "", nil, nil, err
		}
	}
	// Only the newer language has variables; in the older "${" is text.
	if d.Version != policy.Version2012 {
		if strings.Contains(there, "${") {
			return "", nil, nil, fmt.Errorf("\"${\" is text in version %q and a variable in %q: bring the policy to the newer version by hand", d.Version, policy.Version2012)
		}
		d.Version = policy.Version2012
	}
	sids := map[string]bool{}
	for _, s := range d.Statements {
		sids[s.Sid] = true
	}
	for _, s := range statements {
		if slices.ContainsFunc(d.Statements, func(t policy.Statement) bool { return policy.New(t).Equal(policy.New(s)) }) {
			continue
		}
		added = append(added, s.Sid)
		if sids[s.Sid] { // names are unique in a policy, and need not be there
			others = append(others, s.Sid)
			s.Sid = ""
		}
		d.Statements = append(d.Statements, s)
	}
	return string(escapeJSON([]byte(d.JSON()))), added, others, nil
}

// compact writes texts, lists, maps and structs of them as JSON of printable
// characters, as a command takes it.
func compact(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // cannot be refused: see above
	return string(escapeJSON(bytes.TrimSpace(b.Bytes())))
}

// withoutNulls leaves out of a type of the SDK what is not set: the AWS CLI
// takes the same names, and no nulls.
func withoutNulls(v any) any {
	var tree any
	_ = json.Unmarshal([]byte(compact(v)), &tree) // it was just written
	var prune func(any) any
	prune = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k, item := range v {
				if item == nil {
					delete(v, k)
				} else {
					v[k] = prune(item)
				}
			}
		case []any:
			for n, item := range v {
				v[n] = prune(item)
			}
		}
		return v
	}
	return prune(tree)
}
