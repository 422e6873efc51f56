#!/usr/bin/env bash
# Guess: torchinfo's mult-adds of a transposed convolution are its multiplications, as those of a convolution are.
# Version: torchinfo 1.8.0, torch 2.13.0.
# Behaviour: the weights are multiplied by the number of output pixels, as for a convolution, but a transposed one uses each weight once per input pixel. With stride 2 in two dimensions that is four times too many. PyTorch's own counter has it right.
# Seen: ConvTranspose2d(4, 8, 4, stride=2) of 8 x 8 pixels: torchinfo 131,072, FlopCounterMode 32,768 (half its flops); the same convolution the other way round: 32,768 by both.
# Meaning: a DCGAN generator looks about four times as dear as the discriminator that mirrors it, while both cost the same.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 torchinfo==1.8.0

venv/bin/python -W ignore - <<'PYTHON'
import torch
import torchinfo
from torch.utils.flop_counter import FlopCounterMode


def counts(layer, *shape):
    with FlopCounterMode(display=False) as counter:
        layer(torch.zeros(shape))
    return torchinfo.summary(layer, shape, verbose=0).total_mult_adds, counter.get_total_flops() // 2


up = counts(torch.nn.ConvTranspose2d(4, 8, 4, stride=2, padding=1, bias=False), 1, 4, 8, 8)
down = counts(torch.nn.Conv2d(8, 4, 4, stride=2, padding=1, bias=False), 1, 8, 16, 16)
print("torchinfo and PyTorch: up", up, "down", down)
assert up[1] == 8 * 8 * 4 * 8 * 4 * 4 and down == (up[1], up[1])
assert up[0] == 4 * up[1], "changed: transposed convolutions are counted by their input"
PYTHON
