#!/usr/bin/env bash
# Guess: a slice of floats between 0 and 1 saved as PNG is scaled to 0 to 255, as torchvision's save_image does, or refused; values beyond the type's range are cut off at its ends.
# Version: torchio 1.2.1.
# Behaviour: the values are cast to 8 bits as they are, with a warning of the cast alone: fractions go, and what is above 255 or below 0 begins anew at the other end. The first axis is the picture's width.
# Seen: a ramp from 0 to 1 is 0 but for its last pixel, which is 1; a ramp from 0 to 300 ends in 220, 240, 4, 24, 44. Read with Pillow the array is transposed.
# Meaning: pictures of generated volumes are black though the volumes aren't, and the brightest structures are dark.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 torchio==1.2.1 SimpleITK==2.5.7 pillow==13.0.0

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import torch
import torchio
from PIL import Image

ramp = torch.arange(16.0).reshape(1, 4, 4, 1) / 15


def saved(values):
    torchio.ScalarImage(tensor=values).save("slice.png")
    return np.asarray(Image.open("slice.png")).T.ravel().tolist()


unit, beyond = saved(ramp), saved(ramp * 300)
print("0 to 1:", unit, "0 to 300:", beyond)
assert saved(ramp * 255) == [17 * step for step in range(16)]
assert unit == [0] * 15 + [1] and beyond[-5:] == [220, 240, 4, 24, 44], "changed: scaled or cut off"
PYTHON
