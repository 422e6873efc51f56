# Two commands do everything on a machine with Python 3.11, make and git: `make run` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: run test bench install lint clean

run: install  ## Train the digits generator through all five stages on embedded defaults
	$(BIN)/gantry run digits

test: install lint  ## Lint, types and the whole test suite
	$(BIN)/python -m pytest -n auto --dist loadfile

bench: install  ## Measure everything against the peers (they get an environment of their own) and write docs/performance.md
	$(BIN)/python -m benchmarks

install: $(INSTALLED)  ## A virtual environment with the tested versions of everything

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:  ## Remove the virtual environment, caches, and what runs left in this workspace
	rm -rf $(VENV) .gantry .dvc/cache .dvc/tmp .mypy_cache .ruff_cache .pytest_cache .hypothesis data models reports mlflow.db mlartifacts dvc.lock
