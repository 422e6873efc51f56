#!/usr/bin/env bash
# Guess: ReduceLROnPlateau lowers the rate once the loss has stood still for longer than its patience, whatever the loss's sign.
# Version: torch 2.13.0, mode="min" and the default threshold_mode="rel".
# Behaviour: an improvement is a value below best * (1 - threshold). With a negative best that bound lies above it, so the same value again, and one that is slightly worse, is an improvement and becomes the best. Only threshold_mode="abs" sees the plateau.
# Seen: fifty losses of 1 bring the rate from 1 to below 1e-6, fifty of -1 leave it at 1; losses that rise from -1 to -0.9975 leave it at 1, and the last and worst is the best.
# Meaning: a Wasserstein critic's loss is negative, and so is a log-density below zero: there the schedule never acts.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import torch


def schedule(losses, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2, **options)
    for loss in losses:
        plateau.step(loss)
    return optimizer.param_groups[0]["lr"], plateau.best


worse = [-1 + 0.00005 * step for step in range(51)]
positive, negative, rising = schedule([1.0] * 50), schedule([-1.0] * 50), schedule(worse)
absolute = schedule([-1.0] * 50, threshold_mode="abs")
print("rate and best: of 1:", positive, "of -1:", negative, "rising from -1:", rising, "of -1, abs:", absolute)
assert positive[0] < 1e-6 and absolute[0] < 1e-6
assert negative[0] == 1, "changed: a negative loss that stands still lowers the rate"
assert rising == (1, max(worse)), "changed: a worse loss is no improvement"
PYTHON
