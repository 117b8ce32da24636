package desired_test

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/desired"
	"rolekeeper/shared/policy"
)

var update = flag.Bool("update", false, "write the golden files")

// The stack's template holds the boundary as this file does; a test of the
// template compares them.
func TestTheBoundaryIsTheOneTheTemplateHolds(t *testing.T) {
	const golden = "testdata/boundary.golden.json"
	d := desired.Boundary(agent.Place{
		Partition: "${AWS::Partition}", Region: "${AWS::Region}", Account: "${AWS::AccountId}",
	}, "${SourceBucketName}")
	if *update {
		var indented any
		if err := json.Unmarshal([]byte(d.JSON()), &indented); err != nil {
			t.Fatal(err)
		}
		out, err := json.MarshalIndent(indented, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, append(out, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !d.Same(string(raw)) {
		t.Errorf("%s differs from the code; run the test with -update and change the template too", golden)
	}
}

func TestTheBoundaryFitsIntoAManagedPolicyEverywhere(t *testing.T) {
	for _, place := range []agent.Place{
		{Partition: "aws", Region: "us-west-2", Account: "123456789012"},
		{Partition: "aws-iso-f", Region: "us-isof-south-1", Account: "123456789012"},
		{Partition: "aws-us-gov", Region: "us-gov-west-1", Account: "123456789012"},
		{Partition: "aws-cn", Region: "cn-northwest-1", Account: "123456789012"},
	} {
		t.Run(place.Region, func(t *testing.T) {
			d := desired.Boundary(place, strings.Repeat("b", 63))
			if d.Size() > policy.MaxManaged {
				t.Errorf("%d characters, IAM allows %d", d.Size(), policy.MaxManaged)
			}
			for _, s := range d.Statements {
				for _, r := range s.Resources {
					owned := strings.HasPrefix(r, "arn:"+place.Partition+":bedrock-agentcore:"+place.Region+":aws:")
					models := r == "arn:"+place.Partition+":bedrock:*::foundation-model/*"
					bucket := strings.HasPrefix(r, "arn:"+place.Partition+":s3:::bbb")
					here := strings.HasPrefix(r, "arn:"+place.Partition+":") && strings.Contains(r, ":"+place.Region+":"+place.Account+":")
					if !owned && !models && !bucket && !here && r != "*" {
						t.Errorf("%s reaches %s", s.Sid, r)
					}
				}
			}
		})
	}
}

func TestTheBoundaryLetsNobodyEscalate(t *testing.T) {
	for _, s := range desired.Boundary(place, "b").Statements {
		if s.Effect != policy.Allow || s.NotActions != nil || s.NotResources != nil {
			t.Errorf("%s is not a plain grant", s.Sid)
		}
		for _, a := range s.Actions {
			service, name, ok := strings.Cut(a, ":")
			if !ok || strings.Contains(a, "*") || service == "iam" || strings.HasPrefix(name, "AssumeRole") {
				t.Errorf("%s grants %s", s.Sid, a)
			}
		}
	}
}
