# Two commands: `make demo` runs the main job, `make test` passes every check.
# Each makes its own environment in .venv the first time, and starts at once after that.

VENV := .venv
PY := $(VENV)/bin/python
ARGS ?=
PROCESSORS = $(shell $(PY) -c "import os; print(os.cpu_count() or 1)" 2>/dev/null)
# Two more than there are processors: tests of processes wait, and leave theirs to others.
PYTEST_WORKERS ?= $(shell $(PY) -c "import os; print(min(8, 2 + (os.cpu_count() or 1)))" 2>/dev/null)

MADE := $(VENV)/.septet-made
RUN := $(VENV)/.septet-run
DEV := $(VENV)/.septet-dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Without bytecode every process of a test would read all of septet as text.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE
export PYTHONNOUSERSITE = 1

# A candidate must start, be supported, and be able to make an environment: some systems ship
# Python without the part that does, and some put a `python3.12` on the path that only complains.
USABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
CANDIDATES := $(PYTHON) python3 python3.13 python3.12 python3.11 python

# What an environment is: its place, its interpreter, and a pip that imports. One that does not
# answer, or answers something else than when it was made, is made again.
PROBE := import sys, pip; print(sys.prefix, sys.version_info[:3], sys.base_prefix)
FOUND := $(shell $(PY) -c "$(PROBE)" 2>/dev/null)
KNOWN := $(shell cat $(MADE) 2>/dev/null)
ifeq ($(FOUND),)
.PHONY: $(MADE)
else ifneq ($(KNOWN),)
ifneq ($(FOUND),$(KNOWN))
.PHONY: $(MADE)
endif
endif

# A Python named on the command line is meant: another interpreter's environment is made again.
ifeq ($(origin PYTHON),command line)
CANDIDATES := $(PYTHON)
WANTED := $(shell $(PYTHON) -c "import sys; print(sys.version_info[:3], sys.base_prefix)")
ifeq ($(findstring $(WANTED),$(FOUND)),)
.PHONY: $(MADE)
KNOWN += (another Python was asked for)
endif
endif

.PHONY: help demo test check quick format site bench soak clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: $(RUN) ## run the main job: one YAML file, seven layers, real data, a report
	@$(VENV)/bin/septet run strategies/demo.yaml $(ARGS)

test: $(DEV) ## every check and the tests
	@$(MAKE) --no-print-directory -j$(PROCESSORS) $(filter-out types,$(CHECKS))
	@$(MAKE) --no-print-directory -j2 types tests

# Types take half a minute of one processor: it is not waited for while the tests are collected.
.PHONY: tests
tests: collected
	$(PY) -m pytest -q -n $(PYTEST_WORKERS) --dist=loadfile --no-loadscope-reorder $(ARGS)

# They do not need each other, and run side by side.
CHECKS := types style imports dependencies

check: $(DEV) ## the checks that run nothing: style and known dangers, types, imports
	@$(MAKE) --no-print-directory -j$(PROCESSORS) $(CHECKS)

.PHONY: $(CHECKS)
types:
	$(PY) -m mypy
style:
	$(PY) -m ruff check --quiet .
	$(PY) -m ruff format --check --quiet .
imports:
	$(VENV)/bin/lint-imports --no-logo
dependencies:
	$(VENV)/bin/deptry --no-ansi runner plugins schemas

# The rules of trading called one by one, both engines on plain plans, and the shape of the files.
QUICK_TESTS := tests/rules tests/core/test_parity.py tests/core/test_parity_shapes.py tests/test_tidy.py

quick: $(DEV) ## before a commit: style, types, imports, and that both engines agree
	@$(MAKE) --no-print-directory -j$(PROCESSORS) parity types style imports

.PHONY: parity
parity:
	$(PY) -m pytest -q -n $(PROCESSORS) --dist=worksteal $(QUICK_TESTS)

# Every worker of the tests imports every test; the first who does writes its bytecode.
.PHONY: collected
collected:
	@$(PY) -m pytest --collect-only -qq >$(VENV)/.collected || { cat $(VENV)/.collected; exit 1; }

format: $(DEV) ## mend what can be mended by itself
	$(PY) -m ruff check --quiet --fix .
	$(PY) -m ruff format --quiet .

site: $(DEV) ## build the documentation site strictly: .cache/site/html
	@$(PY) docs/site/site_build.py

bench: $(DEV) ## measure speed beside the peers, in environments of their own: benchmarks/RESULTS.md
	@$(PY) benchmarks/bench_all.py $(ARGS)

soak: $(DEV) ## the property tests with many more examples than `make test` tries
	SEPTET_HYPOTHESIS=soak $(PY) -m pytest -q -n $(PYTEST_WORKERS) \
		--timeout=3600 -m hypothesis $(ARGS)

clean: ## remove the environment and every cache
	rm -rf $(VENV) .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# An environment made by hand is taken as it is if it answers; anything else is made from nothing.
$(MADE):
	@if [ -n "$(FOUND)" ] && [ -z "$(KNOWN)" ] && $(PY) -c "$(USABLE)"; then \
		echo "using the environment in $(VENV)"; \
	else \
		for python in $(CANDIDATES); do \
			if "$$python" -c "$(USABLE)" >/dev/null 2>&1; then found="$$python"; break; fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo "septet needs Python 3.11, 3.12 or 3.13 with its venv module; none of" \
				"'$(strip $(CANDIDATES))' is one. Name yours: make PYTHON=/path/to/python" >&2; \
			exit 1; \
		fi; \
		echo "making $(VENV) with $$("$$found" -V)"; \
		"$$found" -m venv --clear $(VENV) || exit 1; \
	fi
	@$(PY) -c "$(PROBE)" > $@

$(RUN): $(MADE) pyproject.toml
	@echo "installing septet"
	@$(PY) .ci/install.py -e .
	@touch $@

$(DEV): $(MADE) pyproject.toml
	@echo "installing septet and its development tools"
	@$(PY) .ci/install.py -e '.[dev]'
	@touch $(RUN) $@
