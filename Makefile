# The commands of this repository; `make` alone lists them. Works with GNU make 3.81 and newer.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The oldest Rust that this builds with, as Cargo.toml says.
RUST := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
TARGET := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release
# Those that an image is made for: this machine's, where nothing else is said.
ARCHITECTURES := $(patsubst x86_64,amd64,$(patsubst aarch64,arm64,$(shell uname -m)))
LINUX := $(filter Linux,$(shell uname -s))

# $(call timed,WHAT,COMMAND): runs the command, and says how long it took.
timed = @began=$$SECONDS; echo "==> $(1)"; $(2) && echo "==> $(1): $$((SECONDS - began)) s"

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: need-cargo control-plane tools programs ## Build the operator, the local Azure and the demo (release), the local control plane and Helm

.PHONY: test
test: build $(if $(LINUX),image) ## Run every test: unit, property and integration tests, generated files, and the demo
	$(call timed,tests,RUST_TEST_THREADS=$${RUST_TEST_THREADS:-16} cargo test --workspace --locked)
	$(call timed,proof,$(RELEASE)/prove explore --most 3000000 && $(RELEASE)/prove gaps && $(RELEASE)/prove walk)
	$(call timed,demo,$(RELEASE)/demo --control-plane "$$(tests/control-plane/build.sh)")

.PHONY: check
check: need-cargo format spelling workflows deny lints rustdoc generated architecture chart-lint ## Check format, spelling, workflows, libraries, lints, API documentation, generated files, the architecture and the chart

.PHONY: deny
deny: need-cargo ## Check the libraries against deny.toml by cargo-deny: bans, licenses, sources; needs no network, but crates.io once for cargo-deny
	$(call timed,libraries,tests/tools/deny.sh)

.PHONY: spelling
spelling: need-cargo ## Check the spelling by typos (_typos.toml); needs crates.io once
	$(call timed,spelling,"$$(tests/tools/cargo-tools.sh typos-cli)")

# Without the linters of scripts, which it would run only on machines that have them.
.PHONY: workflows
workflows: ## Check .github/workflows by actionlint
	$(call timed,workflows,"$$(tests/actionlint/build.sh)" -shellcheck= -pyflakes=)

.PHONY: generate
generate: need-cargo ## Write anew what is generated: crds/, docs/reference/ and parts of the chart
	@GENERATE=1 cargo test --quiet --locked --test generated

.PHONY: chart
chart: need-cargo ## Write anew what is generated in the chart: definitions, rules, dashboards, schema and README
	@GENERATE=1 cargo test --quiet --locked --test generated -- chart definitions

.PHONY: docs
docs: need-cargo ## Write anew what is generated of the documents: docs/reference/, pages of docs/operations/, the chart's README
	@GENERATE=1 cargo test --quiet --locked --test generated -- fields flags states reasons events annotations metrics troubleshooting permissions chart_readme

.PHONY: docs-test
docs-test: build ## Run every command that the documents show, and what they list as not run (a part of `make test`)
	$(call timed,documents,RUST_TEST_THREADS=$${RUST_TEST_THREADS:-16} cargo test --locked -p harness --test docs)

.PHONY: chart-test
chart-test: build ## Test what is installed: the chart and the plain manifests (a part of `make test`)
	$(call timed,chart,RUST_TEST_THREADS=$${RUST_TEST_THREADS:-16} cargo test --locked -p harness --test chart)

.PHONY: gitops
gitops: build ## Test what Flux, Argo CD and kubectl make of the resources (a part of `make test`)
	$(call timed,gitops,RUST_TEST_THREADS=$${RUST_TEST_THREADS:-16} cargo test --locked -p harness --test gitops)

.PHONY: image
image: programs builder ## Build the image as an OCI layout in target/image, without Docker; ARCHITECTURES="amd64 arm64" for both
	@rm -rf $(TARGET)/dist
	$(call timed,what goes into the image,$(foreach each,$(ARCHITECTURES),deploy/image/dist.sh $(each) $(TARGET)/dist &&) true)
	$(call timed,image,deploy/image/assemble.sh $(TARGET)/dist $(TARGET)/image)

