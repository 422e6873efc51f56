#!/usr/bin/env bash
# Guess: a NIfTI file has one size of voxel: header.set_zooms() changes the affine too, or saving refuses two that differ.
# Version: nibabel 5.4.2.
# Behaviour: the header's zooms and the affine are two fields; set_zooms() changes the first alone, it is saved and loaded, and the affine goes on to say the former size. A header handed to the constructor together with an affine, the other way round, has its zooms overwritten by the affine.
# Seen: after set_zooms((3, 3, 3)) a loaded file says 3 mm in its zooms and 1 mm in its affine; the same header given to a new image with an affine of 5 says 5.
# Meaning: volumes, distances and resampling come out 27 times apart by which of the two a tool reads.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet nibabel==5.4.2 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import nibabel
import numpy as np

image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4))
image.header.set_zooms((3, 3, 3))
nibabel.save(image, "volume.nii")
loaded = nibabel.load("volume.nii")
zooms = tuple(map(float, loaded.header.get_zooms()))
affine = tuple(map(float, nibabel.affines.voxel_sizes(loaded.affine)))
again = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.diag([5, 5, 5, 1]), header=loaded.header)
print("zooms:", zooms, "affine:", affine, "new image:", again.header.get_zooms())
assert all(float(size) == 5 for size in again.header.get_zooms()), "changed: a header wins over the affine"
assert zooms == (3, 3, 3) and affine == (1, 1, 1), "changed: one size"
PYTHON
