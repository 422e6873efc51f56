#!/usr/bin/env bash
# Guess: POT's distances are distances, or all of them are powers: for p=2 its functions called wasserstein agree on two points.
# Version: pot 0.9.7.post1, numpy 2.4.6, scipy 1.17.1.
# Behaviour: wasserstein_1d(p=2) is the square, as emd2 of ot.dist() is; sliced_wasserstein_distance(p=2), whose every slice is of one dimension, and bures_wasserstein_distance are the root.
# Seen: for points at distance 3 wasserstein_1d, emd2, emd2_1d and solve_sample give 9, and the sliced, max-sliced and Bures ones 3.
# Meaning: one table of measures has both kinds in it; in one dimension the sliced distance is not the distance by wasserstein_1d, and Bures' is the root of the Frechet distance that is compared elsewhere.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 scipy==1.17.1 pot==0.9.7.post1

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import ot

here, there, weights = np.zeros((4, 1)), np.full((4, 1), 3.0), np.full(4, 0.25)
squares = {
    "wasserstein_1d": ot.wasserstein_1d(here, there, p=2),
    "emd2": ot.emd2(weights, weights, ot.dist(here, there)),
    "emd2_1d": ot.emd2_1d(here[:, 0], there[:, 0]),
    "solve_sample": ot.solve_sample(here, there).value,
}
roots = {
    "sliced": ot.sliced_wasserstein_distance(here, there, p=2),
    "max-sliced": ot.max_sliced_wasserstein_distance(here, there, p=2),
    "Bures": ot.gaussian.bures_wasserstein_distance(np.zeros(1), np.full(1, 3.0), np.eye(1), np.eye(1)),
}
print({name: round(float(np.squeeze(value)), 6) for name, value in (squares | roots).items()})
assert np.allclose([np.squeeze(value) for value in roots.values()], 3)
assert np.allclose([np.squeeze(value) for value in squares.values()], 9), "changed: roots all of them"
PYTHON
