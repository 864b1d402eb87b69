# Everything a contributor runs. `make setup` needs only Python 3.11, pip, git and make: it fetches uv itself.
SHELL := /bin/bash
export RUNBELL_HOME ?= $(CURDIR)/var
UV_VERSION := 0.13.9
UV := .tools/uv/bin/uv
RUN := .venv/bin
# Set in many containers: then each of some hundred processes would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup fmt check test browser test-pg e2e faults fuzz scale slack clients bench demo run docs locale pictures clean
.DEFAULT_GOAL := help

help: ## Say what the targets do.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(UV):
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools/uv uv==$(UV_VERSION)

setup: .venv/.ready ## A .venv with the server, the command and every tool.

.venv/.ready: $(UV) pyproject.toml uv.lock hatch_build.py $(shell find src -name '*.po')
	$(UV) sync --locked --extra server --quiet --reinstall-package runbell
	@touch $@

# dbt beside Runbell without extras, as on a machine that runs jobs: what proves that the base install disturbs nothing.
.venv-dbt/.ready: $(UV) pyproject.toml examples/shop/requirements.txt
	$(UV) venv --quiet --clear --python 3.11 .venv-dbt
	$(UV) pip install --quiet --python .venv-dbt/bin/python --require-hashes -r examples/shop/requirements.txt
	$(UV) pip install --quiet --python .venv-dbt/bin/python --no-deps -e .
	@touch $@

demo: setup .venv-dbt/.ready ## Four real dbt jobs and the mails about them, then a server to look at. ONCE=1 ends by itself, SLACK=1 has a fake Slack.
	$(RUN)/python examples/demo.py $(if $(ONCE),--once) $(if $(SLACK),--slack)

run: setup ## A server of your own on http://127.0.0.1:8484, with its data in var/.
	$(RUN)/runbell serve

fmt: setup ## Format, and mend what can be mended.
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

check: setup ## Format, lint, types, room contracts, licences, known holes in dependencies.
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	$(RUN)/python -m tools.licences
	$(RUN)/python -m tools.audit

# The rooms below the server, and the tests that are about them.
COVERED := tests/unit tests/golden tests/contract tests/e2e/cli
# Too long for every run: `make scale` and `make clients` run them.
ELSEWHERE := tests/clients tests/e2e/test_database_copy.py tests/e2e/test_backups.py tests/e2e/test_operate.py
COVERAGE := $(addprefix --cov=runbell.,core messages channels cli) --cov-report=term --cov-fail-under=95

test: check .venv-dbt/.ready postgres ## Everything CI runs: checks, and all tests, the database tests on both databases.
	$(RUN)/pytest -n 2 --durations=20 $(COVERED) $(COVERAGE)
	$(RUN)/pytest -n 3 --durations=20 -m "not long" tests --ignore=tests/browser $(ELSEWHERE:%=--ignore=%) $(COVERED:%=--ignore=%)
	$(MAKE) browser BROWSER_TESTS="-m 'not russian'"
	$(MAKE) test-pg

CHROMIUM := /usr/bin/chromium

$(CHROMIUM):
	@command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] || { echo "The browser tests need Chromium at $(CHROMIUM): on Debian, apt-get install chromium as root." >&2; exit 1; }
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium

browser: setup $(CHROMIUM) ## Tests in a real browser, in English and Russian.
	$(RUN)/pytest -n 2 tests/browser $(BROWSER_TESTS)

.PHONY: postgres
postgres:
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql; }

test-pg: setup postgres ## The database tests on a PostgreSQL of their own.
	$(RUN)/python tools/with_postgres.py $(RUN)/pytest -n 2 tests/server

e2e: setup .venv-dbt/.ready postgres ## Tests with real processes.
	$(RUN)/pytest -n 2 tests/e2e

FAULT_TESTS := $(addprefix tests/e2e/test_,kill.py providers.py outages.py full_disk.py)
CLOCK_TESTS := tests/server/test_clock.py

