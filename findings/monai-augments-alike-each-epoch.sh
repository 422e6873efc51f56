#!/usr/bin/env bash
# Guess: random transforms of MONAI draw anew for every sample and epoch in PyTorch's DataLoader, whose workers have different seeds.
# Version: monai 1.6.1, torch 2.13.0.
# Behaviour: each transform has a generator of its own, made with the data set; every worker begins with a copy of it, at each epoch again. monai.data.DataLoader, or set_rnd in worker_init_fn, gives each its own.
# Seen: with 2 workers the 8 samples have 4 different draws, and the second epoch has the same; with monai.data.DataLoader there are 16.
# Meaning: with many workers and few samples each the augmented set is one fixed set, and a discriminator learns it by heart as if it was not augmented.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 monai==1.6.1

venv/bin/python -W ignore - <<'PYTHON'
import monai.data
import torch
import torch.utils.data
from monai.transforms import RandGaussianNoise


class Noisy(torch.utils.data.Dataset):
    def __init__(self):
        self.transform = RandGaussianNoise(prob=1, std=1, sample_std=False)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return float(self.transform(torch.zeros(1, 1)).item())


def two_epochs(kind):
    loader = kind(Noisy(), batch_size=1, num_workers=2)
    return [[round(float(value), 4) for value in loader] for _ in range(2)]


first, second = two_epochs(torch.utils.data.DataLoader)
own = two_epochs(monai.data.DataLoader)
print("PyTorch's loader:", first, second, "MONAI's:", own)
assert len(set(own[0] + own[1])) == 16
assert first == second and len(set(first)) == 4, "changed: workers and epochs draw their own"
PYTHON
