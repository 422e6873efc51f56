#!/usr/bin/env bash
# Guess: len(x) and x.shape[0] are the same thing to torch.export with a dynamic batch.
# Version: torch 2.13.0.
# Behaviour: len() has to return a plain int, so it binds the program to the batch that it was traced with; shape[0] stays symbolic.
# Seen: the module that says shape[0] is exported and takes another batch; the one that says len is refused, its batch "specialized" to 4.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON' 2> said
import torch
from torch import nn
from torch.export import Dim, export


class ByShape(nn.Module):
    def forward(self, x):
        return torch.zeros((x.shape[0], 2)) + x


class ByLength(nn.Module):
    def forward(self, x):
        return torch.zeros((len(x), 2)) + x


outcomes = {}
for module in (ByShape(), ByLength()):
    try:
        program = export(module, (torch.ones(4, 2),), dynamic_shapes=({0: Dim("batch", min=2, max=64)},))
        outcomes[type(module).__name__] = tuple(program.module()(torch.ones(7, 2)).shape)
    except Exception as error:
        outcomes[type(module).__name__] = "refused" if "specialized" in str(error) or "constant" in str(error) else repr(error)[:200]
print(outcomes)
assert outcomes == {"ByShape": (7, 2), "ByLength": "refused"}, "changed"
PYTHON
