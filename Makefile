# Everything runs in .venv, whatever environment is active.
PYTHON ?= python3
PYTHON310 ?= python3.10
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CONSTRAINTS := requirements/constraints-onedl.txt

VENV310 := .venv-openmmlab
BIN310 := $(VENV310)/bin
STAMP310 := $(VENV310)/.installed
CONSTRAINTS310 := requirements/constraints-openmmlab.txt

# pytest in two processes, each test file in one of them
TWO := -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help setup setup-openmmlab demo test test-all test-openmmlab lint format clean

help: ## Show this list.
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(STAMP) ## Make .venv with the tested versions (once; several GB).

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "mmsemi needs Python 3.10 or newer, but $(PYTHON) is" \
	    "'$$($(PYTHON) --version 2>&1)'. Name another:" \
	    "make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): setup.py pyproject.toml $(CONSTRAINTS) | $(BIN)/pip
	@echo "Installing PyTorch (large: several minutes) ..."
	$(BIN)/python -m pip install -c $(CONSTRAINTS) torch torchvision
	@echo "Installing OpenMMLab (onedl) and mmsemi ..."
	$(BIN)/python -m pip install -c $(CONSTRAINTS) -e '.[onedl,tests,dev]'
	@touch $@

setup-openmmlab: $(STAMP310) ## Make .venv-openmmlab, the official packages (Python 3.10).

$(BIN310)/pip:
	@$(PYTHON310) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' || { \
	  echo "The official OpenMMLab packages need Python 3.10, which" \
	    "'$(PYTHON310)' is not. Name it:" \
	    "make setup-openmmlab PYTHON310=/path/to/python3.10" >&2; exit 1; }
	$(PYTHON310) -m venv $(VENV310)

$(STAMP310): setup.py pyproject.toml $(CONSTRAINTS310) | $(BIN310)/pip
	@echo "Installing PyTorch (large: several minutes) ..."
	$(BIN310)/python -m pip install -c $(CONSTRAINTS310) \
	  torch torchvision numpy setuptools wheel ninja psutil
	@echo "Compiling mmcv (5 to 20 minutes) ..."
	$(BIN310)/python -m pip install -c $(CONSTRAINTS310) --no-build-isolation mmcv
	@echo "Installing OpenMMLab and mmsemi ..."
	$(BIN310)/python -m pip install -c $(CONSTRAINTS310) -e '.[openmmlab,tests]'
	@touch $@

demo: $(STAMP) ## Train on few labels with and without mmsemi, and write a report.
	$(BIN)/python tools/demo.py

# One thread a process: more only spin on small machines.
test test-all test-openmmlab: export OMP_NUM_THREADS := 1
test test-all test-openmmlab: export OMP_WAIT_POLICY := PASSIVE

test: $(STAMP) ## Run the tests (under 10 minutes on 2 cores).
	$(BIN)/python -m pytest $(TWO)

test-all: $(STAMP) ## Run the slow tests too.
	$(BIN)/python -m pytest -m '' $(TWO)

test-openmmlab: $(STAMP310) ## Run the tests with the official packages.
	$(BIN310)/python -m pytest $(TWO)

lint: $(STAMP) ## Check style, types and spelling.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/codespell

format: $(STAMP) ## Format the code.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove caches and build products, never .venv, data or work_dirs.
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find mmsemi configs tools tests -name __pycache__ -type d -prune -exec rm -rf {} +
