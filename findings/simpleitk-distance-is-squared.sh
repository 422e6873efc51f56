#!/usr/bin/env bash
# Guess: the signed distance maps give distances, in the image's units of length, as its spacing is known.
# Version: SimpleITK 2.5.7, SignedMaurerDistanceMap and SignedDanielssonDistanceMap.
# Behaviour: both count pixels by default (useImageSpacing is False), and Maurer, the one usually advised, gives the square of the distance with the sign in front (squaredDistance is True); Danielsson doesn't.
# Seen: 3 pixels of 2 mm from a square's edge, Maurer says 9 and Danielsson 3; told useImageSpacing=True and squaredDistance=False, Maurer says 6.
# Meaning: a shape model taught such fields learns a function whose gradient isn't 1, which a penalty on the gradient's norm then fights.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet SimpleITK==2.5.7 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import SimpleITK as sitk

pixels = np.zeros((9, 9), np.uint8)
pixels[3:6, 3:6] = 1
image = sitk.GetImageFromArray(pixels)
image.SetSpacing((2.0, 2.0))
maps = {
    "Maurer": sitk.SignedMaurerDistanceMap(image),
    "Maurer in mm": sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True),
    "Danielsson": sitk.SignedDanielssonDistanceMap(image),
}
far = {name: float(sitk.GetArrayFromImage(found)[4, 0]) for name, found in maps.items()}
print(far)
assert far["Maurer in mm"] == 6
assert far["Maurer"] == 9 and far["Danielsson"] == 3, "changed: other units"
PYTHON
