#!/usr/bin/env bash
# Guess: Optimizer.load_state_dict copies what it is given, as Module.load_state_dict does, so a checkpoint in memory stays what it was.
# Version: torch 2.13.0.
# Behaviour: tensors that need no other type or device are kept as they are. The next step() counts and averages in place, in the checkpoint's own tensors: two optimisers that begin from one loaded checkpoint share their moments.
# Seen: after a step of the second optimiser the checkpoint's exp_avg and step have changed; the module's weights in the checkpoint have not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import torch
from torch import nn


def stepped(module, optimizer):
    optimizer.zero_grad()
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()


first = nn.Linear(3, 1)
optimizer = torch.optim.Adam(first.parameters())
stepped(first, optimizer)
checkpoint = {"module": {key: value.clone() for key, value in first.state_dict().items()}, "optimizer": optimizer.state_dict()}
checkpoint["optimizer"]["state"] = {
    index: {key: value.clone() for key, value in state.items()} for index, state in checkpoint["optimizer"]["state"].items()
}
before = {key: value.clone() for key, value in checkpoint["optimizer"]["state"][0].items()}
weights = checkpoint["module"]["weight"].clone()

second = nn.Linear(3, 1)
second.load_state_dict(checkpoint["module"])
resumed = torch.optim.Adam(second.parameters())
resumed.load_state_dict(checkpoint["optimizer"])
stepped(second, resumed)

after = checkpoint["optimizer"]["state"][0]
changed = [key for key, value in before.items() if not torch.equal(value, after[key])]
print("changed in the checkpoint:", changed, "| step:", before["step"].item(), "->", after["step"].item())
assert torch.equal(weights, checkpoint["module"]["weight"]), "changed: modules alias their checkpoint, too"
assert set(changed) == {"step", "exp_avg", "exp_avg_sq"}, "changed: the optimiser copies"
PYTHON