faults: setup postgres ## The fault suite in full, on both databases: 50 kills on each, 10,000 runs at once; what it came to in the last line.
	$(RUN)/pytest -n 0 $(CLOCK_TESTS)
	$(RUN)/python tools/with_postgres.py $(RUN)/pytest -n 0 $(CLOCK_TESTS)
	RUNBELL_TEST_KILL_ROUNDS=50 RUNBELL_TEST_BURST=10000 RUNBELL_TEST_OUTAGES=10 $(RUN)/pytest -n 0 $(FAULT_TESTS)

fuzz: setup postgres ## Every operation of the API with hundreds of made-up requests, on both databases.
	RUNBELL_TEST_FUZZ_EXAMPLES=100 $(RUN)/pytest -n 2 tests/server/test_api_fuzz.py
	RUNBELL_TEST_FUZZ_EXAMPLES=100 $(RUN)/python tools/with_postgres.py $(RUN)/pytest -n 2 tests/server/test_api_fuzz.py

scale: setup postgres ## Many servers and workers on one PostgreSQL with 30,000 deliveries, the move of 100,000 runs to PostgreSQL, and backups that are killed.
	RUNBELL_TEST_FLEET_DELIVERIES=30000 $(RUN)/pytest -n 0 -s tests/e2e/test_fleet.py
	RUNBELL_TEST_PLAN_RUNS=100000 $(RUN)/pytest -n 0 tests/server/test_plans.py
	RUNBELL_TEST_PLAN_RUNS=100000 $(RUN)/python tools/with_postgres.py $(RUN)/pytest -n 0 tests/server/test_plans.py
	RUNBELL_TEST_COPY_RUNS=100000 $(RUN)/pytest -n 0 -s tests/e2e/test_database_copy.py -k goes_on
	$(RUN)/pytest -n 2 tests/e2e/test_database_copy.py tests/e2e/test_backups.py tests/e2e/test_operate.py

clients: setup ## Programs written for the dbt Admin API, against a running server; what each asked and saw is printed.
	$(RUN)/pytest -n 0 -s tests/clients

slack: setup .venv-dbt/.ready $(CHROMIUM) ## The Slack tests in full: 20 Slack channels and 50 runs at once, and everything else that is about Slack.
	RUNBELL_TEST_SLACK_SIZE=20x50 $(RUN)/pytest -n 0 -s tests/e2e/test_slack_flow.py
	$(RUN)/pytest -n 2 tests/unit tests/golden tests/contract tests/server tests/e2e/test_demo.py -k "slack or pacing or digest or quiet"
	$(RUN)/pytest -n 2 tests/browser -k "slack or integrations or coverage"

# What the bench measures beside Runbell, which is no part of it.
.venv-bench/.ready: $(UV) pyproject.toml uv.lock
	UV_PROJECT_ENVIRONMENT=.venv-bench $(UV) sync --locked --quiet --only-group bench
	@touch $@

bench: setup .venv-bench/.ready postgres ## What Runbell costs, beside its references: tables, and bench/results. Leave the machine alone meanwhile. PARTS="mails slack" for some.
	$(RUN)/python -m bench.run $(PARTS)

locale: setup ## Bring the message catalogues up to what the sources say, and compile them.
	$(RUN)/python tools/catalogues.py update
	$(RUN)/python tools/catalogues.py compile

docs: setup .venv-dbt/.ready $(CHROMIUM) ## Write what is generated: the table of permissions, and the pictures of the README and of Slack from the demo.
	$(RUN)/python -m tools.permissions
	$(RUN)/python -m tools.screenshots

pictures: setup ## Take the pictures of the mails in docs/images anew.
	$(RUN)/python -m tools.pictures

clean: ## Remove what the targets made.
	rm -rf .venv .venv-dbt .venv-bench .tools var .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
