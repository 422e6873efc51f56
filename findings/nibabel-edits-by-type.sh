#!/usr/bin/env bash
# Guess: an edit in place of image.get_fdata() is either always part of the image that is saved or never.
# Version: nibabel 5.4.2.
# Behaviour: of an image made from a float64 array get_fdata() is that array, so the edit changes the array, and is saved; of any other type it is a converted copy, which is kept in a cache: get_fdata() shows the edit from then on, and the file does not have it.
# Seen: after setting all to 5, get_fdata() gives 5 for both; the saved file holds 5 of float64 and 0 of float32.
# Meaning: a mask or clipping done in place works in a test with numpy's default type and is lost with the float32 that a network gives; everything but the file says that it was done.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet nibabel==5.4.2 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import nibabel
import numpy as np

seen = {}
for kind in ("float64", "float32"):
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), kind), np.eye(4))
    image.get_fdata()[:] = 5
    assert image.get_fdata().min() == 5
    nibabel.save(image, "volume.nii")
    seen[kind] = float(nibabel.load("volume.nii").get_fdata().max())
print("saved:", seen)
assert seen == {"float64": 5.0, "float32": 0.0}, "changed"
PYTHON
