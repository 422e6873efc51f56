#!/usr/bin/env bash
# Guess: LogisticDetection scores a generator low when its samples are plainly told from the real ones, as a blob is from a ring.
# Version: sdmetrics 0.32.0.
# Behaviour: the classifier is a logistic regression on the raw columns, so what no straight line separates scores near 1, "not to be told apart". SVCDetection sees it.
# Seen: LogisticDetection 0.915, SVCDetection 0.0.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet sdmetrics==0.32.0

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import pandas as pd
from sdmetrics.single_table import LogisticDetection, SVCDetection

rng = np.random.default_rng(0)
angle = rng.uniform(0, 2 * np.pi, 500)
ring = pd.DataFrame({"x": np.cos(angle), "y": np.sin(angle)})
blob = pd.DataFrame({"x": rng.normal(0, 0.2, 500), "y": rng.normal(0, 0.2, 500)})
metadata = {"columns": {"x": {"sdtype": "numerical"}, "y": {"sdtype": "numerical"}}}
linear, curved = (metric.compute(ring, blob, metadata) for metric in (LogisticDetection, SVCDetection))
print("LogisticDetection", round(float(linear), 3), "SVCDetection", round(float(curved), 3))
assert linear > 0.9 and curved < 0.3, "changed"
PYTHON
