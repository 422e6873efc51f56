#!/usr/bin/env bash
# Guess: the population stability index of two samples of one distribution is near 0, and below the usual bounds of 0.1 and 0.25 with a few hundred values each; a bin that is empty in one of them counts a little.
# Version: frouros 0.9.0 (PSI of 10 bins, the default), numpy 2.1.3, scipy 1.14.1.
# Behaviour: an empty bin counts as 2e-308, the least positive float, of which the logarithm is -708. Each value alone in a bin of the other sample so adds 708 divided by their number.
# Seen: of 20 pairs of 500 normal values 15 have an index below 0.07, and five one from 1.4 to 9.9. A tenth of the values of one bin left gives 0.2, none left 70.6.
# Meaning: a single value in the tails is drift in every fourth comparison, and the index can't be compared with other packages'.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.1.3 scipy==1.14.1 frouros==0.9.0

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
from frouros.detectors.data_drift import PSI


def index(first, second):
    detector = PSI()
    detector.fit(X=first)
    return float(detector.compare(X=second)[0].distance)


rng = np.random.default_rng(0)
pairs = [index(*rng.normal(0, 1, (2, 500))) for _ in range(20)]
reference = np.arange(1000) % 100 / 100
without = reference[(reference < 0.9) | (np.arange(1000) < 100)]
few, none = index(reference, without), index(reference, reference[reference < 0.9])
print("pairs:", np.round(np.sort(pairs), 3).tolist(), "a tenth of the last bin left:", round(few, 3), "nothing of it:", round(none, 3))
assert few < 0.25 and np.median(pairs) < 0.1
assert none > 50 and max(pairs) > 1 and not any(0.25 < pair < 1 for pair in pairs), "changed: an empty bin counts a little"
PYTHON
