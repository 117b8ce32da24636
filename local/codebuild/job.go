package codebuild

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"rolekeeper/local/bus"
	"rolekeeper/local/child"
	"rolekeeper/shared/awsfake"
)

// job is a build that is being run.
type job struct {
	of      *CodeBuild
	build   types.Build
	id      string
	project string
	secret  string // by which its stand-ins are known
	cancel  context.CancelFunc

	dir    string // everything of it is below
	spec   buildspec
	source string // SHA-256 of what was downloaded, hex
	failed bool
	count  int // of commands

	mu     sync.Mutex // stand-ins may run side by side, in a pipe
	docker docker
}

func newJob(c *CodeBuild, b types.Build) *job {
	return &job{of: c, build: b, id: *b.Id, project: *b.ProjectName, secret: bus.NewID(), docker: docker{images: map[string]string{}, logins: map[string]bool{}}}
}

func (j *job) config() aws.Config { return j.of.o.Config(CallerName + j.project) }

func (j *job) log(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	j.of.write(j.project, fmt.Sprintf("[Container] %s %s", time.Now().UTC().Format("2006/01/02 15:04:05.000000"), text))
}

// run goes through the phases (user guide, "Build phase transitions").
func (j *job) run(ctx context.Context, dir string) awsfake.Outcome {
	j.dir = dir
	done := awsfake.Outcome{State: types.StatusTypeFailed}
	if err := j.phase(types.BuildPhaseTypeDownloadSource, func() error { return j.prepare(ctx) }); err != nil {
		done.Phase, done.Message = types.BuildPhaseTypeDownloadSource, err.Error()
		return done
	}
	for _, p := range specPhases() {
		err := j.phase(p, func() error { return j.commands(ctx, p) })
		if err == nil || ctx.Err() != nil {
			continue
		}
		if p == types.BuildPhaseTypeInstall || p == types.BuildPhaseTypePreBuild {
			done.Phase, done.Message = p, err.Error()
			return done
		}
		j.of.cloud.FailPhase(j.id, err.Error())
		j.failed = true
	}
	if !j.failed {
		done.State = types.StatusTypeSucceeded
	}
	return done
}

// phase enters a phase and tells the log how it went. An error is the phase's
// message, CODE: text.
func (j *job) phase(p types.BuildPhaseType, do func() error) error {
	j.of.pass()
	j.of.cloud.EnterPhase(j.id, p)
	j.log("Entering phase %s", p)
	err := do()
	if err == nil {
		j.log("Phase complete: %s State: SUCCEEDED", p)
		return nil
	}
	j.log("Phase complete: %s State: FAILED", p)
	code, text, _ := strings.Cut(err.Error(), ": ")
	j.log("Phase context status code: %s Message: %s", code, text)
	return err
}

// prepare gets all that commands need.
func (j *job) prepare(ctx context.Context) error {
	for _, sub := range []string{"src", "bin", "home"} {
		if err := os.Mkdir(filepath.Join(j.dir, sub), 0o750); err != nil {
			return fmt.Errorf("CLIENT_ERROR: %w", err)
		}
	}
	if s := j.build.Source; s.Type != types.SourceTypeS3 && s.Type != types.SourceTypeNoSource {
		return fmt.Errorf("CLIENT_ERROR: the local CodeBuild has no source of type %s", s.Type)
	}
	if j.build.Source.Type == types.SourceTypeS3 {
		if err := j.download(ctx, filepath.Join(j.dir, "src")); err != nil {
			return err
		}
	}
	var err error
	if j.spec, err = parseBuildspec(aws.ToString(j.build.Source.Buildspec)); err != nil {
		return fmt.Errorf("YAML_FILE_ERROR: %w", err)
	}
	for _, v := range j.build.Environment.EnvironmentVariables {
		if v.Type != "" && v.Type != types.EnvironmentVariableTypePlaintext {
			return fmt.Errorf("%s: the local CodeBuild has no variables of type %s, as %s is", "Decrypted Variables Error", v.Type, *v.Name)
		}
	}
	return j.installPrograms()
}

// commands runs those of a phase: the first that fails is the last, but for those
// that are run finally.
func (j *job) commands(ctx context.Context, p types.BuildPhaseType) error {
	spec := j.spec.Phases[phaseName(p)]
	err := j.each(ctx, spec.Commands)
	return errors.Join(err, j.each(ctx, spec.Finally))
}

