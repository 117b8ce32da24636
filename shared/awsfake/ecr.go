package awsfake

// registry is what an account has of ECR.
type registry struct{}

func newRegistry() *registry { return &registry{} }

func (r *registry) clone() *registry { out := *r; return &out }
