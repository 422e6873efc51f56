#!/usr/bin/env bash
# Guess: an index of float32 vectors keeps float32 vectors.
# Version: usearch 2.26.6, numpy 2.4.6.
# Behaviour: Index(ndim=...) keeps bfloat16, three significant digits, unless dtype="f32" is given, and rounds what is looked for alike; what add and search are given does not matter.
# Seen: (1000, 1) and (1001, 1) are at distance 0 from each other; with dtype="f32" at 1.
# Meaning: a search for copies of training samples among generated ones finds copies that are none, and cannot tell two that differ by less than half a percent.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet usearch==2.26.6 numpy==2.4.6

venv/bin/python - <<'PYTHON'
import numpy as np
from usearch.index import Index

known = np.array([[1000.0, 1.0]], np.float32)
found = {}
for dtype in (None, "f32"):
    index = Index(ndim=2, metric="l2sq", dtype=dtype)
    index.add(np.arange(1), known)
    found[str(index.dtype)] = float(index.search(known[0] + np.array([1, 0], np.float32), 1).distances[0])
print("squared distance of two vectors that differ by 1:", found)
assert found == {"ScalarKind.BF16": 0.0, "ScalarKind.F32": 1.0}, "changed: float32 is kept"
PYTHON
