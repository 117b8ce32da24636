package e2e

import (
	"strings"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// imageAttacks are what somebody tries to do to images, and to what they are made
// with, as attacks above; and what is tried by who uploads a source: its build
// runs as they like.
func (s stack) imageAttacks() []request {
	all := append(s.functionsAndImages(), buildsAtLarge()...)
	for _, role := range []string{naming.RuntimeRole(region, "my_agent"), naming.BuildRole(region, "my_agent")} {
		// The toolkit's roles have no boundary. Somebody gave one all of S3, and a team.
		for _, action := range []string{"s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ReplicateObject"} {
			all = append(all, request{
				what: "writes a source", caller: roleARN(role), attached: []string{allObjects}, action: action,
				resource: "arn:aws:s3:::" + sourceBucket + "/team/my_agent/source.zip", context: map[string]any{"aws:PrincipalTag/" + teamTag: "team"},
			})
		}
	}
	return byDevelopers(all)
}

// What is somebody else's.
var (
	production   = repositoryARN("production")
	otherImages  = repositoryARN(naming.Repository("other"))
	deployments  = projectARN("deploy-production")
	otherProject = projectARN(naming.Project("other"))
)

func (s stack) functionsAndImages() []request {
	ours := []string{model.TagAgent, model.TagConfig}
	keys := func(keys ...string) map[string]any { return map[string]any{"aws:TagKeys": keys} }
	to := func(service string) map[string]any {
		return map[string]any{"iam:PassedToService": service + ".amazonaws.com"}
	}
	images, project := repositoryARN(naming.Repository("my_agent")), projectARN(naming.Project("my_agent"))
	runtime, build := roleARN(naming.RuntimeRole(region, "my_agent")), roleARN(naming.BuildRole(region, "my_agent"))
	group, functions := logGroupARNs(naming.LogGroup(naming.Project("my_agent")))[0], logGroupARNs("/aws/lambda/rolekeeper-reconcile")[0]
	bucket := "arn:aws:s3:::" + sourceBucket
	source, theirs := bucket+"/team/my_agent/source.zip", map[string]any{"s3:ResourceAccount": "210987654321"}
	abroad := func(arn string) string { return strings.Replace(arn, region, "eu-west-1", 1) }

	all := []request{
		// Taken over: reconcile, and roles for builds.
		{what: "passes a build role of another Region's name", caller: "reconcile", action: "iam:PassRole", resource: roleARN(naming.BuildRole("eu-west-1", "my_agent")), context: to("codebuild")},
		{what: "passes a build role under a path", caller: "reconcile", action: "iam:PassRole", resource: roleARN("path/" + naming.BuildRole(region, "my_agent")), context: to("codebuild")},
		{what: "passes a build role to another service", caller: "reconcile", action: "iam:PassRole", resource: build, context: to("lambda")},
		{what: "passes a build role to AgentCore", caller: "reconcile", action: "iam:PassRole", resource: build, context: to("bedrock-agentcore")},
		{what: "passes a build role to nobody in particular", caller: "reconcile", action: "iam:PassRole", resource: build},
		{what: "assumes a build role", caller: "reconcile", action: "sts:AssumeRole", resource: build},

		// Taken over: reconcile, and CodeBuild.
		{what: "makes a project of another name", caller: "reconcile", action: "codebuild:CreateProject", resource: deployments, context: keys(ours...)},
		{what: "makes a project that only begins like ours", caller: "reconcile", action: "codebuild:CreateProject", resource: projectARN("bedrock-agentcore-production"), context: keys(ours...)},
		{what: "changes another project", caller: "reconcile", action: "codebuild:UpdateProject", resource: deployments},
		{what: "builds another project", caller: "reconcile", action: "codebuild:StartBuild", resource: deployments},
		{what: "builds a project that only ends like ours", caller: "reconcile", action: "codebuild:StartBuild", resource: projectARN("production-builder")},
		{what: "builds a project of another Region", caller: "reconcile", action: "codebuild:StartBuild", resource: abroad(project)},
		{what: "looks at a project of another Region", caller: "reconcile", action: "codebuild:BatchGetProjects", resource: abroad(deployments)},
		{what: "looks at the builds of another project", caller: "reconcile", action: "codebuild:ListBuildsForProject", resource: deployments},
		{what: "reads the builds of another project", caller: "reconcile", action: "codebuild:BatchGetBuilds", resource: deployments},

		// Taken over: reconcile, and ECR.
		{what: "makes a repository of another name", caller: "reconcile", action: "ecr:CreateRepository", resource: production, context: keys(ours...)},
		{what: "makes a repository under a path", caller: "reconcile", action: "ecr:CreateRepository", resource: repositoryARN("team/bedrock-agentcore-my_agent"), context: keys(ours...)},
		{what: "makes a repository of another Region", caller: "reconcile", action: "ecr:CreateRepository", resource: abroad(images), context: keys(ours...)},
		{what: "makes a repository with a tag that others go by", caller: "reconcile", action: "ecr:CreateRepository", resource: images, context: keys(append([]string{"team"}, ours...)...)},
		{what: "tags a repository as ours", caller: "reconcile", action: "ecr:TagResource", resource: production, context: keys(ours...)},
		{what: "gives a repository a tag that others go by", caller: "reconcile", action: "ecr:TagResource", resource: images, context: keys("team")},
		{what: "takes a repository's tags away", caller: "reconcile", action: "ecr:UntagResource", resource: images, context: keys(ours...)},
		{what: "keeps another repository from being scanned", caller: "reconcile", action: "ecr:PutImageScanningConfiguration", resource: production},
		{what: "gets a token of the registry", caller: "reconcile", action: "ecr:GetAuthorizationToken", resource: "*"},

		// Taken over: reconcile, and logs.
		{what: "makes another log group", caller: "reconcile", action: "logs:CreateLogGroup", resource: logGroupARNs("/aws/lambda/mine")[0]},
		{what: "has another log forgotten", caller: "reconcile", action: "logs:PutRetentionPolicy", resource: functions},
		{what: "keeps a build's log for ever", caller: "reconcile", action: "logs:DeleteRetentionPolicy", resource: group},
		{what: "deletes a build's log", caller: "reconcile", action: "logs:DeleteLogGroup", resource: group},
		{what: "reads a build's log", caller: "reconcile", action: "logs:GetLogEvents", resource: group + ":log-stream:s"},
		{what: "writes a build's log", caller: "reconcile", action: "logs:PutLogEvents", resource: group + ":log-stream:s"},
		{what: "tags another log group as ours", caller: "reconcile", action: "logs:TagResource", resource: functions, context: keys(ours...)},
		{what: "gives a log group a tag that others go by", caller: "reconcile", action: "logs:TagResource", resource: group, context: keys("team")},
		{what: "gives such a tag among ours", caller: "reconcile", action: "logs:TagResource", resource: group, context: keys(append([]string{"team"}, ours...)...)},

		// Taken over: reconcile, and sources.
		{what: "reads a source from a bucket that has become another account's", caller: "reconcile", action: "s3:GetObject", resource: source, context: theirs},
		{what: "reads an old source from there", caller: "reconcile", action: "s3:GetObjectVersion", resource: source, context: theirs},
		{what: "reads the code of a direct deployment", caller: "reconcile", action: "s3:GetObject", resource: bucket + "/team/my_agent/deployment.zip"},
		{what: "reads an old version of it", caller: "reconcile", action: "s3:GetObjectVersion", resource: bucket + "/team/my_agent/deployment.zip"},
		{what: "reads what is no agent's", caller: "reconcile", action: "s3:GetObject", resource: bucket + "/source.zip"},
		{what: "writes a source", caller: "reconcile", action: "s3:PutObject", resource: source},
		{what: "deletes a source", caller: "reconcile", action: "s3:DeleteObject", resource: source},
		{what: "deletes a version of a source", caller: "reconcile", action: "s3:DeleteObjectVersion", resource: source},
		{what: "has no more versions kept", caller: "reconcile", action: "s3:PutBucketVersioning", resource: bucket},
		{what: "has sources sent elsewhere", caller: "reconcile", action: "s3:PutBucketNotification", resource: bucket},
		{what: "opens the sources", caller: "reconcile", action: "s3:PutBucketPolicy", resource: bucket},

		// Taken over: intake.
		{what: "reads a source", caller: "intake", action: "s3:GetObject", resource: source},
		{what: "reads an old source", caller: "intake", action: "s3:GetObjectVersion", resource: source},
		{what: "writes a source", caller: "intake", action: "s3:PutObject", resource: source},
		{what: "lists the sources", caller: "intake", action: "s3:ListBucket", resource: bucket},
		{what: "looks at a project", caller: "intake", action: "codebuild:BatchGetProjects", resource: project},
		{what: "reads a build", caller: "intake", action: "codebuild:BatchGetBuilds", resource: project},
		{what: "looks at a repository", caller: "intake", action: "ecr:DescribeRepositories", resource: images},
		{what: "reads a claim on a repository", caller: "intake", action: "s3:GetObject", resource: "arn:aws:s3:::" + naming.ConfigBucket(account, region) + "/claims/repositories/r.json"},

		// A developer, whose sources Rolekeeper builds.
		{what: "reads the log of a function", action: "logs:GetLogEvents", resource: functions + ":log-stream:s"},
		{what: "lists the builds of another project", action: "codebuild:ListBuildsForProject", resource: deployments},

		// An operator.
		{what: "reads the code of a direct deployment", caller: "operator", action: "s3:GetObject", resource: bucket + "/team/my_agent/deployment.zip"},
		{what: "writes a source", caller: "operator", action: "s3:PutObject", resource: source},
		{what: "passes a build role to CodeBuild", caller: "operator", action: "iam:PassRole", resource: build, context: to("codebuild")},
		{what: "passes any other role to CodeBuild", caller: "operator", action: "iam:PassRole", resource: roleARN("admin"), context: to("codebuild")},
		{what: "assumes a build role", caller: "operator", action: "sts:AssumeRole", resource: build},
		{what: "looks at another project", caller: "operator", action: "codebuild:BatchGetProjects", resource: deployments},
	}
	for _, given := range [][]string{nil, anything} {
		for what, r := range map[string]request{
			"passes a runtime role to CodeBuild":         {resource: runtime, context: to("codebuild")},
			"passes any other role to CodeBuild":         {resource: roleARN("admin"), context: to("codebuild")},
			"passes its own role to CodeBuild":           {resource: roleARN("rolekeeper-reconcile-" + region), context: to("codebuild")},
			"passes intake's role to CodeBuild":          {resource: roleARN("rolekeeper-intake-" + region), context: to("codebuild")},
			"passes a role whose name goes on to builds": {resource: build + "0", context: to("codebuild")},
		} {
			r.what, r.caller, r.attached, r.action = what, "reconcile", given, "iam:PassRole"
			all = append(all, r)
		}
		for _, action := range []string{"BatchDeleteImage", "SetRepositoryPolicy"} {
			all = append(all, request{what: "takes away what agents run", caller: "reconcile", attached: given, action: "ecr:" + action, resource: images})
		}
	}
	// What only builds and administrators do.
	for _, caller := range []string{"reconcile", "intake", "developer", "operator"} {
		for _, action := range []string{"StartBuildBatch", "RetryBuild", "StopBuild", "CreateWebhook", "UpdateProjectVisibility", "PutResourcePolicy"} {
			all = append(all, request{what: "has CodeBuild do something else", caller: caller, action: "codebuild:" + action, resource: project})
		}
		for _, action := range []string{
			"PutImage", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "BatchDeleteImage",
			"SetRepositoryPolicy", "PutImageTagMutability", "PutLifecyclePolicy", "BatchGetImage", "GetDownloadUrlForLayer",
		} {
			for _, repository := range []string{images, production} {
				all = append(all, request{what: "pushes, pulls or deletes images", caller: caller, action: "ecr:" + action, resource: repository})
			}
		}
		all = append(all, request{what: "deletes a log", caller: caller, action: "logs:DeleteLogGroup", resource: group})
		if caller == "reconcile" {
			continue
		}
		for _, action := range []string{"StartBuild", "CreateProject", "UpdateProject"} {
			all = append(all, request{what: "builds", caller: caller, action: "codebuild:" + action, resource: project})
		}
		all = append(all,
			request{what: "makes a repository", caller: caller, action: "ecr:CreateRepository", resource: images},
			request{what: "tags a repository as ours", caller: caller, action: "ecr:TagResource", resource: images, context: keys(ours...)},
			request{what: "has images not scanned", caller: caller, action: "ecr:PutImageScanningConfiguration", resource: images},
			request{what: "makes a log group", caller: caller, action: "logs:CreateLogGroup", resource: group},
			request{what: "has a log forgotten", caller: caller, action: "logs:PutRetentionPolicy", resource: group})
	}
	return all
}

// buildsAtLarge are what a build tries in either profile.
func buildsAtLarge() []request {
	sources, configs := "arn:aws:s3:::"+sourceBucket, "arn:aws:s3:::"+naming.ConfigBucket(account, region)
	source, theirs := sources+"/team/my_agent/source.zip", map[string]any{"s3:ResourceAccount": "210987654321"}
	own, project := repositoryARN(naming.Repository("my_agent")), projectARN(naming.Project("my_agent"))
	stream := func(group string) string { return logGroupARNs(group)[0] + ":log-stream:s" }
	all := []request{
		{what: "reads an old source of another agent", action: "s3:GetObjectVersion", resource: sources + "/team/other/source.zip"},
		{what: "reads an old version of another object of its own", action: "s3:GetObjectVersion", resource: sources + "/team/my_agent/deployment.zip"},
		{what: "reads its source from a bucket that has become another account's", action: "s3:GetObject", resource: source, context: theirs},
		{what: "reads its old source from there", action: "s3:GetObjectVersion", resource: source, context: theirs},
		{what: "lists old sources", action: "s3:ListBucketVersions", resource: sources},
		{what: "replaces its source", action: "s3:PutObject", resource: source},
		{what: "replaces another agent's source", action: "s3:PutObject", resource: sources + "/team/other/source.zip"},
		{what: "deletes its source", action: "s3:DeleteObject", resource: source},
		{what: "deletes a version of its source", action: "s3:DeleteObjectVersion", resource: source},
		{what: "tags its source", action: "s3:PutObjectTagging", resource: source},
		{what: "opens the sources", action: "s3:PutBucketPolicy", resource: sources},
		{what: "writes a config", action: "s3:PutObject", resource: configs + "/configs/team/agent.yaml"},
		{what: "reads a config", action: "s3:GetObject", resource: configs + "/configs/team/agent.yaml"},
		{what: "reads a status", action: "s3:GetObject", resource: configs + "/status/team/agent.yaml.json"},
		{what: "takes a claim", action: "s3:PutObject", resource: configs + "/claims/roles/0123456789.json"},
		{what: "writes a request", action: "s3:PutObject", resource: configs + "/requests/config/0/1.json", context: map[string]any{"s3:if-none-match": "*"}},
		{what: "writes the log of a function", action: "logs:PutLogEvents", resource: stream("/aws/lambda/rolekeeper-reconcile")},
		{what: "writes the log of another project", action: "logs:CreateLogStream", resource: stream("/aws/codebuild/deploy-production")},
		{what: "reads its log", action: "logs:GetLogEvents", resource: stream(naming.LogGroup(naming.Project("my_agent")))},
		{what: "deletes its log", action: "logs:DeleteLogGroup", resource: logGroupARNs(naming.LogGroup(naming.Project("my_agent")))[0]},
		{what: "reads the settings", action: "ssm:GetParameter", resource: "arn:aws:ssm:" + region + ":" + account + ":parameter/rolekeeper/rolekeeper/settings"},
		{what: "reads a secret", action: "secretsmanager:GetSecretValue", resource: "arn:aws:secretsmanager:" + region + ":" + account + ":secret:password-AbCdEf"},
		{what: "gives reconcile work", action: "sqs:SendMessage", resource: queueARN("rolekeeper-work.fifo")},
		{what: "sends an event as Rolekeeper", action: "events:PutEvents", resource: "arn:aws:events:" + region + ":" + account + ":event-bus/default", context: map[string]any{"events:source": []string{"rolekeeper"}}},
		{what: "calls a function", action: "lambda:InvokeFunction", resource: "arn:aws:lambda:" + region + ":" + account + ":function:rolekeeper-reconcile"},
		{what: "calls an agent", action: "bedrock-agentcore:InvokeAgentRuntime", resource: "arn:aws:bedrock-agentcore:" + region + ":" + account + ":runtime/my_agent-AbCdEf1234"},
		{what: "makes a runtime", action: "bedrock-agentcore:CreateAgentRuntime", resource: "*"},
		{what: "makes a user", action: "iam:CreateUser", resource: "arn:aws:iam::" + account + ":user/mallory"},
	}
	for _, role := range []string{"admin", "rolekeeper-reconcile-" + region, naming.RuntimeRole(region, "my_agent"), naming.BuildRole(region, "other")} {
		all = append(all,
			request{what: "assumes another role", action: "sts:AssumeRole", resource: roleARN(role)},
			request{what: "passes another role", action: "iam:PassRole", resource: roleARN(role), context: map[string]any{"iam:PassedToService": "codebuild.amazonaws.com"}})
	}
	for _, action := range []string{"PutRolePolicy", "AttachRolePolicy", "UpdateAssumeRolePolicy", "DeleteRolePermissionsBoundary"} {
		all = append(all, request{what: "gives itself more", action: "iam:" + action, resource: roleARN(naming.BuildRole(region, "my_agent"))})
	}
	for _, action := range []string{"StartBuild", "UpdateProject", "RetryBuild", "BatchGetProjects"} {
		for _, one := range []string{project, otherProject, deployments} {
			all = append(all, request{what: "has something built", action: "codebuild:" + action, resource: one})
		}
	}
	for _, action := range []string{"PutImage", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "BatchGetImage", "GetDownloadUrlForLayer"} {
		for _, repository := range []string{otherImages, production, strings.Replace(own, region, "eu-west-1", 1), own + "2"} {
			all = append(all, request{what: "pushes or pulls elsewhere", action: "ecr:" + action, resource: repository})
		}
		if !strings.Contains(action, "Get") {
			all = append(all, request{what: "pushes a base image", action: "ecr:" + action, resource: repositoryARN(baseImage)})
		}
	}
	for _, action := range []string{"DeleteRepository", "BatchDeleteImage", "SetRepositoryPolicy", "PutImageTagMutability", "CreateRepository"} {
		all = append(all, request{what: "does more than push", action: "ecr:" + action, resource: own})
	}
	for i, r := range all {
		all[i].caller = builds
		// Whatever policy somebody gives the role: the boundary and the buckets' policies
		// stop it.
		if strings.HasPrefix(r.action, "iam:") || strings.HasPrefix(r.action, "sts:") || strings.HasPrefix(r.action, "codebuild:") || strings.HasPrefix(r.resource, configs) {
			r.caller, r.attached = builds, anything
			all = append(all, r)
		}
	}
	return all
}

// builderAttacks are what a build tries that profile scoped stops and profile
// toolkit, as the toolkit does, allows.
func builderAttacks() []request {
	sources, other := "arn:aws:s3:::"+sourceBucket, naming.LogGroup(naming.Project("other"))
	all := []request{
		{what: "reads the source of another agent", action: "s3:GetObject", resource: sources + "/team/other/source.zip"},
		{what: "reads another object of its own", action: "s3:GetObject", resource: sources + "/team/my_agent/deployment.zip"},
		{what: "lists the sources", action: "s3:ListBucket", resource: sources},
		{what: "makes the log group of another agent's builds", action: "logs:CreateLogGroup", resource: logGroupARNs(other)[0]},
		{what: "writes into the log of another agent's builds", action: "logs:CreateLogStream", resource: logGroupARNs(other)[0] + ":log-stream:s"},
		{what: "forges the log of another agent's builds", action: "logs:PutLogEvents", resource: logGroupARNs(other)[0] + ":log-stream:s"},
	}
	for i := range all {
		all[i].caller = builds
	}
	return all
}
