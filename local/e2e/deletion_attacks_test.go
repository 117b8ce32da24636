package e2e

import (
	"maps"
	"slices"
	"strings"

	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
)

// deletionAttacks are what somebody tries to have deleted, to make believe that
// it is not used, or to keep from being undone.
func (s stack) deletionAttacks() []request {
	bounded := map[string]any{"iam:PermissionsBoundary": s.Stack().Outputs["BoundaryArn"]}
	attaching := maps.Clone(bounded)
	attaching["iam:PolicyARN"] = "arn:aws:iam::aws:policy/AdministratorAccess"
	tags := map[string]any{"aws:TagKeys": []string{model.TagConfig, model.TagAgent}}
	runtime, build := owned("my_agent"), naming.BuildRole(region, "my_agent")
	images, project := repositoryARN(naming.Repository("my_agent")), projectARN(naming.Project("my_agent"))
	configs, once := "arn:aws:s3:::"+bucket, map[string]any{"s3:if-none-match": "*"}
	abroad := map[string]any{"aws:RequestedRegion": "eu-west-1"}
	agent := agentCoreARNs + "runtime/my_agent-AbCdEf1234"
	objects := []string{allObjects}

	all := []request{
		// Taken over: reconcile, and tags. What else others gave a role it may give back
		// and take away.
		{what: "takes the tags of a foreign role away", caller: "reconcile", action: "iam:UntagRole", resource: roleARN("admin"), context: tags},
		{what: "takes the tags of another Region's role away", caller: "reconcile", action: "iam:UntagRole", resource: roleARN(naming.RuntimeRole("eu-west-1", "my_agent")), context: tags},

		// Taken over: reconcile, and instance profiles.
		{what: "takes a role from a machine", caller: "reconcile", action: "iam:RemoveRoleFromInstanceProfile", resource: profileARN("machines")},
		{what: "takes another Region's role from a machine", caller: "reconcile", action: "iam:RemoveRoleFromInstanceProfile", resource: profileARN(naming.RuntimeRole("eu-west-1", "my_agent"))},
		{what: "takes a role from a profile whose name goes on", caller: "reconcile", action: "iam:RemoveRoleFromInstanceProfile", resource: profileARN(runtime + "2")},
		{what: "gives a machine a role", caller: "reconcile", action: "iam:AddRoleToInstanceProfile", resource: profileARN(runtime)},
		{what: "deletes an instance profile", caller: "reconcile", action: "iam:DeleteInstanceProfile", resource: profileARN(runtime)},

		// Taken over: reconcile, and what is built and run.
		{what: "deletes another project", caller: "reconcile", action: "codebuild:DeleteProject", resource: deployments},
		{what: "deletes another project", caller: "reconcile", attached: anything, action: "codebuild:DeleteProject", resource: deployments},
		{what: "deletes a project of another Region", caller: "reconcile", attached: anything, action: "codebuild:DeleteProject", resource: strings.Replace(project, region, "eu-west-1", 1)},
		{what: "deletes another repository", caller: "reconcile", action: "ecr:DeleteRepository", resource: production},
		{what: "deletes another repository", caller: "reconcile", attached: anything, action: "ecr:DeleteRepository", resource: production},
		{what: "deletes a repository of another Region", caller: "reconcile", attached: anything, action: "ecr:DeleteRepository", resource: strings.Replace(images, region, "eu-west-1", 1)},
		{what: "deletes a runtime", caller: "reconcile", action: "bedrock-agentcore:DeleteAgentRuntime", resource: agent},
		{what: "gives a runtime another role", caller: "reconcile", action: "bedrock-agentcore:UpdateAgentRuntime", resource: agent},
		{what: "makes a runtime", caller: "reconcile", action: "bedrock-agentcore:CreateAgentRuntime", resource: "*"},
		{what: "calls an agent", caller: "reconcile", action: "bedrock-agentcore:InvokeAgentRuntime", resource: agent},
		{what: "reads a memory's events", caller: "reconcile", action: "bedrock-agentcore:ListEvents", resource: agentCoreARNs + "memory/m-AbCdEf1234"},
		{what: "reads a runtime of another Region", caller: "reconcile", action: "bedrock-agentcore:GetAgentRuntime", resource: strings.Replace(agent, region, "eu-west-1", 1)},
		{what: "lists runtimes of another Region", caller: "reconcile", action: "bedrock-agentcore:ListAgentRuntimes", resource: "*", context: abroad},

		// Taken over: reconcile, and what is remembered. The bucket's policy stops it at
		// archives, whatever it may do.
		{what: "forgets what was deleted of late", caller: "reconcile", action: "s3:DeleteObject", resource: configs + "/" + naming.DeletionsKey},
		{what: "deletes a status", caller: "reconcile", action: "s3:DeleteObject", resource: configs + "/status/a.yaml.json"},

		// A developer with all of S3.
		{what: "makes believe that nothing uses a role", action: "s3:PutObject", resource: configs + "/" + naming.InventoryKey},
		{what: "makes believe so where there is no inventory", action: "s3:PutObject", resource: configs + "/" + naming.InventoryKey, context: once},
		{what: "deletes the inventory", action: "s3:DeleteObject", resource: configs + "/" + naming.InventoryKey},
		{what: "makes believe that nothing was deleted of late", action: "s3:PutObject", resource: configs + "/" + naming.DeletionsKey},
		{what: "deletes the count of deletions", action: "s3:DeleteObject", resource: configs + "/" + naming.DeletionsKey},
		{what: "forges a status", action: "s3:PutObject", resource: configs + "/" + naming.StatusKey("configs/team/a.yaml"), context: once},

		// A developer, and an operator, beside S3.
		{what: "reads an archive", caller: "developer", action: "s3:GetObject", resource: configs + "/archive/role/1.json"},
		{what: "reads what uses roles", caller: "developer", action: "s3:GetObject", resource: configs + "/" + naming.InventoryKey},
		{what: "runs the pass", action: "lambda:InvokeFunction", resource: functionARN("rolekeeper-drift")},
		{what: "runs the pass", caller: "operator", action: "lambda:InvokeFunction", resource: functionARN("rolekeeper-drift")},
		{what: "makes believe that nothing uses a role", caller: "operator", attached: objects, action: "s3:PutObject", resource: configs + "/" + naming.InventoryKey},
		{what: "makes believe that nothing was deleted of late", caller: "operator", attached: objects, action: "s3:PutObject", resource: configs + "/" + naming.DeletionsKey},
		{what: "deletes a version of an archive", caller: "operator", attached: objects, action: "s3:DeleteObjectVersion", resource: configs + "/archive/role/1.json"},

		// Taken over: intake.
		{what: "makes believe that nothing uses a role", caller: "intake", attached: objects, action: "s3:PutObject", resource: configs + "/" + naming.InventoryKey},
		{what: "reads an archive", caller: "intake", action: "s3:GetObject", resource: configs + "/archive/role/1.json"},
		{what: "reads a runtime", caller: "intake", action: "bedrock-agentcore:GetAgentRuntime", resource: agent},

		// Scheduler with the schedule's role.
		{what: "calls another function", caller: scheduler, action: "lambda:InvokeFunction", resource: functionARN("rolekeeper-reconcile")},
		{what: "calls a function whose name goes on", caller: scheduler, action: "lambda:InvokeFunction", resource: functionARN("rolekeeper-drift-2")},
		{what: "gives reconcile work", caller: scheduler, action: "sqs:SendMessage", resource: queueARN("rolekeeper-work.fifo")},
		{what: "sends intake an event", caller: scheduler, action: "sqs:SendMessage", resource: queueARN("rolekeeper-inbox")},
	}
	// Roles that are not agents', and agents' outside the boundary.
	for write, context := range map[string]map[string]any{"AttachRolePolicy": attaching, "DetachRolePolicy": attaching, "DeleteRolePolicy": bounded, "DeleteRole": bounded} {
		for _, role := range []string{"admin", naming.RuntimeRole("eu-west-1", "my_agent"), "path/" + runtime, runtime + "2"} {
			all = append(all, request{what: "takes from a foreign role inside the boundary", caller: "reconcile", action: "iam:" + write, resource: roleARN(role), context: context})
		}
		for _, role := range []string{runtime, build} {
			all = append(all,
				request{what: "takes from a role without a boundary", caller: "reconcile", action: "iam:" + write, resource: roleARN(role)},
				request{what: "takes from an agent's role", action: "iam:" + write, resource: roleARN(role), context: context},
				request{what: "takes from an agent's role", caller: "operator", action: "iam:" + write, resource: roleARN(role), context: context},
				request{what: "takes from an agent's role", caller: "intake", action: "iam:" + write, resource: roleARN(role), context: context},
				request{what: "takes from an agent's role", caller: "drift", action: "iam:" + write, resource: roleARN(role), context: context})
		}
	}
	for _, caller := range []string{"intake", "drift", "developer", "operator"} {
		all = append(all,
			request{what: "deletes an agent's project", caller: caller, action: "codebuild:DeleteProject", resource: project},
			request{what: "deletes an agent's repository", caller: caller, action: "ecr:DeleteRepository", resource: images})
	}
	return byDevelopers(all)
}

// repositoryAttacks are what reconcile tries where DeleteRepositories is false.
func repositoryAttacks() []request {
	one := request{what: "deletes an agent's repository", caller: "reconcile", action: "ecr:DeleteRepository", resource: repositoryARN(naming.Repository("my_agent"))}
	beside := one
	beside.attached = slices.Clone(anything)
	return []request{one, beside}
}
