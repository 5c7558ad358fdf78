# Every command of this repository; `make` alone prints them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PROJECTS := exporter examples/chat preview native relay hub compose
SOURCES := $(addsuffix /src,$(PROJECTS)) exporter/sbom.py jsonnet bench tests
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := .run/bench
RUN_BENCH := PYTHONPATH=bench:exporter/src:examples/chat/src:native/src exec $(BENCH)/bin/python -m claw_bench
PART ?= all
# Needs Python and Docker, no virtual environment.
ENV_FILE ?= .env.prod
PRODUCTION := PYTHONPATH=compose/src exec python3 -m claw_compose --env-file $(ENV_FILE)

##@ Run

.PHONY: demo
demo: $(READY) ## Run the whole stack here, as plain processes; Ctrl-C stops it
	@exec $(BIN)/claw-native demo

.PHONY: demo-check
demo-check: $(READY) ## Beside a running demo: is every job up, every panel filled, every alert delivered?
	@$(BIN)/claw-native check

.PHONY: demo-clean
demo-clean: $(READY) ## Forget the demo's data (the fetched programs stay)
	@$(BIN)/claw-native clean

.PHONY: demo-status
demo-status: $(READY) ## What runs in the demo, from another terminal
	@$(BIN)/claw-native status

.PHONY: demo-logs
demo-logs: $(READY) ## Follow the demo's logs; one service with SERVICE=name
	@$(BIN)/claw-native logs $(SERVICE)

.PHONY: tools
tools: $(READY) ## Fetch Prometheus, Alertmanager, Postgres, Redis and the exporters into .run/tools
	@$(BIN)/claw-native tools

##@ Production (Docker Compose; settings in .env.prod, another file with ENV_FILE=path)

.PHONY: secrets
secrets: ## Make the passwords and the trial certificate that are missing; nothing is overwritten
	@$(PRODUCTION) secrets

.PHONY: preflight
preflight: ## Name every missing or wrong setting, before anything starts
	@$(PRODUCTION) preflight

.PHONY: up
up: ## Start, or bring up to date, and wait until all is healthy; some services with SERVICES="a b"
	@$(PRODUCTION) up $(SERVICES)

.PHONY: down
down: ## Stop; data stays
	@$(PRODUCTION) down

.PHONY: status
status: ## What runs, how healthy, which targets are down, which alerts fire, how old the last backup is
	@$(PRODUCTION) status

.PHONY: logs
logs: ## Follow the logs; some services with SERVICES="a b"
	@$(PRODUCTION) logs $(SERVICES)

.PHONY: backup
backup: ## Write a consistent, checksummed backup of everything that is kept
	@$(PRODUCTION) backup

.PHONY: restore
restore: ## Put a backup back: BACKUP=folder, and OPTIONS="--only grafana --yes"
	@$(PRODUCTION) restore $(BACKUP) $(OPTIONS)

.PHONY: notify-test
notify-test: ## Send a test notification through every receiver, and say which of them took it
	@$(PRODUCTION) notify-test

.PHONY: upgrade-check
upgrade-check: ## What an upgrade to this version of the repository would change, and what to do first
	@$(PRODUCTION) upgrade-check

##@ Change

.PHONY: generate
generate: $(READY) ## Write everything that is derived: rules, routes, dashboards, metrics.json, tables in docs
	@$(BIN)/python -m claw_exporter.render
	@$(BIN)/python -m claw_relay.render
	@$(BIN)/python -m claw_hub.render
	@$(BIN)/python jsonnet/generate.py

.PHONY: format
format: $(READY) ## Format the Python code
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix --quiet $(SOURCES)

.PHONY: wheel
wheel: $(READY) ## Build the wheel of the metrics library into dist/
	@$(BIN)/pip --quiet --disable-pip-version-check wheel --no-deps --no-build-isolation --wheel-dir dist exporter/
	@ls dist/claw_exporter-*.whl

.PHONY: vendor-metrics
vendor-metrics: $(READY) ## Beside a running demo: capture the exporters' metric names into jsonnet/vendor-metrics.json
	@$(BIN)/python jsonnet/vendor_metrics.py

.PHONY: lock
lock: $(READY) ## Compile the hashed requirements files anew, with the newest versions
	@bash requirements/lock.sh --upgrade

