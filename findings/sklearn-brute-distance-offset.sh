#!/usr/bin/env bash
# Guess: in float64 the Euclidean distance of the times 1.7e9 s and 1.7e9 + 1 s is 1, whatever the algorithm.
# Version: scikit-learn 1.9.1.
# Behaviour: pairwise_distances and NearestNeighbors(algorithm="brute"), which "auto" takes above 15 columns, compute |x|^2 - 2xy + |y|^2. Far from the origin the digits cancel: another row gets distance 0, and an exact copy need not.
# Seen: brute 0.0 and 22.6 where kd_tree gives 1.0; of 500 copied rows of 20 normal columns about a fifth are not at distance 0.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet scikit-learn==1.9.1 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
from sklearn.neighbors import NearestNeighbors

times = 1.7e9 + 100.0 * np.arange(50)[:, None]
nearest = {how: NearestNeighbors(n_neighbors=1, algorithm=how).fit(times).kneighbors(times + 1)[0].ravel() for how in ("kd_tree", "brute")}
for how, distances in nearest.items():
    print(how, np.unique(distances).tolist())
rows = np.random.default_rng(0).normal(size=(500, 20))
copies = NearestNeighbors(n_neighbors=1).fit(rows).kneighbors(rows.copy())[0]
print("copies at distance 0:", float((copies == 0).mean()))
assert (nearest["kd_tree"] == 1).all()
assert not np.isclose(nearest["brute"], 1).any(), "changed: brute is right far from the origin"
assert 0 < (copies == 0).mean() < 1, "changed: all copies, or none, are at distance 0"
PYTHON
