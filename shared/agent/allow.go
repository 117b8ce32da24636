package agent

// Allowed is what the platform team lets configs ask for: patterns in which *
// stands for any characters.
type Allowed struct {
	Models              []string // ids of models and inference profiles, as configs write them
	Repositories        []string // names of ECR repositories
	Memories            []string // ids of memories, beside those named after the agent
	CredentialProviders []string // names of credential providers
	Audiences           []string // audiences of web identity tokens
}
