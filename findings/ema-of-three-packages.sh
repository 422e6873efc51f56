#!/usr/bin/env bash
# Guess: a moving average of weights with decay 0.999 has gone 1 % of the way after 10 steps and 10 % after 100, whichever package computes it.
# Version: torch 2.13.0 (get_ema_multi_avg_fn), torch-ema 0.3, ema-pytorch 0.8.3.
# Behaviour: PyTorch's does. torch-ema starts, unless told use_num_updates=False, at a decay of (1 + n) / (10 + n) in update n. ema-pytorch copies the weights for its first 100 updates and averages at every tenth one afterwards.
# Seen: from weight 0, with 1 as the new one: after 10 updates 0.00996, 0.99994 and 1.0; after 100 updates 0.095, 1.0 and 1.0.
# Meaning: in short trainings and tests the "average" is the last network; and the same decay in two programs, or one continued with a fresh average, means different samples.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 torch-ema==0.3 ema-pytorch==0.8.3

venv/bin/python -W ignore - <<'PYTHON'
import torch
from ema_pytorch import EMA
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch_ema import ExponentialMovingAverage


def averages(updates):
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(0.0)
    plain = AveragedModel(layer, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    plain.update_parameters(layer)
    warmed, delayed = ExponentialMovingAverage(layer.parameters(), decay=0.999), EMA(layer, beta=0.999)
    layer.weight.data.fill_(1.0)
    for _ in range(updates):
        plain.update_parameters(layer)
        warmed.update()
        delayed.update()
    return [float(weight) for weight in (plain.module.weight, warmed.shadow_params[0], delayed.ema_model.weight)]


few, many = averages(10), averages(100)
print("10 updates:", few, "100 updates:", many)
assert abs(few[0] - 0.00996) < 1e-4 and abs(many[0] - 0.0952) < 1e-3
assert few[1] > 0.999 and few[2] == 1.0, "changed: no warm-up"
PYTHON
