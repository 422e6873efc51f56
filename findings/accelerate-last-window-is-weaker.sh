#!/usr/bin/env bash
# Guess: with gradient accumulation over 4 batches each step of the optimiser is the mean gradient of the batches that it is made of, the last and incomplete one of an epoch too.
# Version: accelerate 1.15.0, torch 2.13.0.
# Behaviour: the loss of every batch is divided by 4, and at the end of the loader a step is made with what there is. A last window of one batch so steps a quarter as far.
# Seen: of five batches whose gradient is 1, at a rate of 1, the fourth brings a step of 1 and the fifth one of 0.25; of eight, two steps of 1.
# Meaning: with few batches an epoch the effective rate falls with how the set's size happens to divide: five batches at 4 train as 1.25 steps instead of 2. SGD and gradient penalties feel it at once, Adam through its averages.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 accelerate==1.15.0

venv/bin/python -W ignore - <<'PYTHON'
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from torch import nn
from torch.utils.data import DataLoader


def steps(batches):
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    accelerator, layer = Accelerator(gradient_accumulation_steps=4, cpu=True), nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    layer, optimizer, loader = accelerator.prepare(layer, optimizer, DataLoader(torch.ones(batches, 1), batch_size=1))
    places = [layer.weight.item()]
    for batch in loader:
        with accelerator.accumulate(layer):
            accelerator.backward(layer(batch).sum())
            optimizer.step()
            optimizer.zero_grad()
        places.append(layer.weight.item())
    return [round(former - latter, 4) for former, latter in zip(places, places[1:])]


eight, five = steps(8), steps(5)
print("how far each batch moves the weight, of eight:", eight, "of five:", five)
assert eight == [0, 0, 0, 1, 0, 0, 0, 1]
assert five == [0, 0, 0, 1, 0.25], "changed: an incomplete window counts as a whole one"
PYTHON
