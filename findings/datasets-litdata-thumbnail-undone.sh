#!/usr/bin/env bash
# Guess: a picture that was opened from a JPEG and made smaller with thumbnail() is written into a data set small, as it is in memory.
# Version: datasets 5.2.0, litdata 0.2.76, Pillow 13.0.0.
# Behaviour: thumbnail() changes the picture in place, and it goes on to know the file it came from. Both packages take a picture with a file for that file, and store its bytes (litdata) or its path (datasets). A copy() of it, or what resize() gives, is stored as it is.
# Seen: of a JPEG of 64 pixels made 16 both give 64 back, and 16 for the copy. So do lines drawn into the picture vanish.
# Meaning: a data set that was prepared at 64 pixels holds the originals, with the disk space and the time to decode them, and a face that was painted over is there again.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 datasets==5.2.0 litdata==0.2.76 pillow==13.0.0

venv/bin/python -W ignore - <<'PYTHON'
import io

import datasets
from litdata.streaming.serializers import JPEGSerializer
from PIL import Image, ImageDraw

Image.new("RGB", (64, 64), "white").save("white.jpg")


def stored(picture):
    features = datasets.Features({"image": datasets.Image()})
    first = datasets.Dataset.from_dict({"image": [picture]}, features=features)[0]["image"]
    content, _ = JPEGSerializer().serialize(picture)
    return first, Image.open(io.BytesIO(content))


small = Image.open("white.jpg")
small.thumbnail((16, 16))
sizes, of_copy = [[one.size for one in stored(picture)] for picture in (small, small.copy())]
painted = Image.open("white.jpg")
ImageDraw.Draw(painted).rectangle((0, 0, 63, 63), fill="black")
greys = [one.convert("L").getpixel((32, 32)) for one in stored(painted)]
print("in memory:", small.size, "datasets, litdata:", sizes, "a copy:", of_copy, "painted black:", greys)
assert small.size == (16, 16) and painted.getpixel((32, 32)) == (0, 0, 0) and of_copy == [(16, 16)] * 2
assert sizes == [(64, 64)] * 2 and greys == [255, 255], "changed: what is in memory is stored"
PYTHON
