# Two commands do everything on a machine with Python 3.11 to 3.14, make and git: `make run` and `make test`.
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# The newest Python that fits and can make virtual environments; `make run PYTHON=...` takes another. Where there is none, uv has one.
FITTING := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
PYTHON ?= $(shell for name in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$name -c '$(FITTING)' 2>/dev/null && echo $$name && break; done)

# For `make test-versions`: what pytest is given, and Pythons (3.12, or a path) by which versions are tried.
TESTS ?=
PYTHONS ?=

.PHONY: run test test-versions bench install lint docs pins audit demo-production clean

run: install  ## Train the digits generator through all five stages on embedded defaults
	$(BIN)/gantry run digits

test: install lint  ## Lint, types and the whole test suite
# In their own order: by number, files of few and long tests would come last, to one worker while the others have nothing to do.
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --durations 20

test-versions: install  ## The suite, or TESTS, with the lowest and the newest versions that pyproject.toml allows, by each of PYTHONS
	$(BIN)/python tests/versions.py $(PYTHONS:%=--python %) -- $(TESTS)

bench: install  ## Measure everything against the peers (they get an environment of their own) and write docs/performance.md
	$(BIN)/python -m benchmarks

install: $(INSTALLED)  ## A virtual environment with the tested versions of everything

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || command -v uv > /dev/null || { echo "Gantry needs Python 3.11, 3.12, 3.13 or 3.14 with its venv module (on" \
		"Debian and Ubuntu: apt install python3 python3-venv), and none was found, nor uv; with one elsewhere: make PYTHON=/path/to/python3" \
		>&2; exit 1; }
	$(if $(PYTHON),$(PYTHON) -m venv,uv venv --quiet --seed --python '>=3.11,<3.15') $(VENV)
	@echo "$$($(BIN)/python --version) ($(or $(PYTHON),of uv)) made $(VENV), and pip installs into it, without a word for some minutes:" \
		"some 7 GB on Linux, where PyPI's torch is built for CUDA, elsewhere 3"
# Versions without digests: torch is built for each device, and its own index's builds have other digests than PyPI's.
	sed '/--hash=/d; s/ \\$$//' constraints.txt > $(VENV)/versions.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(VENV)/versions.txt --editable '.[dev]'
	@touch $@

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: install  ## The pages as a site in site/, searchable, with nothing from other hosts; a broken link or a stale reference ends it
	$(BIN)/python -m flows.keys
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "site/index.html"

pins: install  ## Resolve what pyproject.toml asks for, for all Pythons and systems, into constraints.txt; what it pins already stays
# pip and setuptools are left as the environment has them: installing is theirs.
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-annotate --no-header --no-emit-index-url --no-emit-package pip --no-emit-package setuptools --output-file constraints.txt pyproject.toml

audit: install  ## Licences and known vulnerabilities of every dependency; asks PyPI, and fails where it gets no answer
# PYSEC-2026-2447: DVC's index in a folder of the workspace is pickled; whoever may write there may also change what is trained.
	$(BIN)/pip-licenses --order=license --partial-match --fail-on='Affero;AGPL;SSPL;Commons Clause;NonCommercial'
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt --ignore-vuln PYSEC-2026-2447

demo-production: install  ## Real servers, two workers, three schedules, and what becomes of it when things break: half an hour
	PYTHONPATH=tests $(BIN)/python tests/production/demonstration.py

clean:  ## Remove the virtual environment, caches, and what runs left in this workspace
	rm -rf $(VENV) .gantry .dvc/cache .dvc/tmp .mypy_cache .ruff_cache .pytest_cache .hypothesis data models reports mlflow.db mlartifacts dvc.lock site
