#!/usr/bin/env bash
# Guess: LoadImage of a PNG gives (height, width, 3), as Pillow, OpenCV and imageio do, or (3, height, width); a grey one has its channel too.
# Version: monai 1.6.1, torch 2.13.0, Pillow 13.0.0.
# Behaviour: the first two axes are exchanged (reverse_indexing=True of its PILReader), since volumes have their width first; channels stay last, and grey pictures have none.
# Seen: a picture 6 wide and 4 high has the shape (6, 4, 3), and (6, 4) in grey; with reverse_indexing=False (4, 6, 3).
# Meaning: beside pictures from another loader these lie on their sides, which a network trained on both learns as it is, and flips and crops named by axis hit the other one.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 monai==1.6.1 pillow==13.0.0

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
from monai.data import PILReader
from monai.transforms import LoadImage
from PIL import Image

Image.fromarray(np.zeros((4, 6, 3), "uint8")).save("colour.png")
Image.fromarray(np.zeros((4, 6), "uint8")).save("grey.png")
colour, grey = (tuple(LoadImage(image_only=True)(name).shape) for name in ("colour.png", "grey.png"))
upright = tuple(LoadImage(PILReader(reverse_indexing=False), image_only=True)("colour.png").shape)
print("colour:", colour, "grey:", grey, "without reverse_indexing:", upright)
assert upright == (4, 6, 3)
assert colour == (6, 4, 3) and grey == (6, 4), "changed: pictures are upright"
PYTHON
