# Everything here sets itself up: it needs make and Python 3.11, 3.12 or 3.13.
#
#   make demo    the whole landscape on this machine     DEMO_ARGS="--meters 100 --seed 7"
#   make test    the test suite, on SQLite and PostgreSQL     TEST_ARGS="-k settings"
#   make check   format, lint, types, import rules
#   make bench   benchmarks, printed and written to bench.json
#   make chaos   the long form: processes killed at random
#   make conformance   our own service put through the conformance tester, docs/conformance.md anew
#   make lock    requirements.lock anew from pyproject.toml

SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready

DEMO_ARGS ?=
TEST_ARGS ?=
BENCH_ARGS ?=
CHAOS_ARGS ?=
CONFORMANCE_ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check bench chaos conformance lock

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed -n '1,9p'

setup: $(READY)

$(PYTHON):
	@python=$$(sh .ci/find_python) && echo "Setting up $(VENV) with $$python" && { "$$python" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; }

# Installed versions are those of the lock, each checked against its hash; MDUS itself is run from this checkout.
$(READY): requirements.lock pyproject.toml | $(PYTHON)
	@echo "Installing the locked dependencies into $(VENV)"
	@$(PYTHON) -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements.lock
	@$(PYTHON) -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY)
	$(VENV)/bin/mdus demo $(DEMO_ARGS)

test: $(READY)
	$(PYTHON) -m pytest -n 2 --dist loadscope $(TEST_ARGS)

check: $(READY)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: $(READY)
	$(PYTHON) -m tests.benchmarks $(BENCH_ARGS)

chaos: $(READY)
	CHAOS=long $(PYTHON) -m pytest tests/chaos $(CHAOS_ARGS)

conformance: $(READY)
	$(PYTHON) -m tests.conformance $(CONFORMANCE_ARGS)

# One lock for Python 3.11 to 3.13; it names no registry, so that it is read through whichever one is configured.
lock: $(READY)
	$(PYTHON) -m pip --disable-pip-version-check install --quiet uv
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-emit-index-url --no-annotate --no-header pyproject.toml --output-file requirements.lock
