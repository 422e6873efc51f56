#!/usr/bin/env bash
# Guess: less contrast draws the pixels of a picture towards its mean grey, and leaves a picture of one grey as it is, as in Pillow and torchvision.
# Version: kornia 0.9.0, adjust_contrast and the augmentations RandomContrast and ColorJiggle.
# Behaviour: the pixels are multiplied by the factor, so less contrast is darker, and more is brighter and cut off at 1; brightness, in turn, is added or taken away. adjust_contrast_with_mean_subtraction and ColorJitter keep the mean.
# Seen: at factor 0.5 a picture of 0.8 becomes 0.4 by adjust_contrast, RandomContrast and ColorJiggle, and stays 0.8 by the other two.
# Meaning: an augmentation of contrast is one of brightness, and the same numbers in torchvision and kornia train on other pictures.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 kornia==0.9.0

venv/bin/python -W ignore - <<'PYTHON'
import kornia.augmentation as augmentation
import torch
from kornia import enhance

grey = torch.full((1, 3, 4, 4), 0.8)
half = (0.5, 0.5)
changed = {
    "adjust_contrast": enhance.adjust_contrast(grey, 0.5),
    "RandomContrast": augmentation.RandomContrast(half, p=1.0)(grey),
    "ColorJiggle": augmentation.ColorJiggle(contrast=half, p=1.0)(grey),
    "with_mean_subtraction": enhance.adjust_contrast_with_mean_subtraction(grey, 0.5),
    "ColorJitter": augmentation.ColorJitter(contrast=half, p=1.0)(grey),
}
means = {name: round(float(picture.mean()), 3) for name, picture in changed.items()}
print(means)
assert means["with_mean_subtraction"] == means["ColorJitter"] == 0.8
assert all(means[name] == 0.4 for name in ("adjust_contrast", "RandomContrast", "ColorJiggle")), "changed: the mean is kept"
PYTHON
