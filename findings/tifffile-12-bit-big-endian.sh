#!/usr/bin/env bash
# Guess: byteorder=">" changes how the numbers are stored, and what imwrite wrote imread reads.
# Version: tifffile 2026.3.3, imagecodecs 2026.3.6.
# Behaviour: packed samples (bitspersample=12) are written wrongly in big-endian files, without a warning; little-endian ones are right.
# Seen: [0, 16, 32, 48] comes back as [0, 0, 0, 0].
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import tifffile

ramp = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
back = {}
for order in "<>":
    tifffile.imwrite("ramp.tif", ramp, bitspersample=12, byteorder=order)
    back[order] = tifffile.imread("ramp.tif")
    print(order, back[order][0, :4].tolist())
assert np.array_equal(back["<"], ramp)
assert not np.array_equal(back[">"], ramp), "changed: big-endian is right"
PYTHON
