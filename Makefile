# NetRaven: `make help` lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --require-hashes
# More for pytest, e.g. make test ARGS="-k rotation"
ARGS ?=

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install install-dev demo run test test-tools lint bench bench-configs requirements services clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## the virtual environment .venv with what the product runs on

install-dev: $(VENV)/.installed-dev ## and with what the demo, the tests and the linters need

demo: install-dev ## a portal with a fleet of simulated devices, in the foreground
	@exec ./manage.py demo

run: install ## the portal without the demo: first start when needed, then web and worker in the foreground
	@./manage.py setup
	@exec ./manage.py up

# Where `make services` starts it; the tests that are about transactions run there as well.
POSTGRES ?= postgres://postgres@127.0.0.1:5432/test
ON_POSTGRES = tests/jobs/test_runs.py tests/jobs/test_engine_writer.py tests/jobs/test_engine_limits.py \
  tests/jobs/test_engine_recovery.py tests/jobs/test_schedules.py tests/jobs/test_analytics_rollup.py tests/credentials/test_guard.py \
  tests/credentials/test_store.py tests/credentials/test_audit_trail.py tests/devices/test_host_keys.py tests/devices/test_config_store.py tests/devices/test_config_search.py \
  tests/devices/test_config_asides.py tests/devices/test_config_retention.py

test: install-dev test-tools lint ## everything: linters, then tests
	@home=$$(mktemp -d); trap 'rm -rf "$$home"' EXIT; \
	echo "the engine on PostgreSQL ($(POSTGRES))"; \
	NETRAVEN_HOME="$$home" DATABASE_URL="$(POSTGRES)" $(BIN)/python -m pytest -n 2 --dist loadfile -q $(ON_POSTGRES); \
	echo "everything, on SQLite where a test does not say otherwise"; \
	NETRAVEN_HOME="$$home" $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-tools:
	@.ci/ensure chromium=chromium sshd=openssh-server dropbear=dropbear-bin busybox=busybox patch=patch
	@for engine in PostgreSQL:5432 Redis:6379; do \
		(exec 3<> "/dev/tcp/127.0.0.1/$${engine#*:}") 2> /dev/null || \
		echo "$${engine%:*} does not answer on 127.0.0.1:$${engine#*:}: the tests that need it will fail. Start it: make services" >&2; \
	done

lint: install-dev ## style, types, imports, migrations, deployment check
	@echo "ruff"; $(BIN)/ruff check .; $(BIN)/ruff format --check .
	@echo "mypy"; $(BIN)/mypy
	@echo "import-linter"; $(BIN)/lint-imports
	@echo "migrations and deployment check"; \
	home=$$(mktemp -d); trap 'rm -rf "$$home"' EXIT; \
	unset DATABASE_URL NETRAVEN_BROKER_URL NETRAVEN_DEBUG; \
	export NETRAVEN_HOME="$$home" NETRAVEN_HTTPS=yes; \
	./manage.py setup --no-input > /dev/null; \
	./manage.py makemigrations --check --dry-run; \
	./manage.py check --deploy --fail-level WARNING

bench: install-dev $(VENV)/.installed-bench ## NetRaven beside other programs; ARGS="--quick" takes minutes, --help says more
	@.ci/ensure rancid_par=rancid ssh=openssh-client
	@exec $(BIN)/python -m tests.bench $(ARGS)

bench-configs: install-dev ## what keeping, searching, comparing and exporting configurations costs, in some minutes
	@exec $(BIN)/python -m devices.configs.benchmark $(ARGS)

requirements: ## compile requirements*.txt anew from requirements*.in
	@[ -x $(VENV)/tools/bin/uv ] || { $(PYTHON) -m venv $(VENV)/tools && \
		$(VENV)/tools/bin/python -m pip --disable-pip-version-check --quiet install uv; }
	@for name in requirements requirements-dev requirements-bench; do \
		$(VENV)/tools/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-emit-find-links --no-header -o $$name.txt $$name.in; \
	done

services: ## PostgreSQL and Redis from Debian's packages, installed and started where they do not answer
	@.ci/services

clean: ## remove the virtual environment and caches; an instance's .env, keyring and var/ stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov staticfiles
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.python:
	@.ci/ensure --only-tell git=git
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) is missing. Install it: apt-get install -y python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
		echo "NetRaven needs Python 3.11 to 3.13; $(PYTHON) is $$($(PYTHON) -V). Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
		echo "Python's venv module is missing. Install it: apt-get install -y python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.python requirements.txt
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	$(PIP) -r requirements-dev.txt
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev requirements-bench.txt
	$(PIP) -r requirements-bench.txt
	@touch $@
