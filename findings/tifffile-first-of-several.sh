#!/usr/bin/env bash
# Guess: three pictures of one size that were written one after the other into one TIFF are read as (3, height, width); pictures of several sizes are an error or a list.
# Version: tifffile 2026.3.3, numpy 2.4.6.
# Behaviour: imread gives the first series alone, and each write() of a TiffWriter, or imwrite(append=True), makes a series unless it was called with contiguous=True. Of a file by another program it is the pages that look like the first.
# Seen: three writes of 8 x 8 are read as (8, 8), the first, though the file has three pages; with contiguous=True (3, 8, 8). Of Pillow's pages 8 x 8, 8 x 8 and 9 x 8 come two.
# Meaning: samples saved in a loop are there and not read: a set of one slice a volume.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 pillow==13.0.0 tifffile==2026.3.3

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import tifffile
from PIL import Image


def shape(name, **options):
    with tifffile.TiffWriter(name) as file:
        for value in range(3):
            file.write(np.full((8, 8), value, "uint8"), **options)
    with tifffile.TiffFile(name) as file:
        assert len(file.pages) == 3
    return tifffile.imread(name).shape


one, three = shape("one.tif"), shape("three.tif", contiguous=True)
pictures = [Image.fromarray(np.zeros((height, 8), "uint8")) for height in (8, 8, 9)]
pictures[0].save("mixed.tif", save_all=True, append_images=pictures[1:])
mixed = tifffile.imread("mixed.tif").shape
print("three writes:", one, "contiguous:", three, "Pillow's pages of two sizes:", mixed)
assert three == (3, 8, 8)
assert one == (8, 8) and mixed == (2, 8, 8), "changed: all pictures are read, or refused"
PYTHON
