package imagerepository_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"rolekeeper/shared/aws/imagerepository"
	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

const (
	account = "123456789012"
	name    = "bedrock-agentcore-my_agent"
	arn     = "arn:aws:ecr:us-east-1:" + account + ":repository/" + name
	digest  = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
)

func wanted() model.Repository {
	return model.Repository{Name: name, ARN: arn, ScanOnPush: true, Tags: map[string]string{model.TagAgent: "my_agent"}}
}

// made gives an account with the wanted repository in it, and a client.
func made(t *testing.T) (*awsfake.Cloud, *imagerepository.Client) {
	t.Helper()
	c := awsfake.New()
	client := imagerepository.New(c.ECR("t"), account)
	created, err := client.Create(t.Context(), wanted(), "nonce")
	if err != nil || !created.Equal(c.Now()) {
		t.Fatalf("created %v: %v", created, err)
	}
	return c, client
}

func TestARepositoryIsReadAsItWasMade(t *testing.T) {
	c, client := made(t)
	o, err := client.Read(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if o.Name != name || o.ARN != arn || !o.Created.Equal(c.Now()) || !o.ScanOnPush || !o.LatestMutable {
		t.Errorf("read %+v", o)
	}
	if !maps.Equal(o.Tags, map[string]string{model.TagAgent: "my_agent", model.TagCreation: "nonce"}) {
		t.Errorf("tags %v", o.Tags)
	}
	head, err := client.Head(t.Context(), name)
	if err != nil || head.Tags != nil || head.ARN != arn || !head.Created.Equal(o.Created) {
		t.Errorf("head %+v: %v", head, err)
	}
}

func TestTheTagsOfTheWantedRepositoryStayAsTheyAre(t *testing.T) {
	c := awsfake.New()
	for what, tags := range map[string]map[string]string{"none": nil, "one": {"k": "v"}} {
		before := maps.Clone(tags)
		if _, err := imagerepository.New(c.ECR("t"), account).Create(t.Context(), model.Repository{Name: what, Tags: tags}, "nonce"); err != nil {
			t.Error(err)
		}
		if !maps.Equal(tags, before) {
			t.Errorf("%s: %v has become %v", what, before, tags)
		}
	}
}

func TestEachPartOfARepositoryIsWritten(t *testing.T) {
	c, client := made(t)
	want := wanted()
	want.ScanOnPush, want.Tags = false, map[string]string{"k": "v"}
	if err := errors.Join(client.ScanOnPush(t.Context(), want), client.Tag(t.Context(), want)); err != nil {
		t.Fatal(err)
	}
	o, err := client.Read(t.Context(), name)
	if err != nil || o.ScanOnPush || !maps.Equal(o.Tags, map[string]string{"k": "v", model.TagAgent: "my_agent", model.TagCreation: "nonce"}) {
		t.Errorf("read %+v: %v", o, err)
	}
	want.ScanOnPush = true
	if err := client.ScanOnPush(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if o, err := client.Head(t.Context(), name); err != nil || !o.ScanOnPush {
		t.Errorf("read %+v: %v", o, err)
	}
	var made []string
	for _, call := range c.Calls() {
		made = append(made, call.Operation)
	}
	if want := []string{
		"CreateRepository", "PutImageScanningConfiguration", "TagResource", "DescribeRepositories", "ListTagsForResource",
		"PutImageScanningConfiguration", "DescribeRepositories",
	}; !slices.Equal(made, want) {
		t.Errorf("calls %v, want %v", made, want)
	}
}

func TestADigestIsThatOfTheTag(t *testing.T) {
	c, client := made(t)
	if err := c.PushImage(name, "src-0123456789ab", digest); err != nil {
		t.Fatal(err)
	}
	if got, err := client.Digest(t.Context(), name, "src-0123456789ab"); err != nil || got != digest {
		t.Errorf("digest %q: %v", got, err)
	}
	for _, missing := range [][2]string{{name, "latest"}, {"other", "latest"}} {
		if got, err := client.Digest(t.Context(), missing[0], missing[1]); got != "" || !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("digest of %v is %q: %v", missing, got, err)
		}
	}
}

// Each way in which a setting and filters can be about "latest".
func TestLatestIsMovedOnlyWhereItSurelyCanBe(t *testing.T) {
	const (
		mutable      = types.ImageTagMutabilityMutable
		immutable    = types.ImageTagMutabilityImmutable
		mutableBut   = types.ImageTagMutabilityMutableWithExclusion
		immutableBut = types.ImageTagMutabilityImmutableWithExclusion
	)
	for what, c := range map[string]struct {
		setting types.ImageTagMutability
		filters []string
		want    bool
	}{
		"tags are mutable":                                        {mutable, nil, true},
		"tags are immutable":                                      {immutable, nil, false},
		"a setting that is not known":                             {"APPEND_ONLY", []string{"latest"}, false},
		"immutable but for latest":                                {immutableBut, []string{"latest"}, true},
		"immutable but for a pattern on it":                       {immutableBut, []string{"dev-*", "la*t"}, true},
		"immutable but for what begins with it":                   {immutableBut, []string{"latest*"}, true},
		"immutable but for all":                                   {immutableBut, []string{"*"}, true},
		"immutable but for others":                                {immutableBut, []string{"dev-*", "latest-*", "LATEST"}, false},
		"immutable but for a dot, which is a dot":                 {immutableBut, []string{"lates."}, false},
		"immutable but for a part of it, which may or may not be": {immutableBut, []string{"late"}, false},
		"immutable but for nothing":                               {immutableBut, nil, false},
		"mutable but for latest":                                  {mutableBut, []string{"release-*", "latest"}, false},
		"mutable but for a pattern on it":                         {mutableBut, []string{"l*"}, false},
		"mutable but for a part of it, which may or may not be":   {mutableBut, []string{"test"}, false},
		"mutable but for others":                                  {mutableBut, []string{"release-*", "latest-*", "v1"}, true},
		"mutable but for nothing":                                 {mutableBut, nil, true},
	} {
		t.Run(what, func(t *testing.T) {
			cloud := awsfake.New()
			in := &ecr.CreateRepositoryInput{RepositoryName: aws.String(name), ImageTagMutability: c.setting}
			for _, f := range c.filters {
				in.ImageTagMutabilityExclusionFilters = append(in.ImageTagMutabilityExclusionFilters, types.ImageTagMutabilityExclusionFilter{
					Filter: &f, FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard,
				})
			}
			if _, err := cloud.ECR("somebody").CreateRepository(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			o, err := imagerepository.NewReader(cloud.ECR("t"), account).Head(t.Context(), name)
			if err != nil || o.LatestMutable != c.want {
				t.Errorf("latest can be moved: %v, want %v (%v)", o.LatestMutable, c.want, err)
			}
		})
	}
}

func TestAFilterOfAnotherKindIsOnLatestPerhaps(t *testing.T) {
	filters := []types.ImageTagMutabilityExclusionFilter{{Filter: aws.String("latest"), FilterType: "REGEX"}}
	for _, setting := range []types.ImageTagMutability{types.ImageTagMutabilityImmutableWithExclusion, types.ImageTagMutabilityMutableWithExclusion} {
		for _, filter := range []string{"latest", "dev-*"} {
			filters[0].Filter = &filter
			a := &answers{repositories: []types.Repository{{ImageTagMutability: setting, ImageTagMutabilityExclusionFilters: filters}}}
			if o, err := imagerepository.NewReader(a, account).Head(t.Context(), name); err != nil || o.LatestMutable {
				t.Errorf("%s with %s: latest can be moved: %v (%v)", setting, filter, o.LatestMutable, err)
			}
		}
	}
}

// answers is an ECR that gives what it is told to, and keeps what it was asked.
type answers struct {
	*awsfake.ECR
	repositories []types.Repository
	images       []types.ImageDetail
	registries   []*string
	created      *ecr.CreateRepositoryInput
}

func (a *answers) DescribeRepositories(_ context.Context, in *ecr.DescribeRepositoriesInput, _ ...func(*ecr.Options)) (*ecr.DescribeRepositoriesOutput, error) {
	a.registries = append(a.registries, in.RegistryId)
	return &ecr.DescribeRepositoriesOutput{Repositories: a.repositories}, nil
}

func (a *answers) DescribeImages(_ context.Context, in *ecr.DescribeImagesInput, _ ...func(*ecr.Options)) (*ecr.DescribeImagesOutput, error) {
	a.registries = append(a.registries, in.RegistryId)
	return &ecr.DescribeImagesOutput{ImageDetails: a.images}, nil
}

func (a *answers) CreateRepository(_ context.Context, in *ecr.CreateRepositoryInput, _ ...func(*ecr.Options)) (*ecr.CreateRepositoryOutput, error) {
	a.registries = append(a.registries, in.RegistryId)
	a.created = in
	return &ecr.CreateRepositoryOutput{Repository: &types.Repository{CreatedAt: aws.Time(time.Unix(1, 0))}}, nil
}

func (a *answers) PutImageScanningConfiguration(_ context.Context, in *ecr.PutImageScanningConfigurationInput, _ ...func(*ecr.Options)) (*ecr.PutImageScanningConfigurationOutput, error) {
	a.registries = append(a.registries, in.RegistryId)
	return &ecr.PutImageScanningConfigurationOutput{}, nil
}

func (a *answers) DeleteRepository(_ context.Context, in *ecr.DeleteRepositoryInput, _ ...func(*ecr.Options)) (*ecr.DeleteRepositoryOutput, error) {
	a.registries = append(a.registries, in.RegistryId)
	return &ecr.DeleteRepositoryOutput{}, nil
}

func TestEveryCallNamesTheRegistryAndWhatItSets(t *testing.T) {
	a := &answers{repositories: []types.Repository{{}}, images: []types.ImageDetail{{ImageDigest: aws.String(digest)}}}
	client, ctx := imagerepository.New(a, account), t.Context()
	_, head := client.Head(ctx, name)
	_, created := client.Create(ctx, wanted(), "nonce")
	_, image := client.Digest(ctx, name, "latest")
	if err := errors.Join(head, created, image, client.ScanOnPush(ctx, wanted()), client.Delete(ctx, name)); err != nil || len(a.registries) != 5 {
		t.Fatalf("%d calls: %v", len(a.registries), err)
	}
	if a.created.ImageTagMutability != types.ImageTagMutabilityMutable {
		t.Errorf("made with tags that are %q", a.created.ImageTagMutability)
	}
	for _, r := range a.registries {
		if aws.ToString(r) != account {
			t.Errorf("a call of registry %q", aws.ToString(r))
		}
	}
}

func TestAnEmptyAnswerIsNotAbsence(t *testing.T) {
	for what, a := range map[string]*answers{
		"none":             {},
		"two":              {repositories: make([]types.Repository, 2), images: []types.ImageDetail{{ImageDigest: aws.String(digest)}, {}}},
		"without a digest": {images: []types.ImageDetail{{}}},
	} {
		client := imagerepository.NewReader(a, account)
		_, head := client.Head(t.Context(), name)
		_, image := client.Digest(t.Context(), name, "latest")
		for _, err := range []error{head, image} {
			if err == nil || errors.Is(err, fault.ErrNotFound) || fault.Of(err) != fault.Unknown {
				t.Errorf("%s: class %q: %v", what, fault.Of(err), err)
			}
		}
	}
}

func TestARepositoryThatGoesWhileItIsReadOrWrittenIsLookedAtAgain(t *testing.T) {
	for what, call := range map[string]func(context.Context, *imagerepository.Client) error{
		"ListTagsForResource":           func(ctx context.Context, c *imagerepository.Client) error { _, err := c.Read(ctx, name); return err },
		"PutImageScanningConfiguration": func(ctx context.Context, c *imagerepository.Client) error { return c.ScanOnPush(ctx, wanted()) },
		"TagResource":                   func(ctx context.Context, c *imagerepository.Client) error { return c.Tag(ctx, wanted()) },
	} {
		t.Run(what, func(t *testing.T) {
			c, client := made(t)
			c.Before = func(call awsfake.Call) error {
				if call.Operation == what {
					return &types.RepositoryNotFoundException{}
				}
				return nil
			}
			if err := call(t.Context(), client); errors.Is(err, fault.ErrNotFound) || fault.Of(err) != fault.Retry {
				t.Errorf("class %q: %v", fault.Of(err), err)
			}
		})
	}
}

func TestWhatIsDeniedOrThrottledIsNotAbsence(t *testing.T) {
	for code, class := range map[string]fault.Class{"AccessDeniedException": fault.Unknown, "ThrottlingException": fault.Retry, "ServerException": fault.Retry} {
		for n := range 3 { // of the calls, this one
			c, client := made(t)
			c.Before = func(call awsfake.Call) error {
				if call.N == n+2 {
					return awsfake.APIError(code, "m")
				}
				return nil
			}
			_, err := client.Read(t.Context(), name)
			if n == 2 {
				_, err = client.Digest(t.Context(), name, "latest")
			}
			if err == nil || errors.Is(err, fault.ErrNotFound) || fault.Of(err) != class {
				t.Errorf("%s of call %d: class %q: %v", code, n, fault.Of(err), err)
			}
		}
	}
}

func TestARepositoryIsDeletedOnceWithItsImages(t *testing.T) {
	c, client := made(t)
	if err := c.PushImage(name, "latest", digest); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := client.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	if names := c.RepositoryNames(); len(names) != 0 {
		t.Errorf("repositories %v", names)
	}
	for code, class := range map[string]fault.Class{
		"AccessDeniedException": fault.Unknown, "RepositoryNotEmptyException": fault.Unknown, "KmsException": fault.Unknown,
		"ThrottlingException": fault.Retry, "ServerException": fault.Retry,
	} {
		c.Before = func(awsfake.Call) error { return awsfake.APIError(code, "m") }
		if err := client.Delete(t.Context(), name); err == nil || fault.Of(err) != class {
			t.Errorf("%s: class %q, want %q: %v", code, fault.Of(err), class, err)
		}
	}
}

func TestAnAccountThatIsFullIsTold(t *testing.T) {
	c := awsfake.New()
	c.Before = func(awsfake.Call) error { return &types.LimitExceededException{} }
	if _, err := imagerepository.New(c.ECR("t"), account).Create(t.Context(), wanted(), "nonce"); !errors.Is(err, fault.ErrLimit) || errors.Is(err, fault.ErrExists) {
		t.Error(err)
	}
}
