#!/usr/bin/env bash
# Guess: RandGaussianNoise(prob=1, std=1) adds noise of deviation 1 to every sample.
# Version: monai 1.6.1, torch 2.13.0.
# Behaviour: the deviation itself is drawn for each sample, evenly between 0 and std, unless sample_std=False.
# Seen: the deviations of 200 samples have mean 0.5, the least below 0.05; with sample_std=False all are near 1.
# Meaning: instance noise for a discriminator is half as strong as written, and now and then not there.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 monai==1.6.1

venv/bin/python -W ignore - <<'PYTHON'
import torch
from monai.transforms import RandGaussianNoise


def deviations(**options):
    noise = RandGaussianNoise(prob=1, std=1, **options).set_random_state(seed=0)
    return torch.tensor([float(noise(torch.zeros(1, 1000)).std()) for _ in range(200)])


drawn, fixed = deviations(), deviations(sample_std=False)
print("drawn: mean", drawn.mean().item(), "least", drawn.min().item(), "fixed: mean", fixed.mean().item(), "least", fixed.min().item())
assert fixed.min() > 0.9
assert drawn.mean() < 0.6 and drawn.min() < 0.05, "changed: the deviation is the one given"
PYTHON
