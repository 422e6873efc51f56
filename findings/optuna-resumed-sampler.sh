#!/usr/bin/env bash
# Guess: a stored study that is continued with the same seeded sampler goes on where it stopped, or at least does not try the same points again.
# Version: optuna 5.0.0.
# Behaviour: the sampler's random state is not stored. RandomSampler(seed=0) in a second process begins anew and spends its trials on the points already there.
# Seen: [0.549, 0.715, 0.549, 0.715].
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet optuna==5.0.0

venv/bin/python -W ignore - <<'PYTHON'
import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
for _ in range(2):
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(study_name="lr", storage="sqlite:///optuna.db", sampler=sampler, load_if_exists=True)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
points = [trial.params["x"] for trial in study.trials]
print(points)
assert len(points) == 4 and points[:2] == points[2:], "changed"
PYTHON
