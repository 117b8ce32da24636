package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/smithy-go"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/naming"
)

// answerCodeBuild has CodeBuild answer. moto's has no builds that run.
func (p *Proxy) answerCodeBuild(ctx context.Context, c Call, body []byte) answer {
	if p.o.CodeBuild == nil {
		return unanswered(c, "there is no CodeBuild here")
	}
	serve, ok := codeBuildOperations()[c.Operation]
	if !ok {
		return unanswered(c, "its CodeBuild does not do that")
	}
	a := serve(ctx, c, p.o.CodeBuild(c.Caller), body)
	var started struct{ Build struct{ ServiceRole string } }
	if c.Operation == "StartBuild" && a.ok() && json.Unmarshal(a.body, &started) == nil {
		p.UseRole(naming.RoleOf(started.Build.ServiceRole), time.Now())
	}
	return a
}

type operation func(context.Context, Call, *awsfake.CodeBuild, []byte) answer

func codeBuildOperations() map[string]operation {
	return map[string]operation{
		"BatchGetBuilds":       serving((*awsfake.CodeBuild).BatchGetBuilds),
		"BatchGetProjects":     serving((*awsfake.CodeBuild).BatchGetProjects),
		"CreateProject":        serving((*awsfake.CodeBuild).CreateProject),
		"DeleteProject":        serving((*awsfake.CodeBuild).DeleteProject),
		"ListProjects":         serving((*awsfake.CodeBuild).ListProjects),
		"ListBuildsForProject": serving((*awsfake.CodeBuild).ListBuildsForProject),
		"StartBuild":           serving((*awsfake.CodeBuild).StartBuild),
		"StopBuild":            serving((*awsfake.CodeBuild).StopBuild),
		"UpdateProject":        serving((*awsfake.CodeBuild).UpdateProject),
	}
}

// serving speaks JSON 1.1 for a method of the SDK's shape.
func serving[In, Out any](do func(*awsfake.CodeBuild, context.Context, *In, ...func(*codebuild.Options)) (*Out, error)) operation {
	return func(ctx context.Context, c Call, service *awsfake.CodeBuild, body []byte) answer {
		var in In
		if err := json.Unmarshal(body, &in); err != nil { // names of members differ in case alone
			return refuse(c, http.StatusBadRequest, "SerializationException", err.Error())
		}
		out, err := do(service, ctx, &in)
		var api smithy.APIError
		switch {
		case errors.As(err, &api):
			return refuse(c, http.StatusBadRequest, api.ErrorCode(), api.ErrorMessage())
		case err != nil:
			return refuse(c, http.StatusInternalServerError, "InternalFailure", err.Error())
		}
		a := answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}}
		a.body, err = json.Marshal(members(reflect.ValueOf(out)))
		if err != nil {
			return refuse(c, http.StatusInternalServerError, "InternalFailure", fmt.Sprintf("encode the answer: %v", err))
		}
		return a
	}
}

// members gives a value of the SDK as CodeBuild's JSON has it: names begin in
// lower case, what is not set is left out, and times are seconds since the epoch.
func members(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		return members(v.Elem())
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = members(v.Index(i))
		}
		return list
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return float64(t.UnixMilli()) / 1000
		}
		object := map[string]any{}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.IsExported() && f.Name != "ResultMetadata" && !unset(v.Field(i)) {
				object[lowerFirst(f.Name)] = members(v.Field(i))
			}
		}
		return object
	default:
		return v.Interface()
	}
}

// unset tells what is left out: false and zero mean what they say.
func unset(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0
	default:
		return false
	}
}

func lowerFirst(name string) string {
	return string(unicode.ToLower(rune(name[0]))) + name[1:]
}

// codeBuildResource names the projects that a request is about, those of builds
// by the builds' ids.
func codeBuildResource(body []byte) string {
	var in struct {
		Name, ProjectName string
		ID                string
		Names, IDs        []string
	}
	if json.Unmarshal(body, &in) != nil {
		return ""
	}
	var projects []string
	seen := map[string]bool{"": true}
	add := func(name string) {
		if name = name[strings.LastIndexByte(name, '/')+1:]; !seen[name] { // of an ARN
			seen[name], projects = true, append(projects, name)
		}
	}
	add(in.Name + in.ProjectName) // at most one of them is there
	for _, name := range in.Names {
		add(name)
	}
	for _, id := range append(in.IDs, in.ID) {
		id = id[strings.LastIndexByte(id, '/')+1:]
		project, _, _ := strings.Cut(id, ":")
		add(project)
	}
	return strings.Join(projects, ",")
}
