#!/usr/bin/env bash
# Guess: a volume saved without an affine comes back without one, or with the identity.
# Version: nibabel 5.4.2, numpy 2.4.6.
# Behaviour: with affine=None nothing is written, and what reads as affine is made up: the first axis runs from right to left, and the origin lies in the middle. as_closest_canonical() then mirrors the data.
# Seen: the image says None, the file read again an affine with -1 in the first place (orientation LAS, where the identity is RAS), and brought to RAS the volume is mirrored.
# Meaning: generated volumes without an affine are mirrored by every pipeline that brings its inputs to one orientation, among them those whose training set had the identity.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 nibabel==5.4.2

venv/bin/python -W ignore - <<'PYTHON'
import nibabel
import numpy as np

volume = np.arange(60, dtype="float32").reshape(3, 4, 5)


def canonical(affine):
    nibabel.save(nibabel.Nifti1Image(volume, affine), "volume.nii")
    image = nibabel.load("volume.nii")
    print("saved with", None if affine is None else "the identity", "read as", nibabel.aff2axcodes(image.affine), image.affine.tolist())
    return nibabel.as_closest_canonical(image).get_fdata()


assert nibabel.Nifti1Image(volume, None).affine is None
assert (canonical(np.eye(4)) == volume).all()
assert (canonical(None) == volume[::-1]).all(), "changed: without an affine nothing is mirrored"
PYTHON
