# Everything one does with this project. `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Quiet but for errors.
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input

.PHONY: help
help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/demo.stamp ## both adapters at work, on one screen; the emulator answers where there is no NVIDIA_API_KEY
	$(BIN)/python examples/quickstart.py

.PHONY: test
test: $(VENV)/test.stamp ## the tests, but for those that need other providers' clients
	$(BIN)/pytest -m "not peers"

.PHONY: check
check: $(VENV)/check.stamp ## all that a change must pass: lint, types, every test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

.PHONY: emulator
emulator: $(VENV)/emulator.stamp ## a stand-in for the service on port 8000, until interrupted
	$(BIN)/nvcf-emulator --port 8000

.PHONY: bench
bench: $(VENV)/check.stamp ## side by side with other clients; takes some minutes
	$(BIN)/python benchmarks/chat.py
	$(BIN)/python benchmarks/uploads.py
	$(BIN)/python benchmarks/inline_memory.py

.PHONY: simulate
simulate: $(VENV)/test.stamp ## a million random conversations with a failing service
	$(BIN)/python -m tests.simulation --count 1000000

.PHONY: fuzz
fuzz: $(VENV)/test.stamp ## ten minutes of bad input for each decoder
	$(BIN)/python -m tests.fuzz --seconds 600

.PHONY: soak
soak: $(VENV)/test.stamp ## ten minutes of load with faults; memory and descriptors must stay flat
	$(BIN)/python -m tests.soak --minutes 10

.PHONY: clean
clean: ## remove all that was made, .venv included
	rm -rf $(VENV) build dist htmlcov .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed for what. A stamp says that it was, and stands until pyproject.toml changes.

demo_needs := --editable '.[all]' rich
test_needs := --editable '.[test]'
check_needs := --editable '.[test,peers]'
emulator_needs := --editable '.[emulator]'

$(VENV)/%.stamp: pyproject.toml $(VENV)/made
	@echo 'Installing into $(VENV): $($*_needs)'
	@$(PIP) install $($*_needs)
	@touch $@

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'This needs Python 3.11 or newer. Name one: make $(MAKECMDGOALS) PYTHON=python3.12' >&2; exit 1; }
	@echo 'Making $(VENV)'
	@$(PYTHON) -m venv $(VENV)
	@touch $@
