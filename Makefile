# Two commands do everything on a machine with Python 3.11, make and git: `make run` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: run test bench install lint audit demo-production clean

run: install  ## Train the digits generator through all five stages on embedded defaults
	$(BIN)/gantry run digits

test: install lint  ## Lint, types and the whole test suite
# In their own order: by number, files of few and long tests would come last, to one worker while the others have nothing to do.
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

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

audit: install  ## Licences and known vulnerabilities of every dependency; asks PyPI, and fails where it gets no answer
# PYSEC-2026-2447: DVC's index in a folder of the workspace is pickled; whoever may write there may also change what is trained.
	$(BIN)/pip-licenses --order=license --partial-match --fail-on='Affero;AGPL;SSPL;Commons Clause;NonCommercial'
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt --ignore-vuln PYSEC-2026-2447

demo-production: install  ## Real servers, two workers, three schedules, and what becomes of it when things break: half an hour
	PYTHONPATH=tests $(BIN)/python tests/production/demonstration.py

clean:  ## Remove the virtual environment, caches, and what runs left in this workspace
	rm -rf $(VENV) .gantry .dvc/cache .dvc/tmp .mypy_cache .ruff_cache .pytest_cache .hypothesis data models reports mlflow.db mlartifacts dvc.lock
