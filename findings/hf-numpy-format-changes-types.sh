#!/usr/bin/env bash
# Guess: a data set whose features say uint8 and float64 gives numpy arrays of uint8 and float64 with with_format("numpy").
# Version: datasets 5.2.0, numpy 2.4.6.
# Behaviour: arrays of whole numbers become int64 and those of fractions float32, whatever the features say: pixels take eight times the memory, and times in seconds lose the second. with_format("numpy", dtype=...) gives what is asked for, of all columns alike.
# Seen: int64 pixels; 1700000001.0 comes back as 1700000000.0, in float32.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet datasets==5.2.0 pyarrow==25.0.1 pandas==3.1.1 numpy==2.4.6

export HF_HOME="$folder/cache" HF_HUB_OFFLINE=1
venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
from datasets import Dataset

rows = Dataset.from_dict({"pixels": list(np.zeros((2, 4, 4), np.uint8)), "times": [[1700000001.0], [1700000002.0]]})
print("features:", rows.features)
first, asked = rows.with_format("numpy")[0], rows.with_format("numpy", dtype=np.float64)[0]
print("numpy:", first["pixels"].dtype, first["times"].dtype, first["times"].astype(float).tolist(), "as float64:", asked["times"].tolist())
assert "uint8" in str(rows.features["pixels"]) and "float64" in str(rows.features["times"])
assert asked["times"].tolist() == [1700000001.0]
assert first["pixels"].dtype == np.int64 and first["times"].dtype == np.float32, "changed"
assert first["times"].tolist() == [1700000000.0]
PYTHON
