#!/usr/bin/env bash
# Guess: a 10-bit JPEG XL comes back as it went in, or scaled to the range of its type, and what is returned tells which.
# Version: imagecodecs 2026.3.6 (libjxl), numpy 2.4.6.
# Behaviour: jpegxl_decode gives 10 and 12 bits unscaled in uint16, as it does 16, and nothing says how many there were.
# Seen: white comes back as 1023, 4095 and 65535 in the same dtype; a picture of 10 bits that is taken for 16 is nearly black.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet imagecodecs==2026.3.6 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import imagecodecs
import numpy as np

white = {}
for bits in (10, 12, 16):
    ramp = np.linspace(0, 2**bits - 1, 256).astype(np.uint16).reshape(16, 16)
    back = imagecodecs.jpegxl_decode(imagecodecs.jpegxl_encode(ramp, bitspersample=bits, lossless=True))
    white[bits] = (str(back.dtype), int(back.max()))
print(white)
assert white == {10: ("uint16", 1_023), 12: ("uint16", 4_095), 16: ("uint16", 65_535)}, "changed"
PYTHON
