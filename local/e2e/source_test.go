package e2e

import (
	"archive/zip"
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"rolekeeper/local/proxy"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/status"
)

// Dockerfiles, and a source that has the one which works.
const (
	works = "FROM scratch\n"
	fails = "FROM scratch\nRUN false\n"
)

var sourceBucket = naming.SourceBucket(account, region)

// zipped makes a source whose files are a Dockerfile and some code.
func zipped(t testing.TB, dockerfile, code string) string {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, file := range [][2]string{{"Dockerfile", dockerfile}, {"app/main.py", code}} {
		f, err := z.Create(file[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(file[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// put uploads an object to the source bucket as a developer does, and gives its
// version.
func (s stack) put(key, body string) (version string) {
	s.t.Helper()
	out, err := s3.NewFromConfig(s.Config("developer")).PutObject(s.t.Context(), &s3.PutObjectInput{
		Bucket: &sourceBucket, Key: &key, Body: strings.NewReader(body),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return aws.ToString(out.VersionId)
}

// source uploads the source of an agent where there are no teams.
func (s stack) source(agent, dockerfile, code string) (version string) {
	s.t.Helper()
	return s.put(naming.SourceKey("", agent), zipped(s.t, dockerfile, code))
}

// withdraw deletes a source, whose versions stay.
func (s stack) withdraw(key string) {
	s.t.Helper()
	if _, err := s3.NewFromConfig(s.Config("developer")).DeleteObject(s.t.Context(), &s3.DeleteObjectInput{Bucket: &sourceBucket, Key: &key}); err != nil {
		s.t.Error(err)
	}
}

// built gives the source versions of an agent's builds, in the order in which
// they were started.
func (s stack) built(agent string) []string {
	var versions []string
	for _, b := range s.CodeBuild().Builds() {
		if *b.ProjectName == naming.Project(agent) {
			versions = append(versions, aws.ToString(b.SourceVersion))
		}
	}
	return versions
}

func (s stack) wantBuilt(agent string, versions ...string) {
	s.t.Helper()
	if diff := cmp.Diff(versions, s.built(agent)); diff != "" {
		s.t.Errorf("agent %s: builds of source versions (-want +got)\n%s", agent, diff)
	}
}

// build gives what the status of the one agent of a config says of its build.
func (s stack) build(key string) status.Build {
	s.t.Helper()
	got := s.status(key)
	if len(got.Agents) != 1 || got.Agents[0].Build == nil {
		s.t.Fatalf("%s: no build: %+v", key, got)
	}
	return *got.Agents[0].Build
}

// wantImage checks that a config is ready, with an image of the source version
// that is in the repository.
func (s stack) wantImage(key, agent, version string) {
	s.t.Helper()
	got, b := s.status(key), s.build(key)
	image := account + ".dkr.ecr." + region + ".amazonaws.com/" + naming.Repository(agent) + "@" + s.digest(naming.Repository(agent), model.ImageTag(version))
	if got.Outcome != status.Ready || len(got.Problems) > 0 || b.State != model.BuildSucceeded || b.SourceVersion != version || b.Image != image || b.LogURL == "" {
		s.t.Errorf("%s: %s, %+v, %+v; want an image %s of version %s", key, got.Outcome, got.Problems, b, image, version)
	}
}

// digest gives that of a tagged image, empty when there is none.
func (s stack) digest(repository, tag string) string {
	s.t.Helper()
	out, err := ecr.NewFromConfig(s.Config("admin")).BatchGetImage(s.t.Context(), &ecr.BatchGetImageInput{
		RepositoryName: &repository, ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: &tag}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(out.Images) != 1 {
		return ""
	}
	return *out.Images[0].ImageId.ImageDigest
}

// wantCodes compares those of the problems of a config, which is ready.
func (s stack) wantCodes(key string, want ...string) {
	s.t.Helper()
	got := s.status(key)
	var codes []string
	for _, p := range got.Problems {
		codes = append(codes, p.Code)
	}
	if got.Outcome != status.Ready || !slices.Equal(codes, want) {
		s.t.Errorf("%s: %s, problems %v, want %v: %+v", key, got.Outcome, codes, want, got)
	}
}

// sent counts the events of a detail type that are about a config.
func (s stack) sent(detailType, key string) (n int) {
	for _, e := range s.Events() {
		if e.DetailType == detailType && strings.Contains(string(e.Detail), `"`+key+`"`) {
			n++
		}
	}
	return n
}

// answers gives every status of a config that was written, in order.
func (s stack) answers(key string) []status.Status {
	s.t.Helper()
	var all []status.Status
	for _, c := range s.Calls(proxy.Filter{Caller: "reconcile", Operation: "PutObject", Resource: bucket + "/" + naming.StatusKey(key)}) {
		got, err := status.Parse([]byte(c.Request.Body))
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, got)
	}
	return all
}

// imageWrites gives the functions' calls that write what images are made with.
func (s stack) imageWrites() []string {
	var all []string
	for _, c := range s.Calls(proxy.Filter{Caller: "reconcile"}) {
		reads := slices.ContainsFunc([]string{"Get", "List", "Describe", "BatchGet"}, func(verb string) bool { return strings.HasPrefix(c.Operation, verb) })
		if slices.Contains([]string{"codebuild", "ecr", "logs"}, c.Service) && !reads {
			all = append(all, c.Operation+" "+c.Resource)
		}
	}
	return all
}

// until waits for what happens while a build runs, when nothing is idle.
func (s stack) until(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// hold keeps the builds of an agent from going on until they are released.
func (s stack) hold(agent string) (release func()) {
	held := make(chan struct{})
	s.CodeBuild().FailBuilds(func(b types.Build) error {
		if *b.ProjectName == naming.Project(agent) {
			<-held
		}
		return nil
	})
	return func() {
		s.CodeBuild().FailBuilds(nil)
		close(held)
	}
}

// wantNothingLost checks that no message is in dead letters.
func (s stack) wantNothingLost() {
	s.t.Helper()
	if dead := append(s.dead("InboxDeadLetterQueueUrl"), s.dead("WorkDeadLetterQueueUrl")...); len(dead) > 0 {
		s.t.Errorf("dead letters: %+v", dead)
	}
}
