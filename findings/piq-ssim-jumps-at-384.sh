#!/usr/bin/env bash
# Guess: SSIM of a picture with the same noise is about the same at 383 and at 384 pixels.
# Version: piq 0.8.0.
# Behaviour: downsample=True, the default, averages the picture over squares of round(side / 256) pixels first: 2 from 384 on, 3 from 640, 4 from 896. That averages the noise away. With downsample=False, as in torchmetrics and scikit-image, the size does not matter.
# Seen: smooth pictures with noise of 0.05 have 0.297 at 383 pixels, 0.663 at 384 and 0.875 at 1,024; without downsampling 0.296, 0.297 and 0.285.
# Meaning: the same upscaler or autoencoder seems to become twice as good with larger test pictures, and tables by two libraries do not compare.
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


def noisy(side, downsample):
    """SSIM of a smooth picture of so many pixels a side, and the same with noise."""
    at = torch.linspace(0, 6.28, side)
    picture = (0.5 + 0.25 * at.sin()[:, None] + 0.2 * at.cos()[None]).expand(1, 1, side, side)
    spoiled = (picture + 0.05 * torch.randn(1, 1, side, side)).clamp(0, 1)
    return piq.ssim(picture, spoiled, data_range=1.0, downsample=downsample).item()


sides = (383, 384, 1024)
default, plain = ([noisy(side, flag) for side in sides] for flag in (True, False))
print("default:", default, "without downsampling:", plain)
assert max(plain) - min(plain) < 0.05, "changed: the size matters without downsampling, too"
assert default[1] > 2 * default[0] and default[2] > 0.8, "changed: the size no longer matters"
PYTHON
