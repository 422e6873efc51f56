#!/usr/bin/env bash
# Guess: a data set that is compressed without loss, or decompressed, is the same instance: its SOPInstanceUID stays, as do its pixels.
# Version: pydicom 3.0.2, numpy 2.4.6, its own example picture.
# Behaviour: compress() and decompress() each give it a new SOPInstanceUID, in the data set and in the file's header, unless generate_instance_uid=False. They work in place, so the former identifier is gone.
# Seen: through RLE Lossless and back the pixels are equal and the three identifiers differ.
# Meaning: a set in which some files were recompressed holds the same slice twice under two identifiers: duplicates are not found by them, splits by identifier leak, and annotations that name the former one find nothing.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 pydicom==3.0.2

venv/bin/python -W ignore - <<'PYTHON'
from pydicom import examples
from pydicom.uid import RLELossless

slice_ = examples.ct
pixels, first = slice_.pixel_array.copy(), slice_.SOPInstanceUID
slice_.compress(RLELossless)
second = slice_.SOPInstanceUID
slice_.decompress()
third = slice_.SOPInstanceUID
print("stored, compressed, decompressed:", first[-6:], second[-6:], third[-6:], "equal pixels:", (slice_.pixel_array == pixels).all())
slice_.compress(RLELossless, generate_instance_uid=False)
assert slice_.SOPInstanceUID == third and (slice_.pixel_array == pixels).all()
assert len({first, second, third}) == 3, "changed: the identifier stays"
PYTHON
