package main

import (
	"context"
	"errors"
	"strings"
	"sync"

	"rolekeeper/shared/fault"
	"rolekeeper/shared/model"
	"rolekeeper/shared/reconcile"
)

// snapshot remembers what was read of an account, errors too.
type snapshot struct {
	reconcile.Objects // lists are not remembered
	roles             reconcile.RoleReader
	objects           memory[model.Object]
	heads, whole      memory[model.ObservedRole]
	managed           memory[string]

	sources      seenSources
	repositories seenRepositories
	projects     seenProjects
}

// newSnapshot gives a snapshot of what the readers read.
func newSnapshot(from reconcile.Viewer) *snapshot {
	return &snapshot{
		Objects: from.Objects, roles: from.Roles,
		objects: memory[model.Object]{}, heads: memory[model.ObservedRole]{}, whole: memory[model.ObservedRole]{}, managed: memory[string]{},
		sources:      seenSources{from.Sources, memory[model.Source]{}, memory[bool]{}},
		repositories: seenRepositories{from.Repositories, memory[model.ObservedRepository]{}, memory[model.ObservedRepository]{}},
		projects:     seenProjects{from.Projects, memory[map[string]model.ObservedProject]{}, memory[[]model.Build]{}, memory[[]model.Build]{}},
	}
}

// memory keeps what reads gave, by what was read.
type memory[T any] map[string]func() (T, error)

func (m memory[T]) recall(name string, read func() (T, error)) (T, error) {
	if m[name] == nil {
		m[name] = sync.OnceValues(read)
	}
	return m[name]()
}

// Get reads an object.
func (s *snapshot) Get(ctx context.Context, key string) (model.Object, error) {
	return s.objects.recall(key, func() (model.Object, error) { return s.Objects.Get(ctx, key) })
}

// Head reads a role without its policies.
func (s *snapshot) Head(ctx context.Context, name string) (model.ObservedRole, error) {
	return s.heads.recall(name, func() (model.ObservedRole, error) { return s.roles.Head(ctx, name) })
}

// Read reads a whole role.
func (s *snapshot) Read(ctx context.Context, name string) (model.ObservedRole, error) {
	return s.whole.recall(name, func() (model.ObservedRole, error) { return s.roles.Read(ctx, name) })
}

// Managed reads the document of a managed policy.
func (s *snapshot) Managed(ctx context.Context, arn string) (string, error) {
	return s.managed.recall(arn, func() (string, error) { return s.roles.Managed(ctx, arn) })
}

// Present reports whether a service-linked role is there.
func (s *snapshot) Present(ctx context.Context, name string) (bool, error) {
	_, err := s.Head(ctx, name)
	if errors.Is(err, fault.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// role gives a role as it was read; the zero value when it is not there.
func (s *snapshot) role(name string) model.ObservedRole {
	if read := s.whole[name]; read != nil {
		if o, err := read(); err == nil {
			return o
		}
	}
	return model.ObservedRole{}
}

// seenSources are sources as they were read.
type seenSources struct {
	reader   reconcile.SourceReader
	versions memory[model.Source]
	notifies memory[bool]
}

// Source reads the newest version of a source, or the known one.
func (s seenSources) Source(ctx context.Context, key, known string) (model.Source, error) {
	return s.versions.recall(key+"\x00"+known, func() (model.Source, error) { return s.reader.Source(ctx, key, known) })
}

// Notifies reads whether the bucket tells of new sources.
func (s seenSources) Notifies(ctx context.Context) (bool, error) {
	return s.notifies.recall("", func() (bool, error) { return s.reader.Notifies(ctx) })
}

// seenRepositories are repositories as they were read.
type seenRepositories struct {
	reconcile.RepositoryReader // images are not remembered
	heads, whole               memory[model.ObservedRepository]
}

// Head reads a repository without its tags.
func (r seenRepositories) Head(ctx context.Context, name string) (model.ObservedRepository, error) {
	return r.heads.recall(name, func() (model.ObservedRepository, error) { return r.RepositoryReader.Head(ctx, name) })
}

// Read reads a repository.
func (r seenRepositories) Read(ctx context.Context, name string) (model.ObservedRepository, error) {
	return r.whole.recall(name, func() (model.ObservedRepository, error) { return r.RepositoryReader.Read(ctx, name) })
}

// seen gives a repository as it was read; the zero value when it is not there.
func (r seenRepositories) seen(name string) model.ObservedRepository {
	if read := r.whole[name]; read != nil {
		if o, err := read(); err == nil {
			return o
		}
	}
	return model.ObservedRepository{}
}

// seenProjects are projects and their builds as they were read.
type seenProjects struct {
	reader    reconcile.ProjectReader
	whole     memory[map[string]model.ObservedProject]
	listed    memory[[]model.Build]
	refreshed memory[[]model.Build]
}

// Read reads those of the projects that exist.
func (p seenProjects) Read(ctx context.Context, names []string) (map[string]model.ObservedProject, error) {
	return p.whole.recall(strings.Join(names, " "), func() (map[string]model.ObservedProject, error) { return p.reader.Read(ctx, names) })
}

// Builds reads the newest builds of a project.
func (p seenProjects) Builds(ctx context.Context, project string) ([]model.Build, error) {
	return p.listed.recall(project, func() ([]model.Build, error) { return p.reader.Builds(ctx, project) })
}

// Refresh reads builds.
func (p seenProjects) Refresh(ctx context.Context, ids []string) ([]model.Build, error) {
	return p.refreshed.recall(strings.Join(ids, " "), func() ([]model.Build, error) { return p.reader.Refresh(ctx, ids) })
}

// seen gives a project as it was read, and whether it is there.
func (p seenProjects) seen(name string) (model.ObservedProject, bool) {
	for _, read := range p.whole {
		if all, err := read(); err == nil {
			if o, there := all[name]; there {
				return o, true
			}
		}
	}
	return model.ObservedProject{}, false
}
