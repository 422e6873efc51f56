#!/usr/bin/env bash
# Guess: imageio.v3.imread of an animation gives all of its frames, or its first one, alike for GIF, APNG and WebP.
# Version: imageio 2.38.1, Pillow 13.0.0.
# Behaviour: all frames of GIF and APNG, and the first one alone of WebP, without a word; improps says the same. index=... and imiter give every frame of each.
# Seen: (3, 8, 8, 3) for GIF and APNG, (8, 8, 3) for WebP, and (3, 8, 8, 3) for all with index=....
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet imageio==2.38.1 pillow==13.0.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import imageio.v3 as iio
import numpy as np
from PIL import Image

first, *others = (Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)) for seed in range(3))
usual, every = {}, {}
for ending in ("gif", "png", "webp"):
    first.save(f"clip.{ending}", save_all=True, append_images=others)
    usual[ending], every[ending] = iio.imread(f"clip.{ending}").shape, iio.imread(f"clip.{ending}", index=...).shape
print("by default:", usual, "with index=...:", every)
assert set(every.values()) == {(3, 8, 8, 3)}
assert usual == {"gif": (3, 8, 8, 3), "png": (3, 8, 8, 3), "webp": (8, 8, 3)}, "changed"
PYTHON
