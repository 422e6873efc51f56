#!/usr/bin/env bash
# Guess: with AugmentationSequential(..., random_apply=1), each picture of the batch gets an operation of its own, as each draws its own flips and angles; and after eval() none is changed.
# Version: kornia 0.9.0.
# Behaviour: the choice of operations is made once for the whole batch, though what each operation draws is drawn per picture. train() and eval() make no difference: pictures are augmented in both.
# Seen: in 20 batches of 8, all 8 pictures always had the same one of two flips, both flips came up, and all pictures changed after eval(); a flip with p=0.5 alone differs within the batch.
# Meaning: a discriminator sees whole batches of one augmentation, which batch statistics and minibatch deviation can tell; and an evaluation with the training pipeline measures augmented pictures.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 kornia==0.9.0

venv/bin/python -W ignore - <<'PYTHON'
import kornia.augmentation as augmentation
import torch

torch.manual_seed(0)
pictures = torch.rand(8, 3, 8, 8)
across, down = augmentation.RandomHorizontalFlip(p=1.0), augmentation.RandomVerticalFlip(p=1.0)
one_of_two = augmentation.AugmentationSequential(across, down, data_keys=["input"], random_apply=1).eval()


def flipped(changed, axis):
    return [torch.equal(one, other.flip(axis)) for one, other in zip(changed, pictures)]


batches = [one_of_two(pictures) for _ in range(20)]
kinds = {(tuple(flipped(batch, -1)), tuple(flipped(batch, -2))) for batch in batches}
alone = flipped(augmentation.RandomHorizontalFlip(p=0.5)(pictures), -1)
print("flips within each of 20 batches after eval():", kinds, "one flip alone:", alone)
assert len(set(alone)) == 2
assert kinds == {((True,) * 8, (False,) * 8), ((False,) * 8, (True,) * 8)}, "changed: per picture, or not in evaluation"
PYTHON
