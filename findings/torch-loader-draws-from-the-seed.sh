#!/usr/bin/env bash
# Guess: a DataLoader that neither shuffles nor has workers draws no random number.
# Version: torch 2.13.0.
# Behaviour: each start of an iteration draws one number from the global generator, as a seed for workers that there may not be. With a generator of its own the loader draws from that one.
# Seen: after one pass over four samples in order, rand gives another number than without the pass; with generator=torch.Generator() it gives the same.
# Meaning: a validation pass between two epochs changes the noise of every later training step, so a run that evaluates more often is another run, whatever the seed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import torch
from torch.utils.data import DataLoader


def noise_after(passes, **options):
    loader = DataLoader(torch.arange(4), batch_size=2, **options)
    torch.manual_seed(0)
    for _ in range(passes):
        list(loader)
    return torch.rand(1).item()


without, after, apart = noise_after(0), noise_after(1), noise_after(1, generator=torch.Generator())
print("without a pass:", without, "after one:", after, "after one with its own generator:", apart)
assert after != without, "changed: a pass in order draws nothing"
assert apart == without
PYTHON
