#!/usr/bin/env bash
# Guess: an array of which a chunk's file is lost (a broken copy, an upload that ended early) raises when that part is read.
# Version: zarr 3.1.6.
# Behaviour: a chunk that is absent means "all fill value", so the lost part reads as zeros: black pixels, no error and no warning.
# Seen: rows of 7 7 7 7 become 0 0 7 7.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet zarr==3.1.6 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
from pathlib import Path

import zarr

array = zarr.create_array("pictures.zarr", shape=(4, 4), chunks=(2, 2), dtype="uint8")
array[:] = 7
Path("pictures.zarr/c/0/0").unlink()
read = zarr.open_array("pictures.zarr", mode="r")[:]
print(read.tolist())
assert (read[:2, :2] == 0).all() and (read == 7).sum() == 12, "changed"
PYTHON
