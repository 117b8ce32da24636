package settings

import (
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func lambdaEnv() map[string]string {
	return map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_EXECUTION_ENV": "AWS_Lambda_provided.al2023",
		"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
	}
}

// The SDK's own loader is the measure: a field that a later SDK sets and we do
// not shows here.
func TestTheConfigurationIsTheOneThatTheSDKLoads(t *testing.T) {
	for name, more := range map[string]map[string]string{
		"in Lambda":           {"AWS_RETRY_MODE": "standard", "AWS_MAX_ATTEMPTS": "4"},
		"nothing about retry": {},
		"adaptive retry":      {"AWS_RETRY_MODE": "adaptive"},
		"the local AWS":       {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AWS_MAX_ATTEMPTS": "1"},
		"keys of a user":      {"AWS_SESSION_TOKEN": ""},
	} {
		t.Run(name, func(t *testing.T) {
			environ := lambdaEnv()
			maps.Copy(environ, more)
			for _, clear := range []string{"AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS"} {
				t.Setenv(clear, "")
			}
			t.Setenv("AWS_CONFIG_FILE", os.DevNull)
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
			for name, value := range environ {
				t.Setenv(name, value)
			}
			want, err := config.LoadDefaultConfig(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got, err := AWS(environ)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(aws.Config{}, "Credentials", "ConfigSources", "Logger")); diff != "" {
				t.Errorf("configuration (-SDK +ours)\n%s", diff)
			}
			if reflect.TypeOf(want.Logger) != reflect.TypeOf(got.Logger) {
				t.Errorf("logger %T, the SDK's is %T", got.Logger, want.Logger)
			}
			wantKeys, err := want.Credentials.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			gotKeys, err := got.Credentials.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantKeys, gotKeys, cmpopts.IgnoreFields(aws.Credentials{}, "Source")); diff != "" {
				t.Errorf("keys (-SDK +ours)\n%s", diff)
			}
		})
	}
}

func TestWhatTheSDKWouldObeyAndWeDoNotIsRefused(t *testing.T) {
	if _, err := AWS(lambdaEnv()); err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{
		"AWS_USE_FIPS_ENDPOINT":      "true",
		"AWS_USE_DUALSTACK_ENDPOINT": "true",
		"AWS_CA_BUNDLE":              "/bundle.pem",
		"AWS_DEFAULTS_MODE":          "auto",
		"AWS_PROFILE":                "somebody",
		"AWS_ENDPOINT_URL_S3":        "http://127.0.0.1:4566",
		"AWS_RETRY_MODE":             "stubborn",
		"AWS_ACCESS_KEY_ID":          "",
		"AWS_SECRET_ACCESS_KEY":      "",
		"AWS_REGION":                 "",
	}
	all := lambdaEnv()
	for name, value := range bad {
		all[name] = value
		if _, err := AWS(with(lambdaEnv(), name, value)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%q: %v", name, value, err)
		}
	}
	_, err := AWS(all)
	for name := range bad {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
	for _, attempts := range []string{"-1", "many"} {
		if _, err := AWS(with(lambdaEnv(), "AWS_MAX_ATTEMPTS", attempts)); err == nil {
			t.Errorf("AWS_MAX_ATTEMPTS=%s was taken", attempts)
		}
	}
	if _, err := AWS(with(lambdaEnv(), "AWS_USE_FIPS_ENDPOINT", "")); err != nil {
		t.Errorf("an empty variable is none: %v", err)
	}
}
