SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

SAM := .venv/sam/bin/sam
CFN_LINT := .venv/sam/bin/cfn-lint
GOLANGCI_LINT := .build/tools/golangci-lint

SAM_STAMP := .venv/sam/.installed
LOCAL_STAMP := .venv/local/.installed
POLICY_LINT_STAMP := .venv/lint/.installed
CHECKOV_STAMP := .venv/checkov/.installed
NODE_STAMP := local/simulate/node_modules/.installed
PAGE_STAMP := local/page/node_modules/.installed

export SAM_CLI_TELEMETRY := 0

# SAM's Go builder takes its flags from the environment. Without the VCS stamp
# a commit that changes no code changes no binary.
LAMBDA_BUILD := CGO_ENABLED=0 GOFLAGS="-tags=lambda.norpc -trimpath -ldflags=-s -buildvcs=false"

# A certificate bundle for AWS makes no sense on the loopback device, and the
# SDK refuses one together with an HTTP client of our own.
LOCALLY := env -u AWS_CA_BUNDLE

FUZZTIME ?= 20s
HISTORIES ?= 10000

.PHONY: help demo test lint validate fuzz histories build bench deploy tools invoke-drift

help: ## Show this list
	@grep -hE '^[a-z<>-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z<>-]+):.*## /\1\t/' | expand -t 20
	@echo 'invoke-<function>   Run a function on an event file: make invoke-intake EVENT=events/sqs-inbox.json'

demo: $(LOCAL_STAMP) ## Show the whole flow on a local AWS (KEEP=1 leaves it running)
	@$(LOCALLY) go run ./local/cmd/demo

test: tools lint validate ## Run everything that checks the project
	@echo '== all suites, with the race detector and the local AWS'
	@ROLEKEEPER_FULL=1 $(LOCALLY) go test -race -count=1 -timeout 40m ./...

lint: $(GOLANGCI_LINT) ## Check style and the dependency rule
	@echo '== golangci-lint'
	@$(GOLANGCI_LINT) run --config .ci/golangci.yml ./...

validate: $(SAM_STAMP) ## Check the templates
	@echo '== sam validate, cfn-lint'
	@for template in template.yaml events/forwarder.yaml; do \
		$(LOCALLY) AWS_DEFAULT_REGION=us-east-1 $(SAM) validate --lint --template "$$template"; \
		$(CFN_LINT) "$$template"; \
	done

fuzz: ## Run every fuzz target for FUZZTIME (20s) each
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' functions shared cmd local | \
	while IFS=: read -r file target; do \
		target=$${target#func }; \
		echo "== $$target in $$(dirname "$$file")"; \
		$(LOCALLY) go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "./$$(dirname "$$file")" </dev/null; \
	done

histories: ## Play HISTORIES (10000) random histories of agents that come and go
	@$(LOCALLY) go test ./shared/reconcile -run '^TestNothingThatIsInUseIsEverTakenAway$$' -count=1 -timeout 4h -v -histories $(HISTORIES) | \
	grep -vE '^ *(===|--- PASS)'

bench: $(LOCAL_STAMP) ## Print the figures of docs/benchmarks.md (some minutes)
	@$(LAMBDA_BUILD) $(LOCALLY) go run ./local/cmd/bench

build: $(SAM_STAMP) ## Build the functions for AWS
	@$(LAMBDA_BUILD) $(SAM) build

deploy: build ## Deploy to AWS; the first time with ARGS=--guided
	@$(SAM) deploy $(ARGS)

invoke-drift: $(LOCAL_STAMP) ## Run the scheduled pass once, on an empty local AWS
	@$(LOCALLY) go run ./local/cmd/localaws --invoke drift </dev/null

invoke-%: $(LOCAL_STAMP)
	@test -n '$(EVENT)' || { echo 'which event? make invoke-$* EVENT=events/<file>.json' >&2; exit 2; }
	@$(LOCALLY) go run ./local/cmd/localaws --invoke $* --event '$(EVENT)'

tools: $(SAM_STAMP) $(LOCAL_STAMP) $(NODE_STAMP) $(PAGE_STAMP) $(POLICY_LINT_STAMP) $(CHECKOV_STAMP) $(GOLANGCI_LINT) ## Install the pinned tools into .venv, .build, local/simulate and local/page

$(SAM_STAMP): .ci/requirements.txt
	@echo '== installing SAM CLI and cfn-lint into .venv/sam'
	@python3 -m venv --clear .venv/sam
	@.venv/sam/bin/pip install --quiet --requirement $<
	@touch $@

$(LOCAL_STAMP): local/requirements.txt
	@echo '== installing moto into .venv/local'
	@python3 -m venv --clear .venv/local
	@.venv/local/bin/pip install --quiet --requirement $<
	@touch $@

$(POLICY_LINT_STAMP): .ci/requirements-lint.txt
	@echo '== installing parliament and cloudsplaining into .venv/lint'
	@python3 -m venv --clear .venv/lint
	@.venv/lint/bin/pip install --quiet --requirement $<
	@touch $@

$(CHECKOV_STAMP): .ci/requirements-checkov.txt
	@echo '== installing checkov into .venv/checkov (a minute, once)'
	@python3 -m venv --clear .venv/checkov
	@.venv/checkov/bin/pip install --quiet --requirement $<
	@touch $@

$(NODE_STAMP): local/simulate/package-lock.json
	@echo '== installing the IAM simulator into local/simulate'
	@npm ci --silent --no-audit --no-fund --prefix local/simulate
	@touch $@

$(PAGE_STAMP): local/page/package-lock.json
	@echo '== installing a headless browser into local/page'
	@npm ci --silent --no-audit --no-fund --prefix local/page
	@touch $@

$(GOLANGCI_LINT): .ci/tools/go.mod .ci/tools/go.sum
	@echo '== building golangci-lint into .build/tools (a few minutes, once)'
	@mkdir -p $(@D)
	@cd .ci/tools && go build -o '$(CURDIR)/$@' github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@
