#!/usr/bin/env bash
# Guess: MMDMetric compares distributions, as a maximum mean discrepancy does, by a Gaussian kernel or the like; two that differ are farther apart than two that don't.
# Version: monai 1.6.1, torch 2.13.0.
# Behaviour: the kernel is the plain product of the samples, so only their means are compared. y_mapping maps the samples before it, it is no kernel.
# Seen: 1,000 samples of -1 and 1 are at -0.002 from 1,000 such, and at -0.1 from 1,000 of -10 and 10: closer, the wider these are. A shift by 1 gives 1.
# Meaning: a generator that collapsed to the mean picture, or whose spread is off, is rated as good as a perfect one.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 monai==1.6.1

venv/bin/python -W ignore - <<'PYTHON'
import torch
from monai.metrics import MMDMetric

real = torch.tensor([-1.0, 1.0]).repeat(500).reshape(1000, 1, 1, 1)
same, wide, collapsed, moved = (float(MMDMetric()(real, other)) for other in (real.clone(), real * 10, real * 0, real + 1))
print("same:", same, "ten times as wide:", wide, "all at the mean:", collapsed, "moved:", moved)
assert abs(moved - 1) < 0.01
assert wide < same < collapsed < 0, "changed: more than the means is compared"
PYTHON
