# The commands of this repository. `make` lists them. Requires GNU make 3.81 or newer.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The minimum supported Rust version, from Cargo.toml.
RUST := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
TARGET := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release
# The architectures of the image. Default: the architecture of this machine.
ARCHITECTURES := $(patsubst x86_64,amd64,$(patsubst aarch64,arm64,$(shell uname -m)))
LINUX := $(filter Linux,$(shell uname -s))

# $(call timed,WHAT,COMMAND): runs the command and prints its duration.
timed = @began=$$SECONDS; echo "==> $(1)"; $(2) && echo "==> $(1): $$((SECONDS - began)) s"

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: need-cargo control-plane tools programs plugin ## Build the operator, the plugin, the local Azure and the demo (release), the local control plane and Helm

.PHONY: plugin
plugin: need-cargo ## Build the plugin for kubectl, target/release/kubectl-tabular
	$(call timed,plugin,deploy/image/compile.sh --plugin)

.PHONY: test
test: build $(if $(LINUX),image) ## Run every test: unit, property and end-to-end tests, generated files, and the demo
	$(call timed,tests,RUST_TEST_THREADS=$${RUST_TEST_THREADS:-16} cargo test --workspace --locked)
	$(call timed,model check,$(RELEASE)/model explore --max-states 3000000 && $(RELEASE)/model known-gaps && $(RELEASE)/model random)
	$(call timed,demo,$(RELEASE)/demo)

.PHONY: check
check: need-cargo format spelling workflows deny lints rustdoc generated architecture chart-lint ## Check format, spelling, workflows, libraries, lints, API documentation, generated files, the architecture and the chart

.PHONY: deny
deny: need-cargo ## Check the libraries with cargo-deny (deny.toml): bans, licenses and sources; the first run needs crates.io
	$(call timed,libraries,tests/tools/deny.sh)

.PHONY: spelling
spelling: need-cargo ## Check the spelling with typos (_typos.toml); the first run needs crates.io
	$(call timed,spelling,"$$(tests/tools/cargo-tools.sh typos-cli)")

# Without the linters for scripts, which actionlint would run only on machines that have them.
.PHONY: workflows
workflows: ## Check .github/workflows with actionlint
	$(call timed,workflows,"$$(tests/tools/actionlint/build.sh)" -shellcheck= -pyflakes=)

.PHONY: generate
generate: need-cargo ## Regenerate crds/, schemas/, docs/reference/ and parts of the chart
	@GENERATE=1 cargo test --quiet --locked --test generated
	@GENERATE=1 cargo test --quiet --locked -p kubectl-tabular --test generated
	@GENERATE=1 cargo test --quiet --locked -p kubectl-tabular --lib pictures

.PHONY: chart
chart: need-cargo ## Regenerate parts of the chart: definitions, rules, dashboards, schema and README
	@GENERATE=1 cargo test --quiet --locked --test generated -- chart definitions

.PHONY: docs
docs: need-cargo ## Regenerate documents: docs/reference/, pages of docs/operations/ and the README of the chart
	@GENERATE=1 cargo test --quiet --locked --test generated -- fields flags states reasons events annotations metrics troubleshooting permissions chart_readme

.PHONY: e2e
e2e: build $(if $(LINUX),image) ## Run the end-to-end tests: the operator, the chart, GitOps, the image, the documents and a share of the fault matrix (part of `make test`)
	$(call timed,end-to-end tests,RUST_TEST_THREADS=$${RUST_TEST_THREADS:-16} cargo test --locked -p e2e)

.PHONY: docs-test
docs-test: build ## Run every command in the documents, and check the list of skipped commands (part of `make test`)
	$(call timed,documents,RUST_TEST_THREADS=$${RUST_TEST_THREADS:-16} cargo test --locked -p e2e --test docs)

