#!/usr/bin/env bash
# Guess: PatchAdversarialLoss is the textbook's: least squares is (x - 1)^2 of the logits, hinge max(0, 1 - x), which is 0 from 1 on.
# Version: monai 1.6.1, torch 2.13.0.
# Behaviour: an activation comes first: LeakyReLU of slope 0.05 for least squares (unless no_activation_leastsq=True) and tanh for hinge, which nothing switches off. reduction="none" is no longer one for hinge.
# Seen: a real patch at -5 has least squares 1.56 instead of 36; one at 3 a hinge of 0.005 instead of 0, and one at -5 of 2 instead of 6.
# Meaning: the discriminator that is most wrong gets a twentieth of its gradient, or, by hinge, none, and one that is right never stops being pushed. Figures of losses can't be compared with other code's.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 monai==1.6.1

venv/bin/python -W ignore - <<'PYTHON'
import torch
from monai.losses import PatchAdversarialLoss


def real(logit, criterion, **options):
    logits = torch.full((1, 1, 1, 1), float(logit), requires_grad=True)
    loss = PatchAdversarialLoss(criterion=criterion, **options)(logits, True, for_discriminator=True)
    loss.backward()
    return round(loss.item(), 3), round(logits.grad.item(), 4)


squares, plain = real(-5, "least_squares"), real(-5, "least_squares", no_activation_leastsq=True)
low, high = real(-5, "hinge"), real(3, "hinge")
print("loss and gradient at -5, least squares:", squares, "without activation:", plain, "hinge at -5:", low, "at 3:", high)
assert plain == (36, -12)
assert squares == (1.562, -0.125), "changed: least squares of the logits"
assert low[0] < 2.01 and abs(low[1]) < 0.001 and 0 < high[0] < 0.01, "changed: hinge of the logits"
PYTHON
