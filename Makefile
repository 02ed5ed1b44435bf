# Everything runs from .venv, which `venv` and `venv-dev` make and keep as the lock says.
VENV := $(or $(WATTSHIFT_VENV),.venv)
BIN := $(VENV)/bin

# Tests wait more than they compute, so there are more of them at a time than there are cores. Those that share what costs
# much go to one worker (tests/scheduling.py).
CORES := $(shell nproc 2>/dev/null || echo 2)
WORKERS ?= $(shell echo $$(($(CORES) * 2)))
PYTEST := $(BIN)/pytest -n

# The rules of the house, without devices, servers or a cluster.
QUICK := $(addprefix tests/,domain accounting dispatch observe explain settings api)

.DEFAULT_GOAL := help
.PHONY: help venv venv-dev demo site test tools check quick lint types imports schema metrics dashboards bench lock clean image kind-up kind-down rules chart bench-cluster

help: ## Show this list
	@awk -F ':.*## ' '/^##@ /{printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ To begin with

demo: venv ## Run the 100 MW site on the day of 6 September 2023; options by ARGS="--speed 120 --port 8081"
	@exec $(BIN)/wattshift demo $(ARGS)

site: venv ## Print the example site as tables
	@$(BIN)/wattshift check examples/texas-100mw.yaml

venv: ## Install what Wattshift needs to run into .venv
	@scripts/setup-venv.sh

venv-dev: ## Install what the tests and checks need as well
	@scripts/setup-venv.sh --dev

##@ Checks

check: venv-dev ## Style, types, imports and the tests of the rules: for each commit, a minute or two
	@$(MAKE) --no-print-directory -j2 --output-sync=target types quick lint imports

test: tools lint types imports ## Install what is needed, run all checks and tests; pytest options by ARGS="-k feeder"
	$(PYTEST) $(WORKERS) $(ARGS)

quick: venv-dev
	$(PYTEST) $(CORES) -q $(QUICK)

tools: venv-dev
	@if [ -x scripts/install-chromium.sh ]; then scripts/install-chromium.sh; fi
	@if [ -x scripts/install-prometheus.sh ]; then scripts/install-prometheus.sh; fi
	@if [ -x scripts/install-postgres.sh ]; then scripts/install-postgres.sh; fi

lint: venv-dev ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv-dev ## Check types
	$(BIN)/mypy

imports: venv-dev ## Check that imports point inward
	$(BIN)/lint-imports --no-logo

chart: venv-dev ## Check the Helm chart: lint, schema, rendered snapshots; renew those by WATTSHIFT_RENEW_SNAPSHOTS=1
	$(BIN)/pytest tests/chart

bench: venv-dev ## Run the benchmarks
	@for file in benchmarks/bench_*.py; do echo "$$file"; $(BIN)/python "$$file" || exit 1; done

##@ On a cluster

kind-up: venv ## Make a kind cluster with the mock site, or bring it up to date; settings in scripts/kind-up.sh
	@scripts/kind-up.sh

kind-down: ## Remove that cluster
	@scripts/kind-down.sh

image: venv ## Build the container image; IMAGE and BASE name it and its base
	@scripts/build-image.sh

bench-cluster: venv-dev ## Run benchmarks/cluster on a kind cluster of its own with KWOK; options by ARGS="--fleets 200 --jobs 500"
	@PYTHON=$(BIN)/python scripts/bench-cluster.sh $(ARGS)

##@ Maintenance

schema: venv ## Remake docs/site.schema.json from the models of the site file
	@$(BIN)/python -c 'import json; from orchestrator.settings import settings_schema as s; print(json.dumps(s(), indent=2))' \
		> docs/site.schema.json

metrics: venv ## Remake the tables of docs/metrics.md from the code
	@$(BIN)/python -m orchestrator.runtime.observability.metrics docs/metrics.md

dashboards: venv-dev ## Remake the Grafana dashboards from deploy/grafana
	@$(BIN)/python -m deploy.grafana.render

rules: ## Copy the recording rules and alerts of deploy/mixin into the chart, which can't read them there
	@mkdir -p charts/wattshift/files/rules && rm -f charts/wattshift/files/rules/*.yaml
	@cp deploy/mixin/rules/*.yaml charts/wattshift/files/rules/

lock: venv-dev ## Remake the lock files with the newest versions
	@scripts/lock.sh

clean: ## Remove .venv, caches and build output; .wattshift, the site's record, stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find orchestrator tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
