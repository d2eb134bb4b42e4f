# Everything one does with this project. `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
DOWNSTREAM := .venv-downstream
# A busy machine may fail a test that waits for it: what failed is run once more by itself, and fails if it fails again.
FAILED_ONCE := --last-failed --last-failed-no-failures none
COVERED := --cov --cov-report= --cov-fail-under=0
# Quiet but for errors.
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input

FAST := not slow and not wide and not peers and not downstream
# Where the versions are not ours to choose, only our own warnings are errors.
OTHERS_WARN := -W default -W error::nvcf_core.errors.NVCFWarning -W error::ResourceWarning

.PHONY: help
help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/demo.stamp ## both adapters at work, on two screens; the emulator answers where there is no NVIDIA_API_KEY
	$(BIN)/python examples/quickstart.py

.PHONY: web
web: $(VENV)/web.stamp ## a page to chat on, at the address that it prints; the emulator answers where there is no NVIDIA_API_KEY
	$(BIN)/python examples/web/server.py

.PHONY: test
test: $(VENV)/test.stamp ## the tests of each module and adapter, on two cores, in about two minutes
	$(BIN)/pytest -m "$(FAST)" -n 2 --dist worksteal

.PHONY: lint
lint: $(VENV)/check.stamp ## style, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: check
check: $(VENV)/check.stamp lint docs test-lowest ## all that a change must pass: lint, types, the site, every test, coverage, oldest versions
	$(BIN)/pytest -m "not slow and not downstream" -n 2 --dist worksteal --hypothesis-profile full $(COVERED) \
	  || $(BIN)/pytest $(FAILED_ONCE) $(COVERED) --cov-append
	$(BIN)/pytest -m slow --hypothesis-profile full --durations 20 || $(BIN)/pytest $(FAILED_ONCE)
	$(BIN)/coverage report

.PHONY: test-lowest
test-lowest: $(LOWEST)/made ## the tests of `make test`, with the oldest versions that pyproject.toml allows
	$(LOWEST)/bin/pytest -m "$(FAST)" -n 2 --dist worksteal $(OTHERS_WARN) \
	  || $(LOWEST)/bin/pytest $(FAILED_ONCE) $(OTHERS_WARN)

.PHONY: downstream
downstream: $(DOWNSTREAM)/made ## agents, guardrails, evaluations and traces of others, with their newest versions
	$(DOWNSTREAM)/bin/pytest -m downstream tests/downstream $(OTHERS_WARN)

.PHONY: examples
examples: $(VENV)/examples.stamp ## every example, each with exactly what it says it needs
	$(BIN)/python tests/examples/run_all.py

.PHONY: docs
docs: $(VENV)/docs.stamp ## the site of docs/, into site/; fails for a link that leads nowhere
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

.PHONY: docs-serve
docs-serve: $(VENV)/docs.stamp ## the same on port 8080, made anew when a page changes, until interrupted
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --dev-addr 127.0.0.1:8080

.PHONY: notebooks
notebooks: $(VENV)/check.stamp ## the notebooks run anew, and written with what they print and plot
	$(BIN)/python docs/run_notebooks.py

.PHONY: emulator
emulator: $(VENV)/emulator.stamp ## a stand-in for the service on port 8000, until interrupted
	$(BIN)/nvcf-emulator --port 8000 --script examples/stand_in.yaml

.PHONY: bench
bench: $(VENV)/check.stamp ## side by side with other clients, into docs/performance.md; takes some minutes
	$(BIN)/python benchmarks/run.py --save

.PHONY: simulate
simulate: $(VENV)/test.stamp ## a million random conversations with a failing service
	$(BIN)/python -m tests.simulation --count 1000000

.PHONY: fuzz
fuzz: $(VENV)/test.stamp ## ten minutes of bad input for each decoder
	$(BIN)/python -m tests.fuzz --seconds 600

