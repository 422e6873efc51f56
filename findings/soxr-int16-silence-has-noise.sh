#!/usr/bin/env bash
# Guess: resampled silence is silence, whatever the dtype of the samples.
# Version: soxr 1.1.0, numpy 2.4.6.
# Behaviour: int16 is dithered: zeros come back as a pattern of -1, 0 and 1, so a search for samples that are exactly 0 (trimming, padding, empty clips) finds nothing to cut. int32 and floats stay 0.
# Seen: of 4,000 zeros from 44.1 to 16 kHz, a maximum of 1 in int16 and 0 in int32 and float32.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet soxr==1.1.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import soxr

loudest, heard = {}, {}
for dtype in (np.int16, np.int32, np.float32, np.float64):
    made = soxr.resample(np.zeros(4000, dtype), 44100, 16000)
    loudest[dtype.__name__], heard[dtype.__name__] = float(np.abs(made).max()), float((made != 0).mean())
print("loudest:", loudest, "share that is not 0:", heard)
assert loudest["int16"] >= 1, "changed: int16 silence stays silent"
assert not any(value for name, value in loudest.items() if name != "int16")
PYTHON
