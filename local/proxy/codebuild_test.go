package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/google/go-cmp/cmp"
)

// fill sets everything that there is to set.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.UnixMilli(1_800_000_000_000 + int64(*n)).UTC()))
			return
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "ResultMetadata" {
				fill(v.Field(i), n)
			}
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("value-%d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	default:
		panic("the SDK has a member of type " + v.Type().String())
	}
}

func filled[V any]() *V {
	var out V
	n := 0
	fill(reflect.ValueOf(&out).Elem(), &n)
	return &out
}

// talk gives a client of CodeBuild whose requests are kept and answered as given.
func talk(t *testing.T, answer any) (client *codebuild.Client, request *[]byte) {
	t.Helper()
	request = new([]byte)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		if *request, err = io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		if err := json.NewEncoder(w).Encode(members(reflect.ValueOf(answer))); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	// With retries: a client that is answered before it is done with its request may
	// close the connection on a long answer.
	return codebuild.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	}), request
}

// same compares values of the SDK but for what is not on the wire.
func same(t *testing.T, want, got any) {
	t.Helper()
	skip := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".ResultMetadata" }, cmp.Ignore())
	if diff := cmp.Diff(want, got, skip, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestTheSDKReadsEverythingThatCodeBuildAnswers(t *testing.T) {
	t.Run("BatchGetBuilds", func(t *testing.T) {
		want := filled[codebuild.BatchGetBuildsOutput]()
		client, _ := talk(t, want)
		got, err := client.BatchGetBuilds(t.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{"a:b"}})
		if err != nil {
			t.Fatal(err)
		}
		same(t, want, got)
	})
	t.Run("BatchGetProjects", func(t *testing.T) {
		want := filled[codebuild.BatchGetProjectsOutput]()
		client, _ := talk(t, want)
		got, err := client.BatchGetProjects(t.Context(), &codebuild.BatchGetProjectsInput{Names: []string{"a"}})
		if err != nil {
			t.Fatal(err)
		}
		same(t, want, got)
	})
	t.Run("nothing that is not set", func(t *testing.T) {
		data, err := json.Marshal(members(reflect.ValueOf(&codebuild.BatchGetProjectsOutput{Projects: []types.Project{{Badge: &types.ProjectBadge{}}}})))
		if want := `{"projects":[{"badge":{"badgeEnabled":false}}]}`; err != nil || string(data) != want {
			t.Errorf("%s, want %s, %v", data, want, err)
		}
	})
	t.Run("an empty answer", func(t *testing.T) {
		client, _ := talk(t, &codebuild.ListBuildsForProjectOutput{})
		got, err := client.ListBuildsForProject(t.Context(), &codebuild.ListBuildsForProjectInput{ProjectName: aws.String("a")})
		if err != nil {
			t.Fatal(err)
		}
		same(t, &codebuild.ListBuildsForProjectOutput{}, got)
	})
}

// received reads a request as an operation does.
func received[In any](t *testing.T, body []byte) *In {
	t.Helper()
	var in In
	if err := json.Unmarshal(body, &in); err != nil {
		t.Fatal(err)
	}
	return &in
}

func TestEverythingThatTheSDKAsksIsRead(t *testing.T) {
	client, request := talk(t, &struct{}{})
	t.Run("CreateProject", func(t *testing.T) {
		want := filled[codebuild.CreateProjectInput]()
		if _, err := client.CreateProject(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		same(t, want, received[codebuild.CreateProjectInput](t, *request))
	})
	t.Run("UpdateProject", func(t *testing.T) {
		want := filled[codebuild.UpdateProjectInput]()
		if _, err := client.UpdateProject(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		same(t, want, received[codebuild.UpdateProjectInput](t, *request))
	})
	t.Run("StartBuild", func(t *testing.T) {
		want := filled[codebuild.StartBuildInput]()
		if _, err := client.StartBuild(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		same(t, want, received[codebuild.StartBuildInput](t, *request))
	})
}

func TestACallOfCodeBuildIsAboutProjects(t *testing.T) {
	for body, want := range map[string]string{
		`{"name":"a"}`:        "a",
		`{"projectName":"a"}`: "a",
		`{"names":["a","arn:aws:codebuild:us-east-1:123456789012:project/b","a"]}`:   "a,b",
		`{"ids":["a:1","arn:aws:codebuild:us-east-1:123456789012:build/b:2","a:3"]}`: "a,b",
		`{"id":"a:1"}`: "a",
		`{}`:           "",
		`[]`:           "",
	} {
		if got := codeBuildResource([]byte(body)); got != want {
			t.Errorf("%s is about %q, want %q", body, got, want)
		}
	}
}
