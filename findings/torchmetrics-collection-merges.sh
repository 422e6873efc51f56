#!/usr/bin/env bash
# Guess: a MetricCollection gives for each of its metrics what the metric gives alone.
# Version: torchmetrics 1.9.0.
# Behaviour: metrics whose states are equal after the first batch are taken for one: from then on only the first is updated, and the other is computed from the first's state, though its options differ. compute_groups=False keeps them apart.
# Seen: accuracies at thresholds 0.5 and 0.9 agree on the first batch; after two more the stricter is 1.0 in the collection and 0.333 alone.
# Meaning: two settings of one measure (thresholds, data ranges) that happen to agree on the first batch are reported as one number for the whole run.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 torchmetrics==1.9.0

venv/bin/python -W ignore - <<'PYTHON'
import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAccuracy

batches = [([0.1, 0.95], [0, 1]), ([0.6, 0.7], [1, 1]), ([0.6, 0.8], [1, 1])]


def strict(metric):
    for scores, labels in batches:
        metric.update(torch.tensor(scores), torch.tensor(labels))
    return metric.compute()


def collection(**options):
    metrics = {"loose": BinaryAccuracy(threshold=0.5), "strict": BinaryAccuracy(threshold=0.9)}
    return strict(MetricCollection(metrics, **options))["strict"].item()


alone, together, apart = strict(BinaryAccuracy(threshold=0.9)).item(), collection(), collection(compute_groups=False)
print("alone:", alone, "in a collection:", together, "without groups:", apart)
assert alone == apart < 0.34
assert together == 1, "changed: metrics with other options are kept apart"
PYTHON
