#!/usr/bin/env bash
# Guess: create_study(direction="maximize", load_if_exists=True) maximises, or raises if the stored study minimises.
# Version: optuna 5.0.0.
# Behaviour: the stored direction is kept and the one asked for is dropped in silence, so best_trial is the worst.
# Seen: MINIMIZE.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet optuna==5.0.0

venv/bin/python -W ignore - <<'PYTHON'
import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
optuna.create_study(study_name="fid", storage="sqlite:///optuna.db")
study = optuna.create_study(study_name="fid", storage="sqlite:///optuna.db", direction="maximize", load_if_exists=True)
print(study.direction.name)
assert study.direction.name == "MINIMIZE", "changed"
PYTHON
