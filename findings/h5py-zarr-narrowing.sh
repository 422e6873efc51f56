#!/usr/bin/env bash
# Guess: h5py and zarr, written alike (dataset[:] = array), do alike with int16 values that uint8 cannot hold: both raise, or both wrap as astype does.
# Version: h5py 3.16.0, zarr 3.1.6.
# Behaviour: HDF5 clips to the nearest value, zarr wraps, and neither warns: the same overshot pixel is white in one store and nearly black in the other.
# Seen: [300, -5, 7] becomes [255, 0, 7] and [44, 251, 7].
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet h5py==3.16.0 zarr==3.1.6 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import h5py
import numpy as np
import zarr

values = np.array([300, -5, 7], np.int16)
with h5py.File("a.h5", "w") as file:
    clipped = file.create_dataset("x", (3,), "uint8")
    clipped[:] = values
    clipped = clipped[:].tolist()
wrapped = zarr.create_array("a.zarr", shape=(3,), dtype="uint8")
wrapped[:] = values
wrapped = wrapped[:].tolist()
print("h5py", clipped, "zarr", wrapped)
assert clipped == [255, 0, 7] and wrapped == [44, 251, 7], "changed"
PYTHON
