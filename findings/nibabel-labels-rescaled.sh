#!/usr/bin/env bash
# Guess: labels 0 to 6 held as float64 and saved with the header of a uint8 image come back as 0 to 6: they fit.
# Version: nibabel 5.4.2.
# Behaviour: floats are stretched over the full range of the header's integer type (scl_slope, scl_inter), so whole numbers come back slightly off, and seg == 1 finds nothing. Cast to the integer type first and they are exact.
# Seen: 1.0 comes back as 0.988, 3.0 as 2.988; of the labels only 0.0 is exact.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet nibabel==5.4.2 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import nibabel as nib
import numpy as np

labels = (np.arange(64.0) % 7).reshape(4, 4, 4)
header = nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)).header
nib.save(nib.Nifti1Image(labels, np.eye(4), header=header), "seg.nii")
nib.save(nib.Nifti1Image(labels.astype(np.uint8), np.eye(4), header=header), "cast.nii")
back, cast = (np.unique(nib.load(name).get_fdata()) for name in ("seg.nii", "cast.nii"))
print("floats:", back.round(4).tolist(), "cast first:", cast.tolist())
assert cast.tolist() == [0, 1, 2, 3, 4, 5, 6]
assert not np.isin(back[1:], cast).any(), "changed: labels come back whole"
PYTHON
