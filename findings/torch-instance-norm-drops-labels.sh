#!/usr/bin/env bash
# Guess: a label that is given to a translator as constant planes beside the picture, as StarGAN does, reaches the whole picture through Conv2d and InstanceNorm2d.
# Version: torch 2.13.0.
# Behaviour: a constant plane adds a constant to every channel of a convolution without borders, and instance normalisation takes each channel's mean away: with padding_mode="reflect" the two labels give the same output up to rounding. With padding of zeros the borders alone tell the labels apart, and the middle hears of them by the mean.
# Seen: outputs for labels 0 and 1 differ by less than 1e-5 under reflect; under zeros by over three times as much at the border as in the middle.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import torch
from torch import nn

torch.manual_seed(0)
picture = torch.rand(4, 3, 32, 32) * 2 - 1


def apart(padding):
    torch.manual_seed(1)
    layers = nn.Sequential(nn.Conv2d(4, 16, 7, padding=3, padding_mode=padding), nn.InstanceNorm2d(16), nn.ReLU())
    with torch.no_grad():
        one, other = (layers(torch.cat([picture, torch.full((4, 1, 32, 32), label)], dim=1)) for label in (0.0, 1.0))
    return (one - other).abs()


reflected, padded = apart("reflect"), apart("zeros")
border, middle = padded[..., :3, :].mean().item(), padded[..., 12:20, 12:20].mean().item()
print(f"reflect: at most {reflected.max():.1g}; zeros: {border:.3f} at the border, {middle:.3f} in the middle")
assert reflected.max() < 1e-5 and border > 3 * middle, "changed"
PYTHON
