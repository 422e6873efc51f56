#!/usr/bin/env bash
# Guess: histogram gradient boosting takes missing values as they are, so a column that holds nothing else tells nothing and does no harm.
# Version: scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: a column of which every value is missing ends fit with an error about window shapes, that names neither the column nor what is wrong; one value in it is enough. Marked as a category such a column is taken.
# Seen: ValueError "window shape cannot be larger than input array shape"; with one value, or as a category, it is fitted.
# Meaning: a classifier of real against generated rows fails on a fold, or on generated rows, in which a rare column happens to be empty.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet scikit-learn==1.9.1 numpy==2.4.6

venv/bin/python - <<'PYTHON'
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

random = np.random.default_rng(0)
known = random.normal(size=(200, 1))
labels = (known[:, 0] > 0).astype(int)
empty = np.full((200, 1), np.nan)
one = empty.copy()
one[0] = 1.0


def fitted(column, **options):
    try:
        model = HistGradientBoostingClassifier(max_iter=5, **options).fit(np.hstack([known, column]), labels)
    except ValueError as error:
        return str(error)
    return f"fitted, {model.score(np.hstack([known, column]), labels):.2f} right"


found = {"empty": fitted(empty), "one value": fitted(one), "empty category": fitted(empty, categorical_features=[False, True])}
for name, said in found.items():
    print(f"{name}: {said}")
assert "window shape" in found["empty"] and "fitted" in found["one value"] and "fitted" in found["empty category"], "changed"
PYTHON
