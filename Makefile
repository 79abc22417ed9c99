# Every target works in a fresh clone: what it needs is made first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(addprefix .pkg/osbench/,coordinator agent common providers deploy)

.PHONY: demo test test-all test-samples bench lint format clean

$(VENV)/installed: setup.cfg setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("OSBench needs Python 3.11 or later, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/installed  ## simulated cloud, coordinator and two agents on this machine; a table, a verdict and a report
	$(BIN)/osbench demo

test: $(VENV)/installed  ## the fast suite, under a minute
	$(BIN)/python -m pytest -q -n auto -m "not slow and not realcloud and not bench"

test-all: $(VENV)/installed  ## everything this machine can run
	$(BIN)/python -m pytest -q -n auto -m "not slow and not realcloud and not bench"
	$(BIN)/python -m pytest -q -n 3 --dist loadscope -m "slow and not alone and not realcloud and not bench" --timeout 900
	$(BIN)/python -m pytest -q -m "slow and alone and not realcloud and not bench" --timeout 900
	$(BIN)/python -m pytest -q -m "realcloud and not samples" --timeout 1800

test-samples: $(VENV)/installed  ## Rally's own task files, unmodified, on a real cloud
	$(BIN)/python -m pytest -q -m "samples" --timeout 1800

bench: $(VENV)/installed  ## figures, as ratios against a peer measured in the same run
	$(BIN)/python -m benchmarks

lint: $(VENV)/installed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(SOURCES) tests benchmarks

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
