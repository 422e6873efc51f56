#!/usr/bin/env bash
# Guess: CTGAN's mode-specific normalisation is invertible: reverse_transform(transform(column)) gives a column without missing values back.
# Version: rdt 2.0.0, ClusterBasedNormalizer (the normalisation of CTGAN and TVAE).
# Behaviour: a value becomes its distance from a cluster's mean in units of four deviations, cut off at 0.99. Rare values have no cluster of their own, as those of little weight are dropped, so all of them beyond four deviations come back as one and the same.
# Seen: 995 normal values and 10, 20, 30, 50 and 1,000: the five come back as one value below 10; all others to 1e-6.
# Meaning: a table GAN behind it can't make such rare values, whatever it learns; a smooth long tail, which gets clusters of its own, can come back whole (1,000 lognormal values did).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet rdt==2.0.0

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import pandas as pd
from rdt.transformers import ClusterBasedNormalizer

outliers = [10.0, 20.0, 30.0, 50.0, 1000.0]
values = np.concatenate([np.random.default_rng(0).normal(size=995), outliers])
frame = pd.DataFrame({"amount": values})
transformer = ClusterBasedNormalizer()
back = transformer.reverse_transform(transformer.fit_transform(frame, "amount"))["amount"].to_numpy()
others = np.abs(back - values)[:-5].max()
print("outliers:", outliers, "come back as:", back[-5:], "others are off by at most", others)
assert others < 1e-6
assert np.ptp(back[-5:]) < 1e-6 and back[-1] < 10, "changed: outliers come back"
PYTHON
