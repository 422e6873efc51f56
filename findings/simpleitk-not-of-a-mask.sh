#!/usr/bin/env bash
# Guess: ~(image > 50) is the inverted mask, of 1 and 0, as image > 50 is a mask of 0 and 1, and so it is in numpy.
# Version: SimpleITK 2.5.7.
# Behaviour: masks are 8-bit images and ~ turns each bit: 0 becomes 255 and 1 becomes 254, both of which count as inside. Not() gives 1 and 0.
# Seen: of [10, 100], image > 50 is [0, 1], ~ of it [255, 254], Not() of it [1, 0]; Mask() by ~ keeps both pixels.
# Meaning: "everything but the organ" is everything, in a mask for a loss or for statistics.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet SimpleITK==2.5.7 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import SimpleITK as sitk

image = sitk.GetImageFromArray(np.array([[10, 100]], np.uint8))
mask = image > 50
kept = sitk.Mask(image, ~mask)
rows = [sitk.GetArrayFromImage(found)[0].tolist() for found in (mask, ~mask, sitk.Not(mask), kept)]
print("mask, ~mask, Not(mask), kept by ~mask:", rows)
assert rows[0] == [0, 1] and rows[2] == [1, 0]
assert rows[1] == [255, 254] and rows[3] == [10, 100], "changed: ~ inverts"
PYTHON
