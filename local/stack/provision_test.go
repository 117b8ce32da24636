package stack

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local/bus"
	"rolekeeper/local/mototest"
	"rolekeeper/local/proxy"
)

func TestBucketPoliciesAndParametersAreMade(t *testing.T) {
	s, err := Resolve(template(t, `{"Resources":{
		"Object":{"Type":"AWS::S3::Bucket"},"Text":{"Type":"AWS::S3::Bucket"},
		"ObjectPolicy":{"Type":"AWS::S3::BucketPolicy","Properties":{"Bucket":{"Ref":"Object"},
			"PolicyDocument":{"Statement":[{"Effect":"Deny","Resource":{"Fn::Sub":"${Object.Arn}/*"}}]}}},
		"TextPolicy":{"Type":"AWS::S3::BucketPolicy","Properties":{"Bucket":{"Ref":"Text"},
			"PolicyDocument":{"Fn::Sub":"{\"Statement\": [{\"Effect\": \"Deny\", \"Resource\": \"${Text.Arn}/*\"}]}"}}},
		"Settings":{"Type":"AWS::SSM::Parameter","Properties":{"Type":"String","Tier":"Advanced","Name":{"Fn::Sub":"/${AWS::StackName}/settings"},
			"Value":{"Fn::Sub":"{\"bucket\": \"${Object}\"}"}}}},
	"Outputs":{"Settings":{"Value":{"Ref":"Settings"}}}}`), place, nil)
	if err != nil {
		t.Fatal(err)
	}
	denying := func(resource string) any {
		return map[string]any{"Statement": []any{map[string]any{"Effect": "Deny", "Resource": resource}}}
	}
	for logical, want := range map[string]any{"ObjectPolicy": denying("arn:aws:s3:::s-object/*"), "TextPolicy": denying("arn:aws:s3:::s-text/*")} {
		if diff := cmp.Diff(want, s.Resources[logical].Properties["PolicyDocument"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", logical, diff)
		}
	}

	p := proxy.New(proxy.Options{
		Backend: mototest.Start(t).URL, Account: place.Account, Region: place.Region, TimeScale: 1,
		Bus: bus.New(t.Context(), place.Account, place.Region, func(context.Context, string, string, []byte) error { return nil }),
	})
	server := httptest.NewServer(p)
	defer server.Close()
	cfg := aws.Config{
		Region: place.Region, BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider(p.AccessKey("deployer"), "secret", ""),
	}
	if err := s.Provision(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	buckets := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	for bucket, logical := range map[string]string{"s-object": "ObjectPolicy", "s-text": "TextPolicy"} {
		got, err := buckets.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: &bucket})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.Resources[logical].Properties["PolicyDocument"], parse(t, aws.ToString(got.Policy))); diff != "" {
			t.Errorf("policy of %s (-want +got):\n%s", bucket, diff)
		}
	}
	got, err := ssm.NewFromConfig(cfg).GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String(s.Outputs["Settings"])})
	if err != nil || aws.ToString(got.Parameter.Value) != `{"bucket": "s-object"}` || aws.ToString(got.Parameter.Name) != "/s/settings" {
		t.Errorf("the parameter is %+v (%v)", got, err)
	}
}
