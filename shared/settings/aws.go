package settings

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/logging"
	"github.com/caarlos0/env/v11"
)

// sdk is what Lambda and the template tell the SDK in the environment.
type sdk struct {
	Region       string        `env:"AWS_REGION,required,notEmpty"`
	AccessKeyID  string        `env:"AWS_ACCESS_KEY_ID,required,notEmpty"`
	SecretKey    string        `env:"AWS_SECRET_ACCESS_KEY,required,notEmpty"`
	SessionToken string        `env:"AWS_SESSION_TOKEN"`
	Endpoint     string        `env:"AWS_ENDPOINT_URL"`
	RetryMode    aws.RetryMode `env:"AWS_RETRY_MODE"`
	MaxAttempts  int           `env:"AWS_MAX_ATTEMPTS"`
}

// AWS gives the SDK's configuration from a function's environment: what the
// SDK's own loader gives there, without the packages for profiles, single
// sign-on and instance roles, which take longer to initialise than the rest of a
// function. Lambda renews a function's keys by renewing its process (Lambda
// developer guide, "Defined runtime environment variables"). A variable that
// the SDK's loader would obey and this one does not is an error.
func AWS(environ map[string]string) (aws.Config, error) {
	s, err := env.ParseAsWithOptions[sdk](env.Options{Environment: environ})
	err = errors.Join(err, retryMode(s.RetryMode), attempts(s.MaxAttempts), unread(environ))
	if err != nil {
		return aws.Config{}, fmt.Errorf("AWS configuration: %w", err)
	}
	c := aws.Config{
		Region:           s.Region,
		Credentials:      credentials.NewStaticCredentialsProvider(s.AccessKeyID, s.SecretKey, s.SessionToken),
		Logger:           logging.NewStandardLogger(os.Stderr),
		RetryMode:        s.RetryMode,
		RetryMaxAttempts: s.MaxAttempts,
		// The loader's defaults, which are not the zero values.
		DefaultsMode:                aws.DefaultsModeLegacy,
		AccountIDEndpointMode:       aws.AccountIDEndpointModePreferred,
		RequestMinCompressSizeBytes: 10240,
		RequestChecksumCalculation:  aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation:  aws.ResponseChecksumValidationWhenSupported,
		RestrictFilePermissions:     aws.RestrictFilePermissionsUserReadWrite,
	}
	if s.Endpoint != "" {
		c.BaseEndpoint = &s.Endpoint
	}
	return c, nil
}

func retryMode(m aws.RetryMode) error {
	switch m {
	case "", aws.RetryModeStandard, aws.RetryModeAdaptive:
		return nil
	}
	return fmt.Errorf("AWS_RETRY_MODE: %q is neither %q nor %q", m, aws.RetryModeStandard, aws.RetryModeAdaptive)
}

func attempts(n int) error {
	if n < 0 {
		return fmt.Errorf("AWS_MAX_ATTEMPTS: %d is negative", n)
	}
	return nil
}

// unread names the variables that somebody set for the SDK in vain. It must not
// name those that Lambda itself sets.
func unread(environ map[string]string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		switch {
		case environ[name] == "":
		case strings.HasPrefix(name, "AWS_ENDPOINT_URL_"),
			slices.Contains([]string{"AWS_CA_BUNDLE", "AWS_DEFAULTS_MODE", "AWS_PROFILE", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT"}, name):
			errs = append(errs, fmt.Errorf("%s: the functions do not read it", name))
		}
	}
	return errors.Join(errs...)
}