.PHONY: demo
demo: need-cargo $(if $(CONTEXT),,control-plane) programs ## Show it on this machine, in a minute; KEEP=1 leaves it running, CONTEXT=name takes a cluster of your kubeconfig
	@$(RELEASE)/demo $(if $(CONTEXT),--context "$(CONTEXT)",--control-plane "$$(tests/control-plane/build.sh)") $(if $(KEEP),--keep)

.PHONY: prove
prove: programs ## Prove the promise at length (SCHEDULES=1000000); SEED=n plays one random schedule again, and tells it; both: so many from there on
	@$(if $(SEED),$(RELEASE)/prove walk --seed $(SEED) $(if $(SCHEDULES),--count $(SCHEDULES)),$(RELEASE)/prove explore --full && $(RELEASE)/prove gaps && \
	  $(RELEASE)/prove walk --count $(or $(SCHEDULES),1000000))

.PHONY: mutants
mutants: need-cargo ## Break the operator in each way of tests/prove/mutants, in a copy of the sources, and see that the proof notices; ONLY=name for one
	@tests/prove/mutants.sh $(ONLY)

.PHONY: bench
bench: build ## Measure runs, polls, memory and lateness (SIZES="200 2000"); no test
	$(call timed,benchmark,deploy/image/compile.sh -p harness --bin bench)
	@$(RELEASE)/bench $(SIZES)

.PHONY: chaos
chaos: build ## Run the whole crash matrix: a fault at every request of a run; a quarter of an hour (ONLY='plain-aas/POST-refreshes#1/kill-after' runs one cell, JOBS=8 fewer at a time)
	$(call timed,crash matrix,CHAOS=all $(if $(JOBS),CHAOS_JOBS=$(JOBS)) cargo test --locked --quiet -p harness --test chaos -- $(if $(ONLY),'$(ONLY)'))

.PHONY: fuzz
fuzz: need-cargo ## Fuzz every reader of what comes from outside, FUZZ_SECONDS=60 each; ONLY=token one of them, KEEP=1 adds to the corpus
	$(call timed,fuzzing,FUZZ_SECONDS="$(FUZZ_SECONDS)" KEEP="$(KEEP)" tests/fuzz/run.sh $(ONLY))

.PHONY: fidelity
fidelity: need-cargo programs ## Run clients that nobody here wrote (azure-identity, Airflow) against the local Azure; needs Python 3.11 to 3.13 and PyPI; no test
	$(call timed,fidelity,tests/fidelity/run.sh $(if $(ONLY),"$(ONLY)"))

.PHONY: clean
clean: need-cargo ## Remove what was built here (the control plane and the tools stay, in the user's cache)
	@cargo clean

# Not listed: parts of the above.

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
	$(call timed,generated files,cargo test --locked --test generated)

.PHONY: architecture
architecture: need-cargo
	$(call timed,architecture,cargo test --locked --quiet --test architecture)

.PHONY: chart-lint
chart-lint:
	$(call timed,chart,for values in charts/tabular-operator/ci/*.yaml; do \
	  "$$(tests/tools/build.sh)/helm" lint --strict --quiet charts/tabular-operator --values "$$values" || exit 1; done)

.PHONY: programs
programs: need-cargo
	$(call timed,operator and local Azure,deploy/image/compile.sh --bins)

.PHONY: control-plane
control-plane:
	$(call timed,control plane,tests/control-plane/build.sh > /dev/null)

.PHONY: tools
tools:
	$(call timed,Helm and its like,tests/tools/build.sh > /dev/null)
	$(call timed,the judge of Flux and Argo CD,tests/judge/build.sh > /dev/null)

.PHONY: builder
builder:
	$(call timed,BuildKit,tests/builder/build.sh > /dev/null)

.PHONY: need-cargo
need-cargo:
	@need() { echo "error: $$*" >&2; exit 1; }; \
	command -v cargo > /dev/null || need "cargo is not on PATH: install Rust $(RUST) or newer (https://rustup.rs)"; \
	found="$$(cargo --version | awk '{ print $$2 }')"; \
	[ "$$(printf '%s\n' "$(RUST)" "$${found%%-*}" | sort -V | head -n 1)" = "$(RUST)" ] || \
	  need "cargo is version $$found, which is too old: install Rust $(RUST) or newer (https://rustup.rs)"; \
	command -v cc > /dev/null || need "no C compiler is on PATH (cc), which the TLS library is built with: install gcc or clang"
