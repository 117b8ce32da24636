package suite

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"rolekeeper/shared/aws/imagerepository"
	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
)

func (b *Backend) registry() string { return b.Account + ".dkr.ecr." + b.Region + ".amazonaws.com/" }

func (b *Backend) repositoryARN(name string) string {
	return "arn:aws:ecr:" + b.Region + ":" + b.Account + ":repository/" + name
}

// makeRepository makes a repository whose tags can be moved, unless change says
// otherwise.
func (b *Backend) makeRepository(t T, change func(*ecr.CreateRepositoryInput)) string {
	t.Helper()
	in := &ecr.CreateRepositoryInput{RepositoryName: aws.String(b.fresh("repository"))}
	if change != nil {
		change(in)
	}
	must(b.ECR.CreateRepository(t.Context(), in))(t)
	return *in.RepositoryName
}

func (b *Backend) repository(t T, name string) types.Repository {
	t.Helper()
	out := must(b.ECR.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RegistryId: &b.Account, RepositoryNames: []string{name}}))(t)
	if len(out.Repositories) != 1 {
		t.Fatalf("%d repositories %s", len(out.Repositories), name)
	}
	return out.Repositories[0]
}

func (b *Backend) repositoryTags(t T, name string) map[string]string {
	t.Helper()
	tags := map[string]string{}
	for _, tag := range must(b.ECR.ListTagsForResource(t.Context(), &ecr.ListTagsForResourceInput{ResourceArn: aws.String(b.repositoryARN(name))}))(t).Tags {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return tags
}

func repositoryTagList(tags map[string]string) []types.Tag {
	var list []types.Tag
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return list
}

func (b *Backend) describeImage(t T, name, tag string) (*ecr.DescribeImagesOutput, error) {
	return b.ECR.DescribeImages(t.Context(), &ecr.DescribeImagesInput{
		RegistryId: &b.Account, RepositoryName: &name, ImageIds: []types.ImageIdentifier{{ImageTag: &tag}},
	})
}

func (b *Backend) wantDigest(t T, name, tag, want string) {
	t.Helper()
	out, err := b.describeImage(t, name, tag)
	if err != nil || len(out.ImageDetails) != 1 {
		t.Errorf("image %s:%s: %+v (%v)", name, tag, out, err)
		return
	}
	if d := out.ImageDetails[0]; aws.ToString(d.ImageDigest) != want || !slices.Contains(d.ImageTags, tag) {
		t.Errorf("image %s:%s is %s with tags %v, want %s", name, tag, aws.ToString(d.ImageDigest), d.ImageTags, want)
	}
}

func repositoryCases() []testCase {
	return []testCase{
		{"a repository is read as it was made", func(t T, b *Backend) {
			name := b.fresh("repository") + "/with.name-space_d"
			tags := map[string]string{"team": "a", "rolekeeper:config": "configs/a b+c=é@d.yaml"}
			made := must(b.ECR.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{
				RegistryId: &b.Account, RepositoryName: &name, ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
				ImageTagMutability: types.ImageTagMutabilityMutable, Tags: repositoryTagList(tags),
			}))(t).Repository
			for what, r := range map[string]types.Repository{"made": *made, "read": b.repository(t, name)} {
				if aws.ToString(r.RepositoryName) != name || aws.ToString(r.RepositoryArn) != b.repositoryARN(name) || aws.ToString(r.RepositoryUri) != b.registry()+name ||
					aws.ToString(r.RegistryId) != b.Account || r.ImageScanningConfiguration == nil || !r.ImageScanningConfiguration.ScanOnPush ||
					r.ImageTagMutability != types.ImageTagMutabilityMutable || len(r.ImageTagMutabilityExclusionFilters) != 0 {
					t.Errorf("%s: %+v", what, r)
				}
				if r.CreatedAt == nil || !r.CreatedAt.Equal(aws.ToTime(made.CreatedAt)) || r.CreatedAt.Year() < 2026 {
					t.Errorf("%s: created %v, when made %v", what, r.CreatedAt, made.CreatedAt)
				}
			}
			if got := b.repositoryTags(t, name); !maps.Equal(got, tags) {
				t.Errorf("tags %v, want %v", got, tags)
			}
		}},
		{"a repository does not scan unless it is told to", func(t T, b *Backend) {
			name := b.makeRepository(t, nil)
			for _, on := range []bool{false, true, false} {
				if got := b.repository(t, name).ImageScanningConfiguration; got == nil || got.ScanOnPush != on {
					t.Errorf("scanning %+v, want %v", got, on)
				}
				must(b.ECR.PutImageScanningConfiguration(t.Context(), &ecr.PutImageScanningConfigurationInput{
					RegistryId: &b.Account, RepositoryName: &name, ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: !on},
				}))(t)
			}
		}},
		{"a repository is made once", func(t T, b *Backend) {
			name := b.makeRepository(t, nil)
			_, err := b.ECR.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name, Tags: repositoryTagList(map[string]string{"k": "v"})})
			wantCode(t, "make again", err, "RepositoryAlreadyExistsException")
			if tags := b.repositoryTags(t, name); len(tags) != 0 {
				t.Errorf("tags %v", tags)
			}
			other := b.fresh("repository")
			const n = 8
			counts := atOnce(n, func(int) error {
				_, err := b.ECR.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &other})
				return err
			})
			if counts[""] != 1 || counts["RepositoryAlreadyExistsException"] != n-1 {
				t.Errorf("answers: %v", counts)
			}
		}},
		{"a repository that is missing is no such repository", func(t T, b *Backend) {
			ctx, name := t.Context(), b.fresh("repository")
			arn := aws.String(b.repositoryARN(name))
			_, err := b.ECR.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RegistryId: &b.Account, RepositoryNames: []string{name}})
			wantCode(t, "describe", err, "RepositoryNotFoundException")
			_, err = b.ECR.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: arn})
			wantCode(t, "list tags", err, "RepositoryNotFoundException")
			_, err = b.ECR.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: arn, Tags: repositoryTagList(map[string]string{"k": "v"})})
			wantCode(t, "tag", err, "RepositoryNotFoundException")
			_, err = b.ECR.PutImageScanningConfiguration(ctx, &ecr.PutImageScanningConfigurationInput{
				RegistryId: &b.Account, RepositoryName: &name, ImageScanningConfiguration: &types.ImageScanningConfiguration{},
			})
			wantCode(t, "set scanning", err, "RepositoryNotFoundException")
			_, err = b.describeImage(t, name, "latest")
			wantCode(t, "describe image", err, "RepositoryNotFoundException")
			_, err = b.ECR.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &name})
			wantCode(t, "delete", err, "RepositoryNotFoundException")
		}},
		{"the name of a repository is checked", func(t T, b *Backend) {
			ctx := t.Context()
			for _, name := range []string{"x", "Upper", "-a", "a-", "a--b", "a..b", "a//b", "/ab", "ab/", "a b", "a:b", "é-a", "$(id)", "ab\n", strings.Repeat("a", 257)} {
				_, err := b.ECR.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name})
				wantCode(t, fmt.Sprintf("make %.20q", name), err, "InvalidParameterException")
				_, err = b.ECR.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
				wantCode(t, fmt.Sprintf("describe %.20q", name), err, "InvalidParameterException")
			}
			for _, name := range []string{b.fresh("a_b.c/d-e/f9"), strings.Repeat("a", 256)} {
				_, err := b.ECR.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name})
				wantCode(t, fmt.Sprintf("make %.20q", name), err, "")
			}
		}},
		{"tags of a repository are added, replaced and removed one by one", func(t T, b *Backend) {
			ctx, name := t.Context(), b.makeRepository(t, func(in *ecr.CreateRepositoryInput) {
				in.Tags = repositoryTagList(map[string]string{"a": "1", "b": "2"})
			})
			arn := aws.String(b.repositoryARN(name))
			must(b.ECR.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: arn, Tags: repositoryTagList(map[string]string{"b": "3", "c": "", "C": "4"})}))(t)
			must(b.ECR.UntagResource(ctx, &ecr.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a", "none"}}))(t)
			if got, want := b.repositoryTags(t, name), map[string]string{"b": "3", "c": "", "C": "4"}; !maps.Equal(got, want) {
				t.Errorf("tags %v, want %v", got, want)
			}
		}},
		{"a repository is not made with 51 tags", func(t T, b *Backend) {
			_, err := b.ECR.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(b.fresh("repository")), Tags: repositoryTagList(manyTags(51))})
			wantCode(t, "make", err, "TooManyTagsException")
		}},
		{"a repository that has 50 tags takes no other", func(t T, b *Backend) {
			name := b.makeRepository(t, func(in *ecr.CreateRepositoryInput) { in.Tags = repositoryTagList(manyTags(50)) })
			tag := func(key string) error {
				_, err := b.ECR.TagResource(t.Context(), &ecr.TagResourceInput{ResourceArn: aws.String(b.repositoryARN(name)), Tags: repositoryTagList(map[string]string{key: "w"})})
				return err
			}
			wantCode(t, "replace one", tag("k0"), "")
			wantCode(t, "add one", tag("more"), "TooManyTagsException")
			if got := b.repositoryTags(t, name); len(got) != 50 || got["k0"] != "w" || got["more"] != "" {
				t.Errorf("%d tags: %v", len(got), got)
			}
		}},
		{"the tags of a repository are checked", func(t T, b *Backend) {
			for what, tags := range map[string]map[string]string{
				"a key of AWS": {"aws:x": "v"}, "no key": {"": "v"}, "a key too long": {strings.Repeat("k", 129): "v"}, "a value too long": {"k": strings.Repeat("v", 257)},
			} {
				_, err := b.ECR.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String(b.fresh("repository")), Tags: repositoryTagList(tags)})
				wantCode(t, what, err, "InvalidTagParameterException", "InvalidParameterException")
			}
		}},
		{"a repository tells which tags can be moved", func(t T, b *Backend) {
			name := b.makeRepository(t, func(in *ecr.CreateRepositoryInput) { in.ImageTagMutability = types.ImageTagMutabilityImmutable })
			if got := b.repository(t, name); got.ImageTagMutability != types.ImageTagMutabilityImmutable || len(got.ImageTagMutabilityExclusionFilters) != 0 {
				t.Errorf("repository %+v", got)
			}
			for _, setting := range []types.ImageTagMutability{types.ImageTagMutabilityImmutableWithExclusion, types.ImageTagMutabilityMutableWithExclusion} {
				got := b.repository(t, b.makeRepository(t, exempting(setting, "latest", "dev-*")))
				if f := got.ImageTagMutabilityExclusionFilters; got.ImageTagMutability != setting || len(f) != 2 ||
					aws.ToString(f[0].Filter) != "latest" || aws.ToString(f[1].Filter) != "dev-*" || f[0].FilterType != types.ImageTagMutabilityExclusionFilterTypeWildcard {
					t.Errorf("repository %+v", got)
				}
			}
		}},
		{"a tag is on the image that was pushed last, unless it cannot be moved", func(t T, b *Backend) {
			for what, c := range map[string]pushes{
				"mutable":                  {nil, true, true},
				"immutable":                {exempting(types.ImageTagMutabilityImmutable), false, false},
				"immutable but for latest": {exempting(types.ImageTagMutabilityImmutableWithExclusion, "latest"), true, false},
				"mutable but for latest":   {exempting(types.ImageTagMutabilityMutableWithExclusion, "latest"), false, true},
			} {
				b.push(t, what, c)
			}
		}},
		{"a star in a filter stands for any characters", func(t T, b *Backend) {
			for what, c := range map[string]pushes{
				"immutable but for what begins so": {exempting(types.ImageTagMutabilityImmutableWithExclusion, "lat*"), true, false},
				"immutable but for what ends so":   {exempting(types.ImageTagMutabilityImmutableWithExclusion, "*er"), false, true},
				"immutable but for longer ones":    {exempting(types.ImageTagMutabilityImmutableWithExclusion, "*-latest"), false, false},
				"mutable but for all":              {exempting(types.ImageTagMutabilityMutableWithExclusion, "*"), false, false},
			} {
				b.push(t, what, c)
			}
		}},
		{"a repository that was deleted is made anew without tags and images", func(t T, b *Backend) {
			ctx, name := t.Context(), b.makeRepository(t, func(in *ecr.CreateRepositoryInput) { in.Tags = repositoryTagList(map[string]string{"k": "v"}) })
			first := aws.ToTime(b.repository(t, name).CreatedAt)
			must(b.PushImage(t, name, "latest", "one"))(t)
			_, err := b.ECR.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &name})
			wantCode(t, "delete with images", err, "RepositoryNotEmptyException")
			must(b.ECR.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &name, Force: true}))(t)
			_, err = b.ECR.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
			wantCode(t, "describe", err, "RepositoryNotFoundException")
			b.Pass(time.Minute)
			must(b.ECR.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name}))(t)
			if second := aws.ToTime(b.repository(t, name).CreatedAt); !second.After(first) {
				t.Errorf("created %v, and anew %v", first, second)
			}
			_, err = b.describeImage(t, name, "latest")
			wantCode(t, "describe image", err, "ImageNotFoundException")
			if tags := b.repositoryTags(t, name); len(tags) != 0 {
				t.Errorf("tags %v", tags)
			}
		}},
		{"imagerepository deletes a repository with its images once", func(t T, b *Backend) {
			ctx, c, name := t.Context(), imagerepository.New(b.ECR, b.Account), b.makeRepository(t, nil)
			must(b.PushImage(t, name, "latest", "one"))(t)
			for range 2 {
				wantNil(t, "delete", c.Delete(ctx, name))
			}
			_, err := c.Head(ctx, name)
			wantFault(t, "head of a deleted repository", err, fault.Unknown, fault.ErrNotFound)
		}},
		{"imagerepository reads what it wrote", func(t T, b *Backend) {
			ctx, c, name := t.Context(), imagerepository.New(b.ECR, b.Account), b.fresh("repository")
			r := model.Repository{Name: name, ARN: b.repositoryARN(name), ScanOnPush: true, Tags: map[string]string{"team": "a"}}
			created := must(c.Create(ctx, r, "nonce-1"))(t)
			o := must(c.Read(ctx, name))(t)
			if o.Name != name || o.ARN != r.ARN || !o.Created.Equal(created) || created.IsZero() || !o.ScanOnPush || !o.LatestMutable ||
				!maps.Equal(o.Tags, map[string]string{"team": "a", model.TagCreation: "nonce-1"}) {
				t.Errorf("read %+v of %+v, created %v", o, r, created)
			}
			r.ScanOnPush, r.Tags = false, map[string]string{"team": "b", "k": "v"}
			wantNil(t, "set scanning", c.ScanOnPush(ctx, r))
			wantNil(t, "tag", c.Tag(ctx, r))
			o = must(c.Read(ctx, name))(t)
			if o.ScanOnPush || !o.Created.Equal(created) || !maps.Equal(o.Tags, map[string]string{"team": "b", "k": "v", model.TagCreation: "nonce-1"}) {
				t.Errorf("read %+v of %+v, created %v", o, r, created)
			}
			digest := must(b.PushImage(t, name, "src-1", "one"))(t)
			if got := must(c.Digest(ctx, name, "src-1"))(t); got != digest {
				t.Errorf("digest %s, want %s", got, digest)
			}
			fixed := b.makeRepository(t, exempting(types.ImageTagMutabilityImmutableWithExclusion, "lat*"))
			if !must(c.Head(ctx, fixed))(t).LatestMutable {
				t.Errorf("latest cannot be moved in %s", fixed)
			}
			fixed = b.makeRepository(t, exempting(types.ImageTagMutabilityImmutable))
			if must(c.Head(ctx, fixed))(t).LatestMutable {
				t.Errorf("latest can be moved in %s", fixed)
			}
		}},
		{"imagerepository says what ECR's refusals mean", func(t T, b *Backend) {
			ctx, c, name := t.Context(), imagerepository.New(b.ECR, b.Account), b.fresh("repository")
			r := model.Repository{Name: name, ARN: b.repositoryARN(name)}
			_, head := c.Head(ctx, name)
			_, read := c.Read(ctx, name)
			_, digest := c.Digest(ctx, name, "latest")
			for what, err := range map[string]error{"head": head, "read": read, "digest": digest} {
				wantFault(t, what+" of a missing repository", err, fault.Unknown, fault.ErrNotFound)
			}
			wantFault(t, "scanning of a repository that is gone", c.ScanOnPush(ctx, r), fault.Retry, nil)
			wantFault(t, "tags for a repository that is gone", c.Tag(ctx, r), fault.Retry, nil)
			must(c.Create(ctx, r, "nonce"))(t)
			_, err := c.Create(ctx, r, "nonce")
			wantFault(t, "a name that is taken", err, fault.Retry, fault.ErrExists)
			_, err = c.Digest(ctx, name, "latest")
			wantFault(t, "an image that is missing", err, fault.Unknown, fault.ErrNotFound)
			_, err = c.Create(ctx, model.Repository{Name: "Not-A-Name"}, "nonce")
			wantFault(t, "a bad name", err, fault.Unknown, nil)
		}},
	}
}

