package codebuild

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// Most that a source may hold, unpacked.
const (
	maxFiles = 20_000
	maxBytes = 512 << 20
)

// download fetches the build's source and unpacks it. The error is what CodeBuild
// would say.
func (j *job) download(ctx context.Context, to string) error {
	version := aws.ToString(j.build.SourceVersion)
	err := j.fetch(ctx, aws.ToString(j.build.Source.Location), version, to)
	if err == nil {
		return nil
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		err = fmt.Errorf("%s: %s", api.ErrorCode(), api.ErrorMessage())
	}
	return fmt.Errorf("CLIENT_ERROR: %w for primary source and source version %s", err, version)
}

func (j *job) fetch(ctx context.Context, location, version, to string) error {
	bucket, key, _ := strings.Cut(location, "/")
	in := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	out, err := s3.NewFromConfig(j.config(), func(o *s3.Options) { o.UsePathStyle = true }).GetObject(ctx, in)
	if err != nil {
		return err
	}
	defer out.Body.Close()
	data, err := io.ReadAll(out.Body)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	j.source = hex.EncodeToString(sum[:])
	return unzip(data, to)
}

// unzip unpacks an archive below a directory, which no name in it leads out of.
func unzip(data []byte, to string) error {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	if len(archive.File) > maxFiles {
		return fmt.Errorf("more than %d files", maxFiles)
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // nothing is written through it
	left := int64(maxBytes)
	for _, f := range archive.File {
		if !filepath.IsLocal(f.Name) || f.Mode().Type()&^os.ModeDir != 0 {
			return fmt.Errorf("%q is not a file below the top of the archive", f.Name)
		}
		if f.Mode().IsDir() {
			if err := root.MkdirAll(f.Name, 0o750); err != nil {
				return err
			}
			continue
		}
		if left, err = unpack(root, f, left); err != nil {
			return err
		}
	}
	return nil
}

// unpack writes one file and gives how many bytes are left of the most.
func unpack(root *os.Root, f *zip.File, left int64) (int64, error) {
	if dir := path.Dir(f.Name); dir != "." {
		if err := root.MkdirAll(dir, 0o750); err != nil {
			return 0, err
		}
	}
	in, err := f.Open()
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := root.OpenFile(f.Name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600|f.Mode().Perm()&0o100)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, io.LimitReader(in, left+1))
	if err = errors.Join(err, out.Close()); err != nil {
		return 0, err
	}
	if n > left {
		return 0, fmt.Errorf("more than %d bytes", maxBytes)
	}
	return left - n, nil
}
