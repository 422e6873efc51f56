#!/usr/bin/env bash
# Guess: antialias=True changes nothing where a picture is enlarged: there is nothing to smooth away, as with bilinear.
# Version: torch 2.13.0, torch.nn.functional.interpolate.
# Behaviour: bicubic with antialias uses the kernel of Pillow (a = -0.5), without it that of OpenCV (a = -0.75), so the flag changes enlarged pictures too. torchvision's resize sets it by default.
# Seen: bilinear differs by 0.0, bicubic by 0.035 on a unit impulse enlarged twofold.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import torch
from torch.nn.functional import interpolate

impulse = torch.zeros(1, 1, 1, 8)
impulse[..., 4] = 1
gap = {}
for mode in ("bilinear", "bicubic"):
    plain, smooth = (interpolate(impulse, size=(1, 16), mode=mode, antialias=flag) for flag in (False, True))
    gap[mode] = (plain - smooth).abs().max().item()
print(gap)
assert gap["bilinear"] == 0 and gap["bicubic"] > 0.03, "changed"
PYTHON