// exempting sets which tags can be moved, and filters that are exempt.
func exempting(setting types.ImageTagMutability, filters ...string) func(*ecr.CreateRepositoryInput) {
	return func(in *ecr.CreateRepositoryInput) {
		in.ImageTagMutability = setting
		for _, f := range filters {
			in.ImageTagMutabilityExclusionFilters = append(in.ImageTagMutabilityExclusionFilters, types.ImageTagMutabilityExclusionFilter{
				Filter: &f, FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard,
			})
		}
	}
}

// pushes is how a repository is made and what comes of that.
type pushes struct {
	change        func(*ecr.CreateRepositoryInput)
	latest, other bool // the tags "latest" and "other" can be moved
}

// push pushes images to tags old and new.
func (b *Backend) push(t T, what string, c pushes) {
	t.Helper()
	name := b.makeRepository(t, c.change)
	_, err := b.describeImage(t, name, "latest")
	wantCode(t, what+": no image", err, "ImageNotFoundException")
	one, two := must(b.PushImage(t, name, "src-1", "one"))(t), must(b.PushImage(t, name, "src-2", "two"))(t)
	if one == two || !strings.HasPrefix(one, "sha256:") || len(one) != len("sha256:")+64 {
		t.Errorf("%s: digests %q, %q", what, one, two)
	}
	b.wantDigest(t, name, "src-1", one)
	b.wantDigest(t, name, "src-2", two)
	for tag, moves := range map[string]bool{"latest": c.latest, "other": c.other} {
		must(b.PushImage(t, name, tag, "one"))(t)
		b.wantDigest(t, name, tag, one)
		_, err := b.PushImage(t, name, tag, "two")
		if moves {
			wantCode(t, what+": move "+tag, err, "")
			b.wantDigest(t, name, tag, two)
		} else {
			wantCode(t, what+": move "+tag, err, "ImageTagAlreadyExistsException")
			b.wantDigest(t, name, tag, one)
		}
	}
	b.wantDigest(t, name, "src-1", one)
}

func manyTags(n int) map[string]string {
	tags := map[string]string{}
	for i := range n {
		tags[fmt.Sprint("k", i)] = "v"
	}
	return tags
}
