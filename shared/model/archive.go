package model

import (
	"errors"
	"fmt"
	"time"
)

// Archive is a role as it was before something of it was taken away.
type Archive struct {
	V          int          `json:"v"`
	Reason     string       `json:"reason"` // one of the reasons below
	Config     string       `json:"config"` // S3 key of the config that the role was made for
	Agent      string       `json:"agent"`
	Kind       RoleKind     `json:"kind"`
	Retirement string       `json:"retirement,omitempty"` // id of the retirement, of ArchiveRetired
	ArchivedAt time.Time    `json:"archivedAt"`
	Role       ObservedRole `json:"role"`
}

// Why a role was archived.
const (
	ArchivePoliciesRemoved = "policies-removed"
	ArchiveAdopted         = "adopted"
	ArchiveRetired         = "retired"
	ArchiveRestored        = "restored" // as it was before an older archive was put in its place
)

// ParseArchive reads an archive, strictly: a role is made of it.
func ParseArchive(data []byte) (Archive, error) {
	var a Archive
	if err := strict(data, &a); err != nil {
		return Archive{}, fmt.Errorf("archive: %w", err)
	}
	var wrong error
	switch {
	case a.V != 1:
		wrong = errVersion
	case a.Config == "" || a.Agent == "":
		wrong = errors.New("no owner")
	case a.Kind != RuntimeRole && a.Kind != BuildRole:
		wrong = fmt.Errorf("there is no kind of role %.100q", a.Kind)
	case a.Role.Name == "" || a.Role.ID == "" || a.Role.Trust == "":
		wrong = errors.New("no role")
	}
	if wrong != nil {
		return Archive{}, fmt.Errorf("archive: %w", wrong)
	}
	return a, nil
}
