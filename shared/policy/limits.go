package policy

// Quotas of IAM (IAM User Guide, "IAM and AWS STS quotas"), in characters unless
// said otherwise. White space in policies does not count.
const (
	MaxInlinePerRole = 10240 // all inline policies of one role together
	MaxTrust         = 2048  // default; can be raised for an account
	MaxManaged       = 6144
	MaxRoleName      = 64
	MaxPolicyName    = 128
	MaxDescription   = 1000
	MaxTags          = 50 // tags per role
	MaxTagKey        = 128
	MaxTagValue      = 256
)
