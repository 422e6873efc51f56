#!/usr/bin/env bash
# Guess: kstest(sample, "norm", args=(mean, deviation)) tests against that normal distribution, as its documentation has it and as 1.17 does.
# Version: SciPy 1.18.1, which asks for Python 3.12 or newer.
# Behaviour: the normal distribution by name takes no args any more: its name now stands for the ufunc ndtr, which knows no mean. It alone: uniform, gamma, t and others by name, norm.cdf in place of the name, and cramervonmises with the same words work.
# Seen: TypeError: ndtr() takes from 1 to 2 positional arguments but 3 were given.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet scipy==1.18.1 numpy==2.4.6

venv/bin/python - <<'PYTHON'
import numpy as np
from scipy import stats

sample = np.random.default_rng(0).normal(0, 0.1, 100)
by_frozen = stats.kstest(sample, stats.norm(0, 0.1).cdf).pvalue
assert np.isclose(stats.ks_1samp(sample, stats.norm.cdf, args=(0, 0.1)).pvalue, by_frozen)
assert stats.cramervonmises(sample, "norm", args=(0, 0.1)).pvalue > 0.05
for name, args in {"uniform": (-1, 2), "logistic": (0, 1), "t": (5,)}.items():
    stats.kstest(sample, name, args=args)
try:
    found = stats.kstest(sample, "norm", args=(0, 0.1)).pvalue
except TypeError as error:
    print("TypeError:", error)
else:
    raise SystemExit(f"changed: by its name, too, the normal distribution takes args: {found}")
PYTHON
