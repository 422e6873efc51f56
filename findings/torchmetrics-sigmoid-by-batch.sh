#!/usr/bin/env bash
# Guess: BinaryAUROC depends on the order of the scores alone, and not on how the samples were cut into batches.
# Version: torchmetrics 1.9.0.
# Behaviour: each update applies a sigmoid if that batch holds a value outside [0, 1]. A discriminator's logits that happen to lie within are kept raw and then compared with squashed ones; one score of 2 also turns a 0.4 in its batch into a hit at threshold 0.5.
# Seen: AUROC 1.0 in one batch, 0.667 in two; accuracy 0.0 for [0.4], 1.0 for [0.4, 2.0], all labels 1.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 torchmetrics==1.9.0

venv/bin/python -W ignore - <<'PYTHON'
import torch
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC

logits, labels = torch.tensor([0.9, 0.2, 1.5, -2.0]), torch.tensor([0, 0, 1, 0])


def auroc(*batches):
    metric = BinaryAUROC()
    for batch in batches:
        metric.update(logits[batch], labels[batch])
    return metric.compute().item()


def accuracy(*scores):
    return BinaryAccuracy()(torch.tensor(scores), torch.ones(len(scores), dtype=torch.long)).item()


whole, cut = auroc([0, 1, 2, 3]), auroc([0, 1], [2, 3])
print("AUROC whole:", whole, "in two batches:", cut, "accuracy:", accuracy(0.4), accuracy(0.4, 2.0))
assert whole == 1 and cut < 0.7, "changed: batches no longer matter"
assert (accuracy(0.4), accuracy(0.4, 2.0)) == (0, 1), "changed"
PYTHON
