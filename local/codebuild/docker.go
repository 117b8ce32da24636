package codebuild

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/smithy-go"

	"rolekeeper/shared/agent"
	"rolekeeper/shared/naming"
)

const secretVariable = "LOCAL_CODEBUILD"

// standIn is the program that takes the place of docker and the AWS CLI: it sends
// its name, directory, arguments and input to the local AWS, and gives what comes
// back: exit code and output. Host, port and the secret's variable are filled in.
const standIn = `#!/bin/bash
exec 3<>/dev/tcp/%[1]s/%[2]s || exit 125
body=$({ printf '%%s\0' "${0##*/}" "$PWD" "$#" "$@"; cat; } | base64 | tr -d '\n')
printf 'POST /_local/builds/%%s HTTP/1.0\r\nContent-Length: %%s\r\n\r\n%%s' "$%[3]s" "${#body}" "$body" >&3
code=125
while IFS= read -r line <&3; do
	line=${line%%$'\r'}
	[ -n "$line" ] || break
	[[ $line != X-Exit:* ]] || code=${line#*: }
done
if [ "$code" = 0 ]; then cat <&3; else cat <&3 >&2; fi
exit "$code"
`

// docker is what a build's docker knows.
type docker struct {
	images map[string]string // manifests by name and tag
	logins map[string]bool   // registries
	token  string            // that the AWS CLI gave
}

// called is how a stand-in was called.
type called struct {
	name, dir string
	args      []string
	input     string
}

// maxInput is more than any input of a stand-in.
const maxInput = 1 << 20

func readCall(r io.Reader) (called, error) {
	data, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, io.LimitReader(r, maxInput)))
	if err != nil {
		return called{}, err
	}
	parts := strings.SplitN(string(data), "\x00", 4)
	if len(parts) < 4 {
		return called{}, errors.New("not the call of a stand-in")
	}
	c := called{name: parts[0], dir: parts[1], input: parts[3]}
	n, err := strconv.Atoi(parts[2])
	if err != nil {
		return called{}, err
	}
	for range n {
		arg, rest, found := strings.Cut(c.input, "\x00")
		if !found {
			return called{}, errors.New("fewer arguments than it says")
		}
		c.args, c.input = append(c.args, arg), rest
	}
	return c, nil
}

// failure ends a program with an exit code.
type failure struct {
	code int
	text string
}

func (f *failure) Error() string { return f.text }

func fails(format string, args ...any) error { return &failure{1, fmt.Sprintf(format, args...)} }

// unknown is what no stand-in does: the exit code is that of docker for its own
// failures.
func unknown(format string, args ...any) error {
	return &failure{125, "the local AWS does not do " + fmt.Sprintf(format, args...)}
}

func (j *job) program(w http.ResponseWriter, r *http.Request) {
	c, err := readCall(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var out string
	switch {
	case c.name == "docker" && len(c.args) > 0:
		out, err = j.runDocker(r.Context(), c)
	case c.name == "aws" && len(c.args) >= 2 && c.args[0] == "ecr" && c.args[1] == "get-login-password":
		out, err = j.token(r.Context())
	default:
		err = unknown("%s %s", c.name, strings.Join(c.args, " "))
	}
	code := 0
	if err != nil {
		code, out = 1, err.Error()+"\n"
		var f *failure
		if errors.As(err, &f) {
			code = f.code
		}
	}
	w.Header()["X-Exit"] = []string{strconv.Itoa(code)}
	_, _ = io.WriteString(w, out) // a program that was killed is its own affair
}

func (j *job) runDocker(ctx context.Context, c called) (string, error) {
	options, rest, err := arguments(c.args[1:])
	if err != nil {
		return "", err
	}
	switch c.args[0] {
	case "build":
		return j.dockerBuild(ctx, c, options, rest)
	case "login":
		return j.dockerLogin(c, options, rest)
	case "tag":
		return j.dockerTag(rest)
	case "push":
		return j.dockerPush(ctx, rest)
	}
	return "", unknown("docker %s", c.args[0])
}

// arguments splits docker's: every option is one of these.
func arguments(args []string) (options map[string]string, rest []string, err error) {
	long := map[string]string{"-t": "--tag", "-f": "--file", "-u": "--username", "-q": "--quiet"}
	alone := map[string]bool{"--password-stdin": true, "--quiet": true, "--no-cache": true, "--pull": true}
	valued := map[string]bool{"--tag": true, "--file": true, "--platform": true, "--username": true}
	options = map[string]string{}
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		if full, short := long[name]; short {
			name = full
		}
		switch {
		case !strings.HasPrefix(name, "-"):
			rest = append(rest, args[i])
		case alone[name] && !joined:
			options[name] = "true"
		case valued[name] && joined:
			options[name] = value
		case valued[name] && i+1 < len(args):
			i++
			options[name] = args[i]
		default:
			return nil, nil, unknown("docker's option %s", args[i])
		}
	}
	return options, rest, nil
}

