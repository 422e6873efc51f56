#!/usr/bin/env bash
# Guess: what an array loses when it is made shorter is gone: made longer again, it holds the fill value there, as in HDF5.
# Version: zarr 3.1.6, h5py 3.16.0.
# Behaviour: zarr deletes the chunks that lie wholly outside and leaves the one that is cut as it was, so some of the removed samples are back, and others are 0. HDF5 clears them all.
# Seen: 1 to 10 in chunks of 4, resized to 6 and to 10 again, ends in 7 8 0 0 in zarr and in 0 0 0 0 in HDF5.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet zarr==3.1.6 h5py==3.16.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import h5py
import numpy as np
import zarr

values = np.arange(1, 11)
chunked = zarr.create_array("samples.zarr", shape=(10,), chunks=(4,), dtype=values.dtype)
chunked[:] = values
with h5py.File("samples.h5", "w") as file:
    dataset = file.create_dataset("samples", data=values, chunks=(4,), maxshape=(None,))
    for array in (chunked, dataset):
        array.resize((6,))
        array.resize((10,))
    tails = chunked[6:].tolist(), dataset[6:].tolist()
print("zarr:", tails[0], "HDF5:", tails[1])
assert tails[1] == [0, 0, 0, 0]
assert tails[0] == [7, 8, 0, 0], "changed: zarr clears what it cut off"
PYTHON
