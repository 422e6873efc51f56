#!/usr/bin/env bash
# Guess: Pillow gives a 12-bit TIFF scaled to 16 bits or says how many bits it had, turns min-is-white to min-is-black at 16 bits as it does at 8, and reads 16-bit RGB in planes as it does interleaved.
# Version: Pillow 13.0.0; the files are written by tifffile 2026.3.3.
# Behaviour: 12 bits come unscaled in mode I;16, like any 16-bit file; 16-bit min-is-white is not inverted; uncompressed 16-bit RGB in planes comes out garbled.
# Seen: a maximum of 4080 for a full 12-bit range; 0 for a white 16-bit pixel and 255 for a white 8-bit one; [0, 128, 64] where the picture is [2, 1, 0].
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import tifffile
from PIL import Image

ramp = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
tifffile.imwrite("12.tif", ramp, bitspersample=12)
twelve = Image.open("12.tif")
white = {}
for name, pixels in (("8 bits", (ramp >> 4).astype(np.uint8)), ("16 bits", ramp)):
    tifffile.imwrite("white.tif", pixels, photometric="miniswhite")
    white[name] = int(np.asarray(Image.open("white.tif"))[0, 0])
rgb = np.stack([ramp * 16, ramp * 8, ramp * 4])
tifffile.imwrite("planes.tif", rgb, photometric="rgb", planarconfig="separate")
planes = np.asarray(Image.open("planes.tif"))
print("12 bits:", twelve.mode, twelve.getextrema(), "white:", white, "planes:", planes[0, 2].tolist(), "for", (rgb[:, 0, 2] >> 8).tolist())
assert twelve.mode == "I;16" and twelve.getextrema() == (0, 4080), "changed: 12 bits"
assert white == {"8 bits": 255, "16 bits": 0}, "changed: min-is-white"
assert not np.array_equal(planes, (rgb >> 8).transpose(1, 2, 0)), "changed: planes are right"
PYTHON
