#!/usr/bin/env bash
# Guess: SSIM of the same pictures is the same whatever the batch size: it is a mean over pictures.
# Version: torchmetrics 1.9.0.
# Behaviour: data_range=None, the default, takes the range of values found in each batch, so a dark picture beside a bright one is judged by the bright one's range. With data_range=1.0 the batches do not matter.
# Seen: 0.9856 in one batch of two, 0.9819 in two batches of one.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 torchmetrics==1.9.0

venv/bin/python -W ignore - <<'PYTHON'
import torch
from torchmetrics.image import StructuralSimilarityIndexMeasure

torch.manual_seed(0)
real = torch.rand(2, 1, 32, 32)
real[1] *= 0.1
made = real + 0.02 * torch.rand_like(real)


def ssim(size, data_range):
    metric = StructuralSimilarityIndexMeasure(data_range=data_range)
    for start in range(0, 2, size):
        metric.update(made[start : start + size], real[start : start + size])
    return metric.compute().item()


print("by default:", ssim(2, None), ssim(1, None), "with a range of 1:", ssim(2, 1.0), ssim(1, 1.0))
assert abs(ssim(2, None) - ssim(1, None)) > 1e-3, "changed: batches no longer matter"
assert abs(ssim(2, 1.0) - ssim(1, 1.0)) < 1e-6
PYTHON
