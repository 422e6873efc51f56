#!/usr/bin/env bash
# Guess: six frames that are saved as an animation are six frames when it is read.
# Version: Pillow 13.0.0.
# Behaviour: GIF, APNG and WebP are written with runs of equal frames merged into one that is shown for longer. A video set or a grid of samples loses frames where nothing moves.
# Seen: 3 frames of 6 in each of the formats.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import io

import numpy as np
from PIL import Image

one, two, three = (Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)) for seed in range(3))
counts = {}
for format in ("GIF", "PNG", "WEBP"):
    file = io.BytesIO()
    one.save(file, format, save_all=True, append_images=[one, two, two, two, three], duration=100)
    counts[format] = Image.open(file).n_frames
print(counts)
assert set(counts.values()) == {3}, "changed"
PYTHON
