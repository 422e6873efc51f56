#!/usr/bin/env bash
# Guess: Flip() mirrors a picture, so that what was on the left is on the right from then on, also after it is resampled onto the grid of the one it was made of.
# Version: SimpleITK 2.5.7.
# Behaviour: Flip() turns the array and the direction and origin with it, so every point of the body stays where it was; whatever goes by places and not by indices (Resample, registration, a viewer) sees no change. flipAboutOrigin=True mirrors about the point 0, out of the original grid.
# Seen: the row 0, 1, 2, 3 is 3, 2, 1, 0 after the flip, with direction -1 and origin 3; resampled onto the original it is 0, 1, 2, 3 again.
# Meaning: mirrored volumes put through a common grid train no mirrored ones; give the flipped image the original's geometry with CopyInformation.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet SimpleITK==2.5.7 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import SimpleITK as sitk

image = sitk.GetImageFromArray(np.array([[0, 1, 2, 3]], np.uint8))
flipped = sitk.Flip(image, [True, False])
row = sitk.GetArrayFromImage(flipped)[0].tolist()
resampled = sitk.GetArrayFromImage(sitk.Resample(flipped, image))[0].tolist()
print("flipped:", row, flipped.GetDirection(), flipped.GetOrigin(), "resampled:", resampled)
flipped.CopyInformation(image)
assert sitk.GetArrayFromImage(sitk.Resample(flipped, image))[0].tolist() == row == [3, 2, 1, 0]
assert resampled == [0, 1, 2, 3], "changed: the flip outlasts resampling"
PYTHON
