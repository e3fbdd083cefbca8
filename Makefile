# `make demo` and `make test` set everything up themselves, on a bare Debian 12 with Python 3.11 and make.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := shared_schemas services/_kit services/_nets $(filter-out services/_%,$(patsubst %/,%,$(wildcard services/*/)))
EDITABLE := $(foreach package,$(PACKAGES),-e $(package))

.PHONY: help install test-install demo test unit lint bench clean images compose-env

help:
	@echo "make demo     set up, then run the bundled stack through all eight stages"
	@echo "make test     set up, then lint, type-check and run all tests"
	@echo "make bench    seconds, voxels/s and peak memory of every stage"
	@echo "make images   build the images of all services"
	@echo "make compose-env   passwords and settings for docker compose up"

install: $(VENV)/.installed
test-install: $(VENV)/.tested

# PyTorch comes first and pinned: anything else may pull its CUDA build, gigabytes of it.
$(VENV)/.installed: constraints.txt pyproject.toml $(addsuffix /pyproject.toml,$(PACKAGES))
	@$(PYTHON) -m venv $(VENV) || { echo "No venv module. As root: apt-get install python3-venv"; exit 2; }
	$(BIN)/python -m pip install -q -U pip
	$(BIN)/python -m pip install -q "torch==2.13.0"
	$(BIN)/python -m pip install -q -c constraints.txt $(EDITABLE)
	$(BIN)/python -m pip install -q -c constraints.txt --no-deps -e .
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	@deploy/apt-for-tests
	@touch $@

demo: install
	$(BIN)/porelay run tests/data/demo_stack.tif --truth tests/data/demo_truth.tif --plan electrode-quick --home porelay-data

test: test-install lint
	$(BIN)/python -m pytest

unit: test-install
	$(BIN)/python -m pytest tests/unit tests/contract

lint: test-install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: test-install
	$(BIN)/python tests/benchmarks/stages.py

clean:
	rm -rf $(VENV) porelay-data

images:
	deploy/images/build

compose-env:
	deploy/compose/make-env