.PHONY: chart-test
chart-test: build ## Test the chart and the plain manifests (part of `make test`)
	$(call timed,chart,RUST_TEST_THREADS=$${RUST_TEST_THREADS:-16} cargo test --locked -p e2e --test chart)

.PHONY: gitops
gitops: build ## Test the resources with Flux, Argo CD and kubectl (part of `make test`)
	$(call timed,gitops,RUST_TEST_THREADS=$${RUST_TEST_THREADS:-16} cargo test --locked -p e2e --test gitops)

# The variable applies to the prerequisites too, so this builds the control plane of that version, not the one of the other targets.
.PHONY: test-kubernetes
test-kubernetes: export KUBERNETES_VERSION = $(or $(VERSION),$(error VERSION is missing, such as VERSION=1.34))
test-kubernetes: build ## Run the end-to-end tests that depend on the Kubernetes version with another one: VERSION=1.34 (docs/operations/support.md)
	$(call timed,tests with Kubernetes $(VERSION),RUST_TEST_THREADS=$${RUST_TEST_THREADS:-16} \
	  cargo test --locked --no-fail-fast -p e2e --test operator --test plugin --test chart --test gitops --test docs)

.PHONY: image
image: programs builder ## Build the image as an OCI layout in target/image, without Docker; ARCHITECTURES="amd64 arm64" for both
	@rm -rf $(TARGET)/dist
	$(call timed,content of the image,$(foreach each,$(ARCHITECTURES),deploy/image/dist.sh $(each) $(TARGET)/dist &&) true)
	$(call timed,image,deploy/image/assemble.sh $(TARGET)/dist $(TARGET)/image)

.PHONY: demo
demo: need-cargo $(if $(CONTEXT),,control-plane) programs plugin ## Run the demo on this machine, in a minute; KEEP=1 leaves it running, CONTEXT=name uses a cluster of your kubeconfig
	@$(RELEASE)/demo $(if $(CONTEXT),--context "$(CONTEXT)") $(if $(KEEP),--keep)

.PHONY: model-check
model-check: programs ## Run the full model check (SCHEDULES=1000000); SEED=n replays one random schedule with its trace; both: as many schedules from that seed
	@$(if $(SEED),$(RELEASE)/model random --seed $(SEED) $(if $(SCHEDULES),--count $(SCHEDULES)),$(RELEASE)/model explore --full && $(RELEASE)/model known-gaps && \
	  $(RELEASE)/model random --count $(or $(SCHEDULES),1000000))

.PHONY: mutants
mutants: need-cargo ## Change one expression of the engine at a time, and report what no scenario detects (.cargo/mutants.toml); takes hours: SHARD=1/20 runs a part, SINCE=main only changed lines
	@"$$(tests/tools/cargo-tools.sh cargo-mutants)" mutants --output $(TARGET) $(if $(SHARD),--shard $(SHARD)) $(if $(SINCE),--in-diff <(git diff $(SINCE)))

.PHONY: bench
bench: build $(if $(REFERENCE),reference) ## Run the benchmark: runs, polls, memory and lag (SIZES="200 2000"); REFERENCE=1 compares with an operator in Go, FAILOVER=1 measures failovers instead; not a test
	$(call timed,benchmark,deploy/image/compile.sh --bin bench)
	@$(RELEASE)/bench $(if $(FAILOVER),failover $(if $(REPETITIONS),--repetitions $(REPETITIONS)),$(if $(REFERENCE),--reference) $(SIZES))

.PHONY: soak
soak: build soak-program ## Run the operator for HOURS=8 (also 0.17) with users, faults and changes of the leader, and check that nothing accumulates; SEED=n repeats the order
	@$(RELEASE)/soak --hours $(or $(HOURS),8) $(if $(SEED),--seed $(SEED)) --samples $(TARGET)/soak.csv --picture $(TARGET)/soak.svg

.PHONY: fault-injection
fault-injection: build ## Run the complete fault matrix: a fault at every request of a run; takes 15 minutes (ONLY='plain-aas/POST-refreshes#1/kill-after' runs one case, JOBS=8 limits the parallel cells)
	$(call timed,fault matrix,FAULTS=all $(if $(JOBS),FAULTS_JOBS=$(JOBS)) cargo test --locked --quiet -p e2e --test faults -- $(if $(ONLY),'$(ONLY)'))

.PHONY: fuzz
fuzz: need-cargo ## Fuzz every parser of external input, FUZZ_SECONDS=60 each; ONLY=token selects one, KEEP=1 extends the corpus
	$(call timed,fuzzing,FUZZ_SECONDS="$(FUZZ_SECONDS)" KEEP="$(KEEP)" tests/fuzz/run.sh $(ONLY))

.PHONY: fidelity
fidelity: need-cargo programs ## Run third-party clients (azure-identity, Airflow) against the local Azure; needs Python 3.11 to 3.13 and PyPI; not a test
	$(call timed,fidelity,tests/simulator/fidelity/run.sh $(if $(ONLY),"$(ONLY)"))

.PHONY: clean
clean: need-cargo ## Remove the build output (the control plane and the tools stay in the user's cache)
	@cargo clean

# Not in the list: parts of the targets above.

.PHONY: format
format: need-cargo
	$(call timed,format,cargo fmt --all --check)

.PHONY: lints
lints: need-cargo
	$(call timed,lints,cargo clippy --workspace --all-targets --locked -- -D warnings)

.PHONY: rustdoc
rustdoc: need-cargo
	$(call timed,API documentation,RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked)

.PHONY: generated
generated: need-cargo
	$(call timed,generated files,cargo test --locked --test generated && cargo test --locked -p kubectl-tabular --test generated)

.PHONY: architecture
architecture: need-cargo
	$(call timed,architecture,cargo test --locked --quiet --test architecture)

.PHONY: chart-lint
chart-lint:
	$(call timed,chart,for values in charts/tabular-operator/ci/*.yaml; do \
	  "$$(tests/tools/third-party/build.sh)/helm" lint --strict --quiet charts/tabular-operator --values "$$values" || exit 1; done)

.PHONY: programs
programs: need-cargo
	$(call timed,operator and local Azure,deploy/image/compile.sh --bin tabular-operator --bin simulator --bin demo --bin model)

.PHONY: soak-program
soak-program: need-cargo
	$(call timed,endurance test,deploy/image/compile.sh --bin soak)

.PHONY: control-plane
control-plane:
	$(call timed,control plane,tests/tools/control-plane/build.sh > /dev/null)

.PHONY: tools
tools:
	$(call timed,Helm and other tools,tests/tools/third-party/build.sh > /dev/null)
	$(call timed,program of Flux and Argo CD libraries,tests/tools/gitops-health/build.sh > /dev/null)
	$(call timed,program of Argo Workflows libraries,tests/tools/argo-workflows/build.sh > /dev/null)

.PHONY: reference
reference:
	$(call timed,reference of the benchmark,tests/bench/reference/build.sh > /dev/null)

.PHONY: builder
builder:
	$(call timed,BuildKit,tests/tools/builder/build.sh > /dev/null)

.PHONY: need-cargo
need-cargo:
	@need() { echo "error: $$*" >&2; exit 1; }; \
	command -v cargo > /dev/null || need "cargo not found in PATH; install Rust $(RUST) or newer (https://rustup.rs)"; \
	found="$$(cargo --version | awk '{ print $$2 }')"; \
	[ "$$(printf '%s\n' "$(RUST)" "$${found%%-*}" | sort -V | head -n 1)" = "$(RUST)" ] || \
	  need "cargo $$found is too old; install Rust $(RUST) or newer (https://rustup.rs)"; \
	command -v cc > /dev/null || need "no C compiler (cc) found in PATH, which the TLS library requires; install gcc or clang"