.PHONY: golden
golden: $(READY) ## Rewrite the golden files of the tests; the diff is the change of contract
	@CLAW_TEST_GOLDEN=rewrite $(BIN)/pytest tests -q -k golden

.PHONY: screenshots
screenshots: $(READY) ## Draw every dashboard of a demo that has run for 15 minutes into docs/images
	@$(BIN)/python -m claw_preview.screenshots docs/images --query from=now-15m

##@ Prove

.PHONY: check
check: $(READY) ## Format, lint, types, and no difference between sources and generated files
	@$(BIN)/ruff format --check --quiet $(SOURCES)
	@$(BIN)/ruff check --quiet $(SOURCES)
	@for project in $(PROJECTS); do $(BIN)/mypy --no-error-summary $$project/src; done
	@$(BIN)/mypy --no-error-summary exporter/sbom.py
	@$(BIN)/mypy --no-error-summary jsonnet bench tests
	@$(BIN)/python -m claw_exporter.render --check
	@$(BIN)/python -m claw_relay.render --check
	@$(BIN)/python -m claw_hub.render --check
	@$(BIN)/python jsonnet/generate.py --check

.PHONY: test
test: check tools ## Everything that must hold, with the real servers (some 45 minutes)
	@rm -f .coverage .coverage.*
	@$(BIN)/pytest tests --ignore=tests/docker --cov --cov-report=
	@$(BIN)/python tests/coverage.py
	@$(MAKE) --no-print-directory test-compose

.PHONY: test-compose
test-compose: $(READY) ## Run docker-compose.prod.yml in a real Docker Engine of its own (as root; says so when it cannot)
	@$(BIN)/pytest tests/docker

.PHONY: drills
drills: $(READY) ## Break a running stack for real, fault by fault: do the right alerts come? OPTIONS="--only name" (docs/DRILLS.md)
	@$(BIN)/claw-native drills $(OPTIONS)

.PHONY: calm
calm: $(READY) ## Run the demo for an hour, in which nothing may fire but the heartbeats
	@$(BIN)/claw-native calm $(OPTIONS)

.PHONY: matrix
matrix: $(READY) ## The middleware's behaviour on every supported Starlette and FastAPI, each in its own environment
	@$(BIN)/python tests/matrix/matrix.py $(VERSIONS)

.PHONY: test-free-threaded
test-free-threaded: $(READY) ## The library and its race tests on a CPython without the GIL (builds one, once, some minutes)
	@$(BIN)/python tests/free_threaded/free_threaded.py

.PHONY: test-quick
test-quick: $(READY) ## The tests that start no server
	@$(BIN)/pytest tests -q -m "not tools and not stack"

##@ Measure (docs/PERFORMANCE.md)

.PHONY: bench
bench: $(BENCH)/.ready ## Every benchmark without a server, beside other libraries; one with PART=name OPTIONS="..."
	@$(RUN_BENCH) $(PART) $(OPTIONS)

.PHONY: bench-instructions
bench-instructions: PART := instructions
bench-instructions: bench ## The middleware's instructions, which no load changes (needs valgrind)

.PHONY: bench-server
bench-server: PART := server
bench-server: bench ## Requests per second and latency of the example app under uvicorn, with wrk

.PHONY: bench-panels
bench-panels: $(READY) tools ## Time of every query of every dashboard, over a store of a month; some five minutes
	@PYTHONPATH=bench:jsonnet exec $(BIN)/python -m claw_bench panels $(OPTIONS)

$(BENCH)/.ready: bench/requirements.txt | $(READY)
	@$(BIN)/python -m venv --clear --without-pip $(BENCH)
	@$(BIN)/pip --python $(BENCH)/bin/python --quiet --disable-pip-version-check install --require-hashes -r $<
	@touch $@

##@ Set up

.PHONY: venv
venv: $(READY) ## Make the virtual environment (every other target does it when needed)

$(READY): requirements/dev.txt $(addsuffix /pyproject.toml,$(PROJECTS))
	@bash native/bootstrap.sh $(VENV) $(PROJECTS)

.PHONY: clean
clean: ## Forget the virtual environment, the fetched programs and the demo's data
	@if [ -x $(BIN)/claw-native ]; then $(BIN)/claw-native clean; fi
	@rm -rf $(VENV) .run

.PHONY: help
help:
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
