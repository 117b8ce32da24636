package agent

import (
	"slices"
	"strings"

	"rolekeeper/shared/expression"
)

// capabilities are all that a permissions block may have. The list is closed:
// a misspelt capability must not be one that silently is not granted.
func capabilities() []string {
	return []string{"models", "code_interpreter", "browser", "identity_tokens", "base_images"}
}

func (e *entry) permissions(block field) Permissions {
	if block.node != nil {
		for _, p := range distinct(pairs(block.node)) {
			if !slices.Contains(capabilities(), p.key.Value) {
				e.unknownCapability(field{path: block.path + "." + legible(p.key.Value), at: place{p.key.Line, p.key.Column}}, p.key.Value)
			}
		}
	}
	p := Permissions{
		Models:          e.models(e.child(block, "models")),
		CodeInterpreter: e.flag(e.child(block, "code_interpreter")),
		Browser:         e.flag(e.child(block, "browser")),
		IdentityTokens:  e.flag(e.child(block, "identity_tokens")),
	}
	for _, item := range e.list(e.child(block, "base_images"), maxBaseImages) {
		if _, ok := e.text(item); !ok {
			continue
		}
		if item.node.Value == "" {
			e.fail(item, "repository-invalid", "the name is empty", "write the repository's name, or remove the item")
			continue
		}
		if name, ok := e.repository(item); ok && !slices.Contains(p.BaseImages, name) {
			p.BaseImages = append(p.BaseImages, name)
			e.named(baseImagesField, name, item)
		}
	}
	return p
}

func (e *entry) unknownCapability(f field, key string) {
	fix := "use one of " + strings.Join(capabilities(), ", ")
	plain := func(s string) string {
		return strings.TrimSuffix(strings.ReplaceAll(strings.ToLower(s), "-", "_"), "s")
	}
	for _, c := range capabilities() {
		if plain(c) == plain(key) {
			fix = "did you mean " + c + "? The capabilities are " + strings.Join(capabilities(), ", ")
		}
	}
	e.fail(f, "permission-unknown", "there is no capability "+quoted(key), fix)
}

// Ids of models. The provider comes first; further dots only stand before
// digits (zai.glm-4.7), so that an unknown geography is not read as a provider.
// Geographies: Bedrock user guide, supported Regions and models for inference profiles.
var (
	modelPattern = expression.Lazy(`\A[a-z0-9][a-z0-9-]*\.[a-z0-9][a-z0-9-]*(?:\.[0-9][a-z0-9-]*){0,2}(?::[a-z0-9][a-z0-9-]*){0,2}\z`)
	geography    = expression.Lazy(`\A(?:us|us-gov|eu|apac|jp|au|ca|global)\.`)
)

func foundationModel(id string) bool {
	for part := range strings.FieldsFuncSeq(id, func(r rune) bool { return r == '.' || r == ':' }) {
		if len(part) > 63 {
			return false
		}
	}
	return modelPattern().MatchString(id)
}

func (e *entry) models(f field) []Model {
	var out []Model
	for _, item := range e.list(f, maxModels) {
		s, ok := e.text(item)
		if !ok {
			continue
		}
		if m, ok := e.model(item, s); ok && !slices.Contains(out, m) {
			out = append(out, m)
			e.named(modelsField, m.id(), item)
		}
	}
	return out
}

// foreignModel says whose model or profile an ARN names when it is not one an agent here can use.
func (p Place) foreignModel(a arn, model, profile bool) string {
	switch {
	case model && a.account != "":
		return "account " + quoted(a.account)
	case model && a.partition != p.Partition:
		return "partition " + quoted(a.partition)
	case model && a.region != p.Region:
		return "region " + quoted(a.region)
	case profile:
		return p.foreign(a)
	}
	return ""
}

// model reads a model given by id or ARN, or by the id or ARN of an inference profile that AWS defines.
func (e *entry) model(f field, s string) (Model, bool) {
	const fix = "write the id of a model, such as anthropic.claude-sonnet-4-20250514-v1:0, or the same after us., eu., apac., jp., au., ca., us-gov. or global. for an inference profile; no wildcards"
	id, model, profile := s, true, true // what id may be
	if a, ok := splitARN(s); ok {
		kind, rest, _ := strings.Cut(a.resource, "/")
		ofBedrock := a.service == "bedrock" && regionID().MatchString(a.region)
		id, model, profile = rest, ofBedrock && kind == "foundation-model", ofBedrock && kind == "inference-profile"
		if ofBedrock && kind == "application-inference-profile" {
			e.fail(f, "model-profile-unsupported", "this is an application inference profile, whose model cannot be told from its ARN",
				"write the id of the model, or of the system inference profile, that it was made from")
			return Model{}, false
		}
		if foreign := e.file.place.foreignModel(a, model, profile); foreign != "" {
			e.fail(f, "model-foreign", quoted(s)+" is of "+foreign+"; roles get rights to models of this region and to profiles of this account and region only", fix)
			return Model{}, false
		}
	}
	prefix := geography().FindString(id)
	switch base := strings.TrimPrefix(id, prefix); {
	case prefix == "" && model && foundationModel(id):
		return Model{FoundationModel: id}, true
	case prefix != "" && profile && foundationModel(base):
		return Model{FoundationModel: base, InferenceProfile: id}, true
	}
	e.fail(f, "model-invalid", quoted(s)+" is neither a model nor an inference profile that AWS defines", fix)
	return Model{}, false
}
