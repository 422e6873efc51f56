#!/usr/bin/env bash
# Guess: convert("L") or convert("RGB") of a 16-bit grey picture scales it to 8 bits: 65535 becomes 255, 32768 becomes 128.
# Version: Pillow 13.0.0.
# Behaviour: the values are cut off at 255, so nearly all of a microscope's or scanner's picture is white. torchvision's ImageFolder opens
#   files by this very call.
# Seen: 0, 255, 256, 4000 and 65535 become 0, 255, 255, 255, 255 in both; the picture was opened with mode I;16 and its right values.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pillow==13.0.0 numpy==2.4.6

venv/bin/python - <<'PYTHON'
import numpy as np
from PIL import Image

values = np.array([[0, 255, 256, 4_000, 65_535]], dtype=np.uint16)
Image.fromarray(values).save("grey.png")
image = Image.open("grey.png")
grey, red = np.asarray(image.convert("L"))[0].tolist(), np.asarray(image.convert("RGB"))[0, :, 0].tolist()
print(f"mode {image.mode}, values {np.asarray(image)[0].tolist()}; convert('L') {grey}; convert('RGB') {red}")
assert (image.mode, np.asarray(image)[0].tolist()) == ("I;16", values[0].tolist()), "changed"
assert grey == red == [0, 255, 255, 255, 255], "changed"
PYTHON
