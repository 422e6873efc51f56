#!/usr/bin/env bash
# Guess: inside one autocast block a forward pass after optimizer.step() uses the new weights, as it does without autocast.
# Version: torch 2.13.0, CPU, bfloat16.
# Behaviour: autocast keeps the lower-precision copy of each weight until its outermost block ends, and a step does not touch that copy: every later forward pass in the block is one of the weights that the block began with. Leaving the block, or cache_enabled=False, gives the new ones.
# Seen: a weight of 1 that a step makes -9 still gives 1 within the block, and -9 behind it; with cache_enabled=False -9 at once.
# Meaning: with the discriminator's and the generator's step in one block, the generator learns from the discriminator as it was before its step, and of several critic steps in one block each has the same critic's gradient.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import torch
from torch import nn


def before_and_after(**options):
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    optimizer, one = torch.optim.SGD(layer.parameters(), lr=10.0), torch.ones(1, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16, **options):
        first = layer(one).sum()
        first.backward()
        optimizer.step()
        inside = layer(one).item()
    with torch.autocast("cpu", dtype=torch.bfloat16, **options):
        return first.item(), inside, layer(one).item()


usual, without = before_and_after(), before_and_after(cache_enabled=False)
print("before the step, after it in the block, in the next block:", usual, "without the cache:", without)
assert without == (1, -9, -9)
assert usual == (1, 1, -9), "changed: the block sees the step"
PYTHON