// dockerBuild makes an image of the source. Of the Dockerfile only this is done:
// RUN false fails, and RUN sleep takes so many seconds.
func (j *job) dockerBuild(ctx context.Context, c called, options map[string]string, rest []string) (string, error) {
	if len(rest) != 1 {
		return "", fails("ERROR: docker build requires 1 argument")
	}
	file := options["--file"]
	if file == "" {
		file = filepath.Join(rest[0], "Dockerfile")
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(c.dir, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fails("ERROR: failed to solve: failed to read dockerfile: open %s: no such file or directory", filepath.Base(file))
	}
	if err := follow(ctx, string(text)); err != nil {
		return "", err
	}
	if tag := options["--tag"]; tag != "" {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.docker.images[tag] = manifest(j.source, string(text), options["--platform"])
	}
	return "exporting to image\n", nil
}

// follow does what is done of a Dockerfile.
func follow(ctx context.Context, text string) error {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "RUN" && words[1] == "false":
			return fails(`ERROR: failed to solve: process "/bin/sh -c false" did not complete successfully: exit code: 1`)
		case len(words) == 3 && words[0] == "RUN" && words[1] == "sleep":
			seconds, err := strconv.ParseFloat(words[2], 64)
			if err != nil {
				return fails("ERROR: sleep: invalid time interval %q", words[2])
			}
			select {
			case <-time.After(time.Duration(seconds * float64(time.Second))):
			case <-ctx.Done():
				return fails("ERROR: canceled")
			}
		}
	}
	return nil
}

const manifestType = "application/vnd.docker.distribution.manifest.v2+json"

// manifest gives that of an image: equal for equal sources.
func manifest(source, dockerfile, platform string) string {
	config := sha256.Sum256([]byte(source + "\x00" + dockerfile + "\x00" + platform))
	type blob struct {
		MediaType string `json:"mediaType"`
		Size      int    `json:"size"`
		Digest    string `json:"digest"`
	}
	data, _ := json.Marshal(struct { // strings and numbers always encode
		SchemaVersion int    `json:"schemaVersion"`
		MediaType     string `json:"mediaType"`
		Config        blob   `json:"config"`
		Layers        []blob `json:"layers"`
	}{
		2, manifestType, blob{"application/vnd.docker.container.image.v1+json", 1, "sha256:" + hex.EncodeToString(config[:])},
		[]blob{{"application/vnd.docker.image.rootfs.diff.tar.gzip", 1, "sha256:" + source}},
	})
	return string(data)
}

func (j *job) dockerLogin(c called, options map[string]string, rest []string) (string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(rest) != 1 || options["--username"] != "AWS" || options["--password-stdin"] == "" {
		return "", unknown("docker login other than by --username AWS --password-stdin REGISTRY")
	}
	if token := strings.TrimRight(c.input, "\r\n"); token == "" || token != j.docker.token || rest[0] != j.registry() {
		return "", fails("Error response from daemon: login attempt to https://%s/v2/ failed with status: 400 Bad Request", rest[0])
	}
	j.docker.logins[rest[0]] = true
	return "Login Succeeded\n", nil
}

// registry is the host of the account's own.
func (j *job) registry() string {
	return agent.Place{Partition: naming.Partition(j.of.o.Region), Region: j.of.o.Region, Account: j.of.o.Account}.Registry()
}

func (j *job) dockerTag(rest []string) (string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(rest) != 2 {
		return "", fails("docker tag requires 2 arguments")
	}
	m, ok := j.docker.images[rest[0]]
	if !ok {
		return "", fails("Error response from daemon: No such image: %s", rest[0])
	}
	j.docker.images[rest[1]] = m
	return "", nil
}

func (j *job) dockerPush(ctx context.Context, rest []string) (string, error) {
	if len(rest) != 1 {
		return "", fails("docker push requires 1 argument")
	}
	host, path, _ := strings.Cut(rest[0], "/")
	repository, tag, tagged := strings.Cut(path, ":")
	if !tagged {
		return "", unknown("docker push without a tag")
	}
	j.mu.Lock()
	m, ok := j.docker.images[rest[0]]
	loggedIn := j.docker.logins[host]
	j.mu.Unlock()
	switch {
	case !ok:
		return "", fails("An image does not exist locally with the tag: %s/%s", host, repository)
	case !loggedIn:
		return "", fails("no basic auth credentials")
	}
	out, err := ecr.NewFromConfig(j.config()).PutImage(ctx, &ecr.PutImageInput{
		RegistryId: &j.of.o.Account, RepositoryName: &repository, ImageTag: &tag, ImageManifest: &m, ImageManifestMediaType: aws.String(manifestType),
	})
	var api smithy.APIError
	switch {
	case errors.As(err, &api) && api.ErrorCode() == "ImageAlreadyExistsException": // docker has nothing to push then
		return fmt.Sprintf("%s: already pushed\n", tag), nil
	case errors.As(err, &api):
		return "", fails("%s: %s", api.ErrorCode(), api.ErrorMessage())
	case err != nil:
		return "", fails("%v", err)
	}
	return fmt.Sprintf("%s: digest: %s\n", tag, aws.ToString(out.Image.ImageId.ImageDigest)), nil
}

// token is aws ecr get-login-password.
func (j *job) token(ctx context.Context) (string, error) {
	out, err := ecr.NewFromConfig(j.config()).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return "", &failure{255, fmt.Sprintf("An error occurred when calling the GetAuthorizationToken operation: %v", err)}
	}
	if len(out.AuthorizationData) == 0 {
		return "", &failure{255, "ECR gave no authorization token"}
	}
	data, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		return "", &failure{255, fmt.Sprintf("authorization token: %v", err)}
	}
	_, password, _ := strings.Cut(string(data), ":")
	j.mu.Lock()
	defer j.mu.Unlock()
	j.docker.token = password
	return password + "\n", nil
}
