#!/usr/bin/env bash
# Guess: scaleoffset=4 for integers refuses or clips what does not fit into 4 bits, and scaleoffset=3 for floats keeps three decimals, and NaN.
# Version: h5py 3.16.0, numpy 2.4.6.
# Behaviour: of each integer the lowest bits of its difference to the chunk's smallest value are kept, without a word, and the largest pattern of bits is taken for the fill value; scaleoffset=0 finds the bits itself and is exact. NaN comes back as a number of its chunk.
# Seen: 0, 1, 14, 16 and 100 come back as 0, 1, 14, 0 and 4; 1015 beside 1000 as 0; 0.5, NaN, 1 and 2 as 0.5, 0.5, 1 and 2.
# Meaning: labels change into other valid labels, and what was missing is a measured value.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 h5py==3.16.0

venv/bin/python -W ignore - <<'PYTHON'
import h5py
import numpy as np

stored = {
    "bits": (np.array([0, 1, 14, 16, 100]), 4),
    "found": (np.array([0, 1, 14, 16, 100]), 0),
    "far": (np.array([1000, 1001, 1014, 1015]), 4),
    "missing": (np.array([0.5, np.nan, 1, 2]), 3),
}
with h5py.File("values.h5", "w") as file:
    for name, (values, scale) in stored.items():
        file.create_dataset(name, data=values, chunks=values.shape, scaleoffset=scale)
with h5py.File("values.h5") as file:
    again = {name: file[name][:].tolist() for name in stored}
for name, (values, scale) in stored.items():
    print(name, "scaleoffset", scale, values.tolist(), "->", again[name])
assert again["found"] == [0, 1, 14, 16, 100]
assert again["bits"] == [0, 1, 14, 0, 4] and again["far"] == [1000, 1001, 1014, 0], "changed: integers are kept, clipped or refused"
assert again["missing"] == [0.5, 0.5, 1, 2], "changed: NaN is kept"
PYTHON