.PHONY: soak
soak: $(VENV)/test.stamp ## ten minutes of load with faults; memory and descriptors must stay flat
	$(BIN)/python -m tests.soak --minutes 10

.PHONY: adversary
adversary: $(VENV)/test.stamp ## three thousand calls to a server that means harm
	$(BIN)/python -m tests.adversary --count 3000

.PHONY: mutants
mutants: $(VENV)/mutants.stamp ## fifteen minutes of changes to the core that its tests should notice
	$(BIN)/python -m tests.mutants --seconds 900

.PHONY: batches
batches: $(VENV)/test.stamp ## batches with faults, killed over and over; no row may be lost or asked for twice; some 20 minutes
	$(BIN)/python -m tests.batch.trials.faults
	$(BIN)/python -m tests.batch.trials.kills
	$(BIN)/python -m tests.batch.trials.kills --key id
	$(BIN)/python -m tests.batch.trials.kills --key id --ray --kills 8

.PHONY: dist
dist: $(VENV)/dist.stamp ## both distributions, their metadata checked, the wheel installed into an empty environment
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*
	$(BIN)/uv run --no-project --isolated --with dist/*.whl python -c 'import nvcf_core; print(*nvcf_core.__all__)'

.PHONY: release
release: ## all checks, both distributions, and a tag: see RELEASING.md
	.ci/release

.PHONY: clean
clean: ## remove all that was made, .venv included
	rm -rf $(VENV) $(LOWEST) $(DOWNSTREAM) build dist site htmlcov .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed for what. A stamp says that it was, and stands until pyproject.toml changes.

demo_needs := --no-compile --editable '.[all]' rich
test_needs := --editable '.[test]'
examples_needs := uv
dist_needs := build twine uv
mutants_needs := --editable '.[test]' cosmic-ray
docs_needs := --editable '.[docs]'
web_needs := --editable '.[langchain,emulator]' fastapi uvicorn
check_needs := --editable '.[test,peers,notebooks,browser,docs]'
emulator_needs := --editable '.[emulator]'

$(VENV)/%.stamp: pyproject.toml $(VENV)/made
	@echo 'Installing into $(VENV): $($*_needs)'
	@$(PIP) install $($*_needs)
	@touch $@

# uv, since it can resolve to the lowest versions.
$(LOWEST)/made: pyproject.toml $(VENV)/made
	@echo 'Making $(LOWEST)'
	@$(PIP) install uv
	@rm -rf $(LOWEST)
	@$(BIN)/python -m venv $(LOWEST)
	@$(BIN)/uv pip compile -q --resolution lowest-direct --extra all pyproject.toml \
	  | grep -E '^(httpx|pydantic|langchain-core|llama-index-core)==' | tee $(LOWEST)/versions.txt
	@grep -v httpx $(LOWEST)/versions.txt > $(LOWEST)/constraints.txt
	@grep httpx $(LOWEST)/versions.txt > $(LOWEST)/overrides.txt  # langchain-tests asks for a newer one.
	@$(BIN)/uv pip install -q --link-mode copy --python $(LOWEST)/bin/python --constraints $(LOWEST)/constraints.txt \
	  --overrides $(LOWEST)/overrides.txt --editable '.[test]'
	@touch $@

# Apart from the rest, which it would hold back to older versions.
$(DOWNSTREAM)/made: pyproject.toml $(VENV)/made
	@echo 'Installing into $(DOWNSTREAM): .[test,downstream]'
	@$(PIP) install uv
	@rm -rf $(DOWNSTREAM)
	@$(BIN)/python -m venv $(DOWNSTREAM)
	@$(BIN)/uv pip install -q --python $(DOWNSTREAM)/bin/python --editable '.[test,downstream]'
	@touch $@

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'This needs Python 3.11 or newer. Name one: make $(MAKECMDGOALS) PYTHON=python3.12' >&2; exit 1; }
	@echo 'Making $(VENV)'
	@$(PYTHON) -m venv $(VENV)
	@touch $@
