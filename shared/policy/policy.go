// Package policy reads, compares and writes IAM policy documents.
package policy

// Document is one IAM policy document, trust or permissions.
type Document struct{}
