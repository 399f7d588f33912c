# The front door. Every target has one line of purpose after ##; recipes longer than five lines live in scripts/.
# `make help` is the default.
.DEFAULT_GOAL := help
SHELL := /bin/bash
RELEASE := target/$(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')/release
# What is measured, and how long: make bench BENCH="--only fresh,short"
BENCH ?=
# How the fleet is measured: make fleet FLEET="--nodes 1000 --watch shared"
FLEET ?=

.PHONY: help setup setup-test build run check test crds reference kernels selectors names web cluster cluster-down chart chart-readme dashboards dashboards-check images e2e demo demo-down fleet bench bench-quick bench-index criterion docs clean dashboards-proof dashboards-situations dashboards-scale dashboards-pictures

help: ## List the targets
	@sed -nE 's/^([a-z][a-z-]*):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | sort | awk -F'\t' '{printf "%-20s %s\n", $$1, $$2}'

setup: ## Install what building and running needs and this machine lacks (Debian; silent when nothing is missing)
	@scripts/setup build

setup-test: ## The same for every test: clang, qemu and Docker besides
	@scripts/setup build test

build: setup ## Build the programs for release
	cargo build --release --locked --workspace --bins

run: build ## Build, then show the live picture of this host (as root it shows every process)
	$(RELEASE)/probelet-agent top

check: setup ## Formatting, clippy (all together and as built for use), licences and sources of dependencies
	scripts/check

test: setup ## Everything above and every test, cheapest first; ends with the counts
	scripts/test

crds: setup ## Write the CustomResourceDefinitions and the table of fields in the manual from the types in crds/src
	cargo run --locked --quiet -p probelet-crds --bin probelet-crdgen crds charts/probelet/files/crds docs/user/configure.md

reference: setup ## Write the manual's pages of all metrics, flags and subcommands from the code
	PROBELET_WRITE_REFERENCE=1 cargo test --locked --quiet --workspace --lib the_page_of_

kernels: setup ## Boot the agent's BPF programs on other kernels in emulation, against /proc in the guest
	e2e/kernels/run

selectors: setup ## Compare our label selectors with Kubernetes' own over 200,000 random cases (needs Go)
	e2e/apimachinery/run

names: setup ## Pods and Services by name on a real cluster of two nodes, against the API server (root)
	e2e/names/run

chart: ## The Helm chart: lint, manifests against Kubernetes' schemas, what its values do; needs no cluster
	e2e/chart/run

web: setup-test ## The agent's web page in headless Chromium, against a real agent with real connections
	e2e/web/run

chart-readme: ## Write the chart's README from the comments in its values.yaml
	python3 e2e/chart/readme.py

dashboards: ## Write the Grafana dashboards of the chart from e2e/dashboards/boards
	PYTHONDONTWRITEBYTECODE=1 python3 e2e/dashboards/generate.py

dashboards-check: ## Dashboards, rules and runbooks: Grafana's linter rules, drift, promtool's tests; needs no cluster
	e2e/dashboards/run

dashboards-proof: setup-test ## Every query of every panel and rule on a real cluster, faults provoked (root, about 15 minutes)
	e2e/dashboards/prove

dashboards-scale: setup-test ## Every query before 5,000 agents; writes docs/benchmarks-dashboards.md (after dashboards-proof, about 10 minutes)
	PYTHONDONTWRITEBYTECODE=1 python3 e2e/dashboards/scale.py $${CLUSTER_DIR:-target/dev-cluster}/prometheus --write docs/benchmarks-dashboards.md

dashboards-situations: setup-test ## The five situations of docs/user/situations.md on a real cluster, release builds, with pictures (root, 20 minutes)
	cargo build --locked --release --workspace --bins
	bin=target/$$(rustc -vV | sed -n 's/^host: //p')/release; \
	  e2e/dashboards/prove --situations target/situations agent=$$bin/probelet-agent operator=$$bin/probelet-operator

dashboards-pictures: setup-test ## Pictures of the dashboards while things break; writes docs/images (root, node, chromium; 8 minutes)
	e2e/dashboards/prove --only edit,few_series,missed,small_budget,dear_source --pictures $(CURDIR)/docs/images

cluster: setup-test ## Bring up the real cluster of e2e/dev-cluster with two nodes (root; builds Kubernetes the first time)
	CLUSTER_DIR=target/dev-cluster e2e/dev-cluster/cluster up --nodes 2

cluster-down: ## End that cluster and put back what it changed
	CLUSTER_DIR=target/dev-cluster e2e/dev-cluster/cluster down

images: setup-test ## Images of the agent and the operator, without a daemon: target/images/*.tar
	e2e/images/build

e2e: setup-test ## The product on a real cluster of two nodes: both Helms, edits, failures, an outage (root, about 6 minutes)
	e2e/cluster/run

demo: setup-test ## See it work: a real cluster of two nodes, probelet, a small shop, three commands to look around with (root)
	e2e/demo/run

demo-down: ## End the demo and put back what it changed
	e2e/demo/run down

bench: build ## Measure the agent at the standard workload; writes docs/benchmarks.md (root, about 30 minutes)
	$(RELEASE)/probelet-bench --write docs/benchmarks.md $(BENCH)

bench-quick: build ## The same, shorter and coarser; writes nothing (root)
	$(RELEASE)/probelet-bench --quick $(BENCH)

fleet: setup-test ## Measure the operator before 5,000 simulated nodes; writes docs/benchmarks-fleet.md (root, about 20 minutes)
	e2e/fleet/run --release --nodes 5000 --steady 300 --idle 60 --write docs/benchmarks-fleet.md $(FLEET)

bench-index: setup ## The label-selector index against its rivals at five scales; writes docs/benchmarks-index.md
	e2e/index-bench/run --write docs/benchmarks-index.md

criterion: setup ## Benches of the pure core: join and diff at 100 to 100,000 sockets
	cargo bench --locked -p probelet-core

docs: setup ## Build the API documentation; a broken link is an error
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items

clean: ## Delete everything that was built
	cargo clean

-include agent/bpf/bpf.mk
