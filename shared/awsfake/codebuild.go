package awsfake

// codeBuild is what an account has of CodeBuild.
type codeBuild struct{}

func newCodeBuild() *codeBuild { return &codeBuild{} }

func (b *codeBuild) clone() *codeBuild { out := *b; return &out }