func (j *job) each(ctx context.Context, commands []string) error {
	for _, command := range commands {
		j.log("Running command %s", command)
		if err := j.command(ctx, command); err != nil {
			return fmt.Errorf("COMMAND_EXECUTION_ERROR: Error while executing command: %s. Reason: %w", command, err)
		}
	}
	return nil
}

// command runs one command in a shell of its own, which begins where the last one
// ended: in its directory, with its exported variables.
func (j *job) command(ctx context.Context, command string) error {
	j.count++
	script, state := filepath.Join(j.dir, fmt.Sprintf("script-%d.sh", j.count)), filepath.Join(j.dir, "env.sh")
	succeeding := "1"
	if j.failed {
		succeeding = "0"
	}
	text := fmt.Sprintf(`[ ! -e '%[1]s' ] || . '%[1]s'
export CODEBUILD_BUILD_SUCCEEDING=%[2]s
trap 'status=$?; { export -p; printf "cd \"%%s\"\n" "$PWD"; } > "%[1]s"; exit $status' EXIT
%[3]s
`, state, succeeding, command)
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		return err
	}
	cmd := child.Command(ctx, j.spec.Env.Shell, script)
	// A command's own children end with it; where it has no group of its own it is
	// killed alone, after WaitDelay.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Dir, cmd.Env = filepath.Join(j.dir, "src"), j.environment()
	out, err := cmd.CombinedOutput()
	if text := strings.TrimRight(string(out), "\n"); text != "" {
		j.of.write(j.project, strings.Split(text, "\n")...)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return fmt.Errorf("exit status %d", exit.ExitCode())
	}
	return err
}

// environment gives the variables of a build environment (user guide,
// "Environment variables in build environments"): CodeBuild's own, the
// buildspec's, the build's; later ones win.
func (j *job) environment() []string {
	b, source := j.build, filepath.Join(j.dir, "src")
	env := []string{
		"PATH=" + filepath.Join(j.dir, "bin") + ":/usr/local/bin:/usr/bin:/bin", "HOME=" + filepath.Join(j.dir, "home"), secretVariable + "=" + j.secret,
		"AWS_REGION=" + j.of.o.Region, "AWS_DEFAULT_REGION=" + j.of.o.Region,
		"CODEBUILD_BUILD_ARN=" + *b.Arn, "CODEBUILD_BUILD_ID=" + *b.Id, "CODEBUILD_BUILD_IMAGE=" + aws.ToString(b.Environment.Image),
		"CODEBUILD_BUILD_NUMBER=" + strconv.FormatInt(*b.BuildNumber, 10), "CODEBUILD_INITIATOR=" + *b.Initiator,
		"CODEBUILD_KMS_KEY_ID=" + aws.ToString(b.EncryptionKey), "CODEBUILD_LOG_PATH=" + aws.ToString(b.Logs.StreamName),
		"CODEBUILD_SOURCE_REPO_URL=" + aws.ToString(b.Source.Location), "CODEBUILD_SOURCE_VERSION=" + aws.ToString(b.SourceVersion),
		"CODEBUILD_SRC_DIR=" + source, "CODEBUILD_START_TIME=" + strconv.FormatInt(b.StartTime.UnixMilli(), 10),
	}
	for name, value := range j.spec.Env.Variables {
		env = append(env, name+"="+value)
	}
	for _, v := range b.Environment.EnvironmentVariables {
		env = append(env, *v.Name+"="+*v.Value)
	}
	return env
}

// installPrograms puts stand-ins before the programs of the machine.
func (j *job) installPrograms() error {
	u, err := url.Parse(j.of.o.Endpoint)
	if err != nil {
		return fmt.Errorf("CLIENT_ERROR: %w", err)
	}
	script := fmt.Sprintf(standIn, u.Hostname(), u.Port(), secretVariable)
	for _, name := range []string{"docker", "aws"} {
		if err := os.WriteFile(filepath.Join(j.dir, "bin", name), []byte(script), 0o700); err != nil { //nolint:gosec // it is a program
			return fmt.Errorf("CLIENT_ERROR: %w", err)
		}
	}
	return nil
}
