# `make` alone lists the targets. All that is needed is Python 3.11 or newer with pip, and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# Newer than the lock and the settings: what is installed is what they say.
SETUP := $(VENV)/.installed-as-locked
# More than the cores: tests wait for servers and files, too. Who has none left takes from the others.
PYTEST := $(BIN)/pytest -n 3 --dist worksteal
# Thousands of small workspaces, in memory where the machine has such a place: no test of these is about the disk itself.
IN_MEMORY := PYTEST_DEBUG_TEMPROOT=$(wildcard /dev/shm)
# What meets the clock of the program or of the emulator and is quick; and how many days ahead these are put.
DATED := $(addprefix tests/,shifted emulator docs $(addprefix verbs/test_,models.py prices.py resolve.py))
DAYS := 1100

export UV_PYTHON_DOWNLOADS := never
# Hundreds of processes of the program: each would compile it anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-shifted test-all bench bench-quick check check-docs fmt lock schema docs samples emulator clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(SETUP) ## Make .venv with exactly the locked packages, and batchctl itself, editable

$(SETUP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("Python 3.11 or newer is needed: make setup PYTHON=python3.11")'
	@echo "installing the locked packages into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(VENV)/uv.lock
	@$(UV) pip sync --quiet --python $(BIN)/python --compile-bytecode requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(SETUP) ## See a whole job run against an emulator on this machine: no key, no cost
	@$(BIN)/python samples/demo.py

test: $(SETUP) ## Run the tests, but for the slow ones
	$(IN_MEMORY) $(PYTEST) -m "not slow"

test-slow: $(SETUP) ## Run the slow tests alone: killed processes, large files, many examples, the demo
	$(PYTEST) -m "slow or generated" --hypothesis-profile=many

test-shifted: $(SETUP) ## Run a quick part of the tests three years from now; DAYS=-365: a year ago
	$(IN_MEMORY) SHIFTED_DAYS=$(DAYS) PYTHONPATH="$(CURDIR)/tests/shifted" $(PYTEST) -m "not slow" $(DATED)

test-all: test test-slow ## Run every test

bench: $(SETUP) ## Measure all of it against cp, curl and others, about 20 minutes; write its document
	$(BIN)/python -m benchmarks --write

bench-quick: $(SETUP) ## The same for fewer requests, under two minutes; write nothing
	@$(BIN)/python -m benchmarks --quick

check: $(SETUP) ## Look over the code and change nothing: ruff, mypy, the import contracts, the documents
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory check-docs

check-docs: $(SETUP) ## Build the documents into a temporary folder; every link and anchor must lead somewhere
	@site=$$(mktemp -d); said=$$($(BIN)/mkdocs build --strict --site-dir "$$site" 2>&1); status=$$?; rm -rf "$$site"; \
	    test $$status -eq 0 || { echo "$$said" >&2; exit $$status; }
	@PYTHONPATH="$(CURDIR):$(CURDIR)/tests" $(BIN)/python -m docs.links

fmt: $(SETUP) ## Format the code and fix what can be fixed by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: $(SETUP) ## Write requirements.lock anew: the newest versions that pyproject.toml allows
	$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-header --extra dev \
	    --python-version 3.11 pyproject.toml -o requirements.lock

schema: $(SETUP) ## Write the schema of params anew, from the SDK's types
	$(BIN)/python -m batchctl.api.params_schema > $(VENV)/params.schema.json
	mv $(VENV)/params.schema.json batchctl/requests/params.schema.json

docs: $(SETUP) ## Renew everything in the documents that the program shows: help texts, tables, sessions, the picture
	PYTHONPATH="$(CURDIR):$(CURDIR)/tests" $(BIN)/python -m docs.pasted

samples: $(SETUP) ## Build the sample inputs anew from samples/raw
	$(BIN)/python samples/build.py

emulator: $(SETUP) ## Serve the emulator with the demo's scenario until Ctrl-C
	@$(BIN)/batchctl emulator --scenario samples/scenarios/demo.toml

clean: ## Remove what can be made again: .venv, caches, the demo's files
	rm -rf $(VENV) .demo build dist .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find batchctl benchmarks tests samples -name __pycache__ -type d -prune -exec rm -rf {} +
