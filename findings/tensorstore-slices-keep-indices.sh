#!/usr/bin/env bash
# Guess: array[2:4][0] is array[2], array[-1] the last element and array[::-1][0] the last one too, as in numpy, h5py (but for the last) and zarr.
# Version: tensorstore 0.1.86.
# Behaviour: a slice keeps the places of what it was cut from, so array[2:4] goes from 2 to 4 and has no 0; -1 is a place of its own, not the last; with a step the places are divided by it, so turned round an array of 4 goes from -3 to 1. read() and translate_to[0] give arrays that start at 0.
# Seen: array[2:4][0] and array[-1] raise, array[2:4][2] is element 2, array[1:8:2][0] is element 1, and array[::-1][-3] the last of four.
# Meaning: code written for numpy fails on the first window of a volume that doesn't start at 0, and a window into one turned round takes other elements without an error.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tensorstore==0.1.86 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import tensorstore

array = tensorstore.array(np.arange(4, dtype=np.uint8))
longer = tensorstore.array(np.arange(9, dtype=np.uint8))


def read(view, place):
    try:
        return int(view[place].read().result())
    except (IndexError, ValueError):
        return "refused"


found = {
    "[2:4][0]": read(array[2:4], 0),
    "[2:4][2]": read(array[2:4], 2),
    "[-1]": read(array, -1),
    "[::-1][0]": read(array[::-1], 0),
    "[::-1][-3]": read(array[::-1], -3),
    "[1:8:2][0]": read(longer[1:8:2], 0),
}
print(found)
assert found["[1:8:2][0]"] == 1 and read(array[2:4].translate_to[0], 0) == 2
assert found["[2:4][0]"] == found["[-1]"] == "refused" and found["[2:4][2]"] == 2, "changed: slices start at 0"
assert found["[::-1][0]"] == 0 and found["[::-1][-3]"] == 3, "changed"
PYTHON
