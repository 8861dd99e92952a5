# One command per job, and each does its own set-up: on a fresh machine `make demo` or `make test` is all that is needed.
#
#   make setup      .venv with everything, kernel caches warm          make check      format, lint, types, import contracts
#   make demo       train a policy and run a fleet on it               make bench      every benchmark (long)
#   make test       the tests, slow ones left out                      make test-all   all tests

SHELL := /bin/bash
.DEFAULT_GOAL := help

# Thread pools of tiny networks ran up to 70 times slower when they spun against each other (docs/decisions.md).
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

BIN := .venv/bin
# Named after what it installs, so that a change of the pins installs again and nothing else does.
STAMP := .venv/.setup-$(shell cat pyproject.toml constraints.txt | sha256sum | cut -c 1-16)

.PHONY: help setup demo test test-all check bench clean

help:
	@sed -n '3,5p' Makefile | cut -c 3-

setup: $(STAMP)

$(STAMP):
	@./tools/setup.sh
	@touch $(STAMP)

demo: setup
	$(BIN)/muster launch launch/warehouse_demo.launch.yaml

test: setup
	$(BIN)/python -m pytest -m "not slow"

test-all: setup
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

bench: setup
	$(BIN)/python tests/benchmarks/run.py

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache
