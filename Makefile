# The entry point. Every target has one line of purpose after ##; recipes longer than five lines live in scripts/.
# `make help` is the default. Only run, test, demo and setup change the machine; the others name what is missing and end.
.DEFAULT_GOAL := help
SHELL := /bin/bash
export PATH := $(CURDIR)/target/tools/bin:$(CURDIR)/target/tools/go/bin:$(PATH):/usr/local/go/bin:/usr/sbin:/sbin:$(HOME)/.cargo/bin
RELEASE := target/$(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')/release
# Only these stages of the tests: make test STAGE=chart, or STAGE="chart e2e"
STAGE ?=
# What is measured, and how long: make bench BENCH="--only fresh,short"
BENCH ?=
# Which parser is fed (all if none is named), and for how long
TARGET ?=
SECONDS ?= 600
# What is released: make release VERSION=0.2.0 KEY=cosign.key RELEASE_FLAGS="--arch amd64"
VERSION ?=
KEY ?=
RELEASE_FLAGS ?=
# How the fleet is measured: make fleet FLEET="--nodes 1000 --watch shared"
FLEET ?=

.PHONY: help needs setup setup-test build run check unit test fuzz crds reference kernels selectors names web cluster cluster-down chart chart-readme dashboards dashboards-check images e2e demo demo-down fleet bench bench-quick bench-peers bench-index criterion docs site measure-first-run fresh-root clean dashboards-proof dashboards-situations dashboards-scale dashboards-pictures skew release release-twice

help: ## List the targets, and the stages of `make test`
	@sed -nE 's/^([a-z][a-z-]*):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | sort | awk -F'\t' '{printf "%-22s %s\n", $$1, $$2}'
	@echo; echo 'Stages of make test (make test STAGE=NAME):'; scripts/test --list

needs:
	@scripts/setup --missing build

setup: ## Install what building needs and this machine lacks (Debian; silent when nothing is missing)
	@scripts/setup build

setup-test: ## The same for every test: a browser, an emulator, Docker, the parts of a cluster, cargo-deny
	@scripts/setup test

build: needs ## Build the programs for release
	cargo build --release --locked --workspace --bins

run: ## Install what is missing, build the agent alone, quickly, and show the live picture of this host (as root every process)
	@scripts/run

check: ## Formatting, words, clippy (all together and as built for use), licences and sources of dependencies
	@scripts/setup --missing build deny go
	scripts/check

unit: needs ## Every Rust test that needs neither root nor a cluster: the inner loop
	scripts/unit

test: ## Install what is missing and run everything, cheapest first; ends with the counts. STAGE=NAME: only that
	@scripts/test $(STAGE)

fuzz: needs ## Feed every parser of bytes from outside with made-up inputs: 10 minutes each; make fuzz TARGET=http SECONDS=60
	SECONDS_EACH=$(SECONDS) fuzz/run $(TARGET)

crds: needs ## Write the CustomResourceDefinitions and the table of fields in the manual from the types in crds/src
	cargo run --locked --quiet -p probelet-crds --bin probelet-crdgen crds charts/probelet/files/crds docs/user/configure.md

reference: needs ## Write the manual's pages of all metrics, flags and subcommands from the code
	PROBELET_WRITE_REFERENCE=1 cargo test --locked --quiet --workspace --lib the_page_of_

kernels: ## Boot the agent's BPF programs on other kernels in emulation, for amd64 and arm64, against /proc in the guest
	@scripts/setup --missing build kernels arm64
	e2e/kernels/run
	e2e/kernels/run --arm64

selectors: ## Compare our label selectors with Kubernetes' own over 200,000 random cases (needs Go)
	@scripts/setup --missing build go
	e2e/apimachinery/run

skew: ## Operator and agent of the first release with those of this tree, both ways (root; builds the first release once)
	@scripts/setup --missing build
	e2e/skew/run

names: ## Pods and Services by name on a real cluster of two nodes, against the API server (root)
	@scripts/setup --missing build cluster go
	e2e/names/run

chart: ## The Helm chart: lint, manifests against Kubernetes' schemas, what its values do; needs no cluster
	@scripts/setup --missing chart go
	e2e/chart/run

web: ## The agent's web page in headless Chromium, against a real agent with real connections
	@scripts/setup --missing build web
	e2e/web/run

chart-readme: ## Write the chart's README from the comments in its values.yaml
	python3 tools/chart/readme.py

dashboards: ## Write the Grafana dashboards of the chart from tools/dashboards/boards
	PYTHONDONTWRITEBYTECODE=1 python3 tools/dashboards/generate.py

dashboards-check: ## Dashboards, rules and runbooks: Grafana's linter rules, drift, promtool's tests; needs no cluster
	@scripts/setup --missing dashboards
	e2e/dashboards/run

dashboards-proof: ## Every query of every panel and rule on a real cluster, faults provoked (root, about 15 minutes)
	@scripts/setup --missing build cluster go dashboards
	e2e/dashboards/prove

dashboards-scale: ## Every query before 5,000 agents; writes docs/benchmarks-dashboards.md (after dashboards-proof, about 10 minutes)
	@scripts/setup --missing dashboards
	PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=e2e/dashboards:tools/dashboards python3 bench/dashboards/scale.py $${CLUSTER_DIR:-target/dev-cluster}/prometheus --write docs/benchmarks-dashboards.md

dashboards-situations: ## The five situations of docs/user/situations.md on a real cluster, release builds, with pictures (root, 20 minutes)
	@scripts/setup --missing build cluster go dashboards web
	cargo build --locked --release --workspace --bins
	bin=target/$$(rustc -vV | sed -n 's/^host: //p')/release; \
	  e2e/dashboards/prove --situations target/situations agent=$$bin/probelet-agent operator=$$bin/probelet-operator

dashboards-pictures: ## Pictures of the dashboards while things break; writes docs/images (root, node, chromium; 8 minutes)
	@scripts/setup --missing build cluster go dashboards web
	e2e/dashboards/prove --only edit,few_series,missed,small_budget,expensive_source --pictures $(CURDIR)/docs/images

cluster: ## Bring up the real cluster of e2e/dev-cluster with two nodes (root; builds Kubernetes the first time)
	@scripts/setup --missing build cluster go
	CLUSTER_DIR=target/dev-cluster e2e/dev-cluster/cluster up --nodes 2

cluster-down: ## End that cluster and put back what it changed
	CLUSTER_DIR=target/dev-cluster e2e/dev-cluster/cluster down

release: ## Everything of a release into dist/VERSION, for amd64 and arm64: make release VERSION=0.2.0 [KEY=cosign.key]; publishes nothing
	@[ -n "$(VERSION)" ] || { echo 'which version? make release VERSION=0.2.0' >&2; exit 2; }
	@scripts/setup --missing build $(if $(KEY),go release)
	tools/release/build $(VERSION) $(if $(KEY),--key $(KEY)) $(RELEASE_FLAGS)

release-twice: ## Is it reproducible? The programs of a release built in another folder, beside dist/VERSION: make release-twice VERSION=0.2.0
	tools/release/twice $(VERSION)

images: ## Images of the agent and the operator, without a daemon: target/images/*.tar
	@scripts/setup --missing build images
	tools/images/build

e2e: ## The product on a real cluster of two nodes: both Helms, edits, failures, an outage (root, about 6 minutes)
	@scripts/setup --missing build cluster go
	e2e/cluster/run

demo: ## See it work: a real cluster of two nodes, probelet, a small shop, three commands to look around with (root)
	@demo/run

demo-down: ## End the demo and put back what it changed
	demo/run down

bench: build ## Measure the agent at the standard workload; writes docs/benchmarks.md (root, about 30 minutes)
	$(RELEASE)/probelet-bench --write docs/benchmarks.md $(BENCH)

bench-quick: build ## The same, shorter and coarser; writes nothing (root)
	$(RELEASE)/probelet-bench --quick $(BENCH)

bench-peers: build ## What people would otherwise run, beside us under the standard load; writes docs/benchmarks.md (root, about 10 minutes)
	bench/peers --write docs/benchmarks.md

fleet: ## Measure the operator before 5,000 simulated nodes; writes docs/benchmarks-fleet.md (root, about 20 minutes)
	@scripts/setup --missing build cluster go
	bench/fleet/run --release --nodes 5000 --steady 300 --idle 60 --write docs/benchmarks-fleet.md $(FLEET)

bench-index: needs ## The label-selector index against its rivals at five scales; writes docs/benchmarks-index.md
	bench/index/run --write docs/benchmarks-index.md

criterion: needs ## Benches of the pure core: join and diff at 100 to 100,000 sockets
	cargo bench --locked -p probelet-core

site: ## The manual as a site: target/site/html, every page and link checked (builds mdBook the first time)
	@scripts/setup --missing site
	e2e/site/run

docs: needs ## Build the API documentation; a broken link is an error
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items

measure-first-run: ## Time `make run` to its first picture in a fresh clone with an empty cargo home; writes docs/benchmarks.md
	scripts/measure-first-run --write docs/benchmarks.md

fresh-root: ## Do what the README says in a Debian of its own (debootstrap, root), with nothing installed: run, then test
	scripts/fresh-root

clean: ## Delete everything that was built
	cargo clean

-include agent/bpf/bpf.mk
