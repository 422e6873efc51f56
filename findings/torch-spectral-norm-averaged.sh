#!/usr/bin/env bash
# Guess: averaging all of a spectrally normalised network's state (EMA with buffers, the mean of two checkpoints) leaves layers whose largest singular value is 1 in evaluation mode.
# Version: torch 2.13.0, torch.nn.utils.parametrizations.spectral_norm.
# Behaviour: the singular vectors of the power iteration are buffers; a mean of unit vectors is shorter than one, sigma comes out too small, and evaluation mode does not iterate. The averaged layer is several times too strong.
# Seen: the mean of two layers has norm 5.2, and 1.0 after fifty forward passes in training mode.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import torch
from torch.nn.utils.parametrizations import spectral_norm

torch.manual_seed(0)
one, two, mean = (spectral_norm(torch.nn.Linear(16, 16)) for _ in range(3))
mean.load_state_dict({name: (value + two.state_dict()[name]) / 2 for name, value in one.state_dict().items()})


def norm(layer):
    with torch.no_grad():
        return torch.linalg.matrix_norm(layer.eval().weight, 2).item()


averaged, sound = norm(mean), norm(one)
for _ in range(50):
    mean.train()(torch.zeros(1, 16))
print("one layer:", sound, "mean of two:", averaged, "after fifty passes:", norm(mean))
assert sound < 1.3 and averaged > 2, "changed: the averaged layer is normalised"
assert norm(mean) < 1.1
PYTHON
