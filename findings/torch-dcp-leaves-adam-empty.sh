#!/usr/bin/env bash
# Guess: torch.distributed.checkpoint.load into {"optimizer": optimizer.state_dict()} of a new optimiser brings its moments back, or says that they are missing.
# Version: torch 2.13.0, one process.
# Behaviour: what is loaded is what the given dict already holds, and an Adam that has made no step has no moments to hold: nothing of them is read, without a word, and training goes on with fresh ones. get_optimizer_state_dict, or loading the weights of an optimiser that has made a step, asks for them.
# Seen: after load the new Adam's state has no entry, and its step count begins at 1; with get_optimizer_state_dict and set_optimizer_state_dict it has the saved 20 steps.
# Meaning: each resumed training starts its averages and Adam's warm-up anew, and only its losses tell.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict


def trained(steps):
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(layer.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        layer(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    return layer, optimizer


layer, optimizer = trained(20)
dcp.save({"optimizer": optimizer.state_dict()}, checkpoint_id="plain")
dcp.save({"optimizer": get_optimizer_state_dict(layer, optimizer)}, checkpoint_id="named")

_, fresh = trained(0)
asked = {"optimizer": fresh.state_dict()}
dcp.load(asked, checkpoint_id="plain")
fresh.load_state_dict(asked["optimizer"])
plain = len(fresh.state)

again, fresh = trained(0)
asked = {"optimizer": get_optimizer_state_dict(again, fresh)}
dcp.load(asked, checkpoint_id="named")
set_optimizer_state_dict(again, fresh, asked["optimizer"])
steps = {int(one["step"]) for one in fresh.state.values()}
print("entries of Adam's state after load:", plain, "steps by get_optimizer_state_dict:", steps)
assert steps == {20}
assert plain == 0, "changed: the moments are loaded"
PYTHON
