#!/usr/bin/env bash
# Guess: measures of similarity of pictures, where 1 is equal, are low for a picture and its negative, and for a white and a black one.
# Version: piq 0.8.0.
# Behaviour: FSIM and VSI, and mostly HaarPSI, compare where structure is and how strong, not its sign or brightness; VSI of any two pictures of one grey is 1.
# Seen: smooth random colours against their negative: FSIM 0.971, VSI 0.977, HaarPSI 0.963, and SSIM -0.376. Black against white: VSI 1.0.
# Meaning: a generator that inverts its pictures, or an all-black one where white is right, passes a floor of 0.95 that sounds strict; SSIM or PSNR has to stand beside it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 torchvision==0.28.0 piq==0.8.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:  # its build for CUDA beside a torch without
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import piq

torch.manual_seed(0)
picture = torch.nn.functional.interpolate(torch.rand(1, 3, 16, 16), 256, mode="bicubic").clamp(0, 1)
measures = {"FSIM": piq.fsim, "VSI": piq.vsi, "HaarPSI": piq.haarpsi, "SSIM": piq.ssim}
negative = {name: measure(picture, 1 - picture, data_range=1.0).item() for name, measure in measures.items()}
white = torch.ones(1, 3, 256, 256)
flat = piq.vsi(white, 0 * white, data_range=1.0).item()
print("negative:", negative, "white and black, VSI:", flat)
assert negative["SSIM"] < 0 and min(negative[name] for name in ("FSIM", "VSI", "HaarPSI")) > 0.9, "changed: the negative is far"
assert flat > 0.999, "changed: white and black are apart"
PYTHON
