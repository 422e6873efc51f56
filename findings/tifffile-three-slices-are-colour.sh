#!/usr/bin/env bash
# Guess: imwrite of a stack (slices, height, width) writes one grey page a slice, whatever the number of slices.
# Version: tifffile 2026.3.3.
# Behaviour: three or four slices are taken for the channels of one RGB(A) picture in planes, of any dtype; two or five are pages. photometric="minisblack" says what is meant.
# Seen: 2 and 5 slices are 2 and 5 pages, MINISBLACK; 3 and 4 are 1 page, RGB.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tifffile==2026.3.3 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import tifffile

found = {}
for slices in (2, 3, 4, 5):
    tifffile.imwrite("stack.tif", np.zeros((slices, 16, 16), np.uint8))
    with tifffile.TiffFile("stack.tif") as file:
        found[slices] = (len(file.pages), file.pages[0].photometric.name)
print(found)
assert found[3] == (1, "RGB") and found[5] == (5, "MINISBLACK"), "changed"
PYTHON
