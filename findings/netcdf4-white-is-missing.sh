#!/usr/bin/env bash
# Guess: whole pixels written to a netCDF variable without a fill value are all valid, and two readers of the file agree.
# Version: netCDF4 1.7.5.1.post1, xarray 2026.9.0, numpy 2.4.6.
# Behaviour: netCDF4 masks what equals the type's default fill value, which is the largest value of unsigned types: 255 and 65535. xarray masks nothing that the file does not name.
# Seen: pixels 0, 1 and 255 have mean 85.3 by xarray, and 0.5 by netCDF4, where white is missing. set_auto_mask(False) gives it back.
# Meaning: statistics of pictures leave white and saturated pixels out, by the reader.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 netCDF4==1.7.5.1.post1 xarray==2026.9.0

venv/bin/python -W ignore - <<'PYTHON'
import netCDF4
import numpy as np
import xarray

for kind in ("uint8", "uint16"):
    pixels = np.array([0, 1, np.iinfo(kind).max], kind)
    with netCDF4.Dataset(f"{kind}.nc", "w") as file:
        file.createDimension("x", 3)
        file.createVariable("pixels", kind, ("x",))[:] = pixels
    with netCDF4.Dataset(f"{kind}.nc") as file:
        masked = file["pixels"][:]
        file.set_auto_mask(False)
        plain = file["pixels"][:]
    other = xarray.open_dataset(f"{kind}.nc")["pixels"].values
    print(kind, "netCDF4:", masked, "unmasked:", plain, "xarray:", other)
    assert (plain == pixels).all() and (other == pixels).all()
    assert masked.count() == 2 and masked.mean() == 0.5, "changed: the largest value is valid"
PYTHON
