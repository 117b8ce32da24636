package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
)

// service answers as STS and S3 do, in their wire formats: the one test that
// goes through the SDK.
func service(t *testing.T, objects map[string]string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const bucket = "/bedrock-agentcore-configs-111122223333-eu-west-1"
		key, inBucket := strings.CutPrefix(r.URL.Path, bucket+"/")
		switch {
		case r.Method == http.MethodPost && r.URL.Path == "/":
			_, _ = fmt.Fprint(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>`+
				`<Account>111122223333</Account><Arn>arn:aws:iam::111122223333:user/alice</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`)
		case r.Method != http.MethodGet || r.Header.Get("x-amz-expected-bucket-owner") != "111122223333":
			http.Error(w, "", http.StatusForbidden)
		case r.URL.Query().Get("list-type") == "2" && r.URL.Query().Get("prefix") == "status/":
			_, _ = fmt.Fprint(w, `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated>`)
			for key := range objects {
				_, _ = fmt.Fprintf(w, "<Contents><Key>%s</Key></Contents>", key)
			}
			_, _ = fmt.Fprint(w, `</ListBucketResult>`)
		case inBucket && objects[key] != "":
			_, _ = fmt.Fprint(w, objects[key])
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = fmt.Fprint(w, `<Error><Code>NoSuchKey</Code></Error>`)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// withLog gives what f leaves, and what is written to the process' standard
// error meanwhile: the SDK's logger knows no other place.
func withLog(t *testing.T, f func() outcome) (outcome, string) {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer func(original *os.File) { os.Stderr = original }(os.Stderr)
	os.Stderr = file
	got := f()
	logged, err := os.ReadFile(file.Name())
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	return got, string(logged)
}

func TestStatusThroughTheSDK(t *testing.T) {
	body, err := ready("configs/a.yaml", "solo").JSON()
	if err != nil {
		t.Fatal(err)
	}
	server := service(t, map[string]string{"status/a.yaml.json": string(body)})
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_CA_BUNDLE": "",
		"AWS_ENDPOINT_URL_S3": "", "AWS_ENDPOINT_URL_STS": "", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "", "AWS_MAX_ATTEMPTS": "1",
	} {
		t.Setenv(name, value)
	}
	invoke := func(args ...string) outcome {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr, os.Getenv)
		return outcome{code, stdout.String(), stderr.String()}
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"all":  {[]string{"status"}, exitGood, "configs/a.yaml"},
		"one":  {[]string{"status", "a.yaml"}, exitGood, "agent solo: active"},
		"none": {[]string{"status", "b.yaml"}, exitError, "there is no answer to configs/b.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			got, logged := withLog(t, func() outcome { return invoke(c.args...) })
			if got.code != c.code || !strings.Contains(got.stdout+got.stderr, c.want) {
				t.Errorf("exit code %d, want %d\n%s%s", got.code, c.code, got.stdout, got.stderr)
			}
			if logged != "" {
				t.Errorf("the SDK wrote to standard error: %s", logged)
			}
		})
	}
	t.Run("everything that commands ask", func(t *testing.T) {
		a, err := connect(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		v := reflect.ValueOf(a)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("nothing for %s", v.Type().Field(i).Name)
			}
		}
		if a.caller != "arn:aws:iam::111122223333:user/alice" {
			t.Errorf("caller %s", a.caller)
		}
	})
	t.Run("no Region", func(t *testing.T) {
		t.Setenv("AWS_REGION", "")
		if got := invoke("status"); got.code != exitError || !strings.Contains(got.stderr, "--region") {
			t.Errorf("%+v", got)
		}
		if got := invoke("status", "--region=eu-west-1"); got.code != exitGood {
			t.Errorf("%+v", got)
		}
	})
	t.Run("no credentials", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
		if got := invoke("status"); got.code != exitError || !strings.Contains(got.stderr, "find out the AWS account") {
			t.Errorf("%+v", got)
		}
	})
}
