#!/usr/bin/env bash
# Guess: 2.5 * image is two and a half times the image, or an error where whole numbers can't hold it; so it is in numpy, where it becomes float.
# Version: SimpleITK 2.5.7.
# Behaviour: a number is cut to the picture's type before the operation, so the fraction of a factor, summand or divisor goes without a word; the result is of the picture's type, except that of a division, which is float.
# Seen: of an 8-bit image, 2.5 * [100, 20] is [200, 40], + 0.5 changes nothing, 0.5 * image is black, / 2.5 gives [50, 10], and / 0.4 infinity.
# Meaning: a brightness factor between 0 and 1 makes a black volume, one from 1 to below 2 does nothing; cast to sitkFloat32 first.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet SimpleITK==2.5.7 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import SimpleITK as sitk

image = sitk.GetImageFromArray(np.array([[100, 20]], np.uint8))
results = {"2.5 *": 2.5 * image, "+ 0.5": image + 0.5, "0.5 *": 0.5 * image, "/ 2.5": image / 2.5, "/ 0.4": image / 0.4}
found = {name: sitk.GetArrayFromImage(result)[0].tolist() for name, result in results.items()}
print(found)
as_float = 2.5 * sitk.Cast(image, sitk.sitkFloat32)
assert sitk.GetArrayFromImage(as_float).tolist() == [[250, 50]]
assert found["2.5 *"] == [200, 40] and found["/ 2.5"] == [50, 10], "changed: the fraction counts"
assert found["+ 0.5"] == [100, 20] and found["0.5 *"] == [0, 0] and found["/ 0.4"] == [np.inf] * 2, "changed"
PYTHON
