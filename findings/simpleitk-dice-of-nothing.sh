#!/usr/bin/env bash
# Guess: two masks without any label agree, so their Dice coefficient is 1, or NaN as nothing was measured; in any case it is at most 1.
# Version: SimpleITK 2.5.7, LabelOverlapMeasuresImageFilter.
# Behaviour: the division by zero is answered with infinity for Dice, and with the largest float for the others, whichever of them one would rather have small.
# Seen: Dice inf; Jaccard, and the rates of false positives and false negatives, 1.8e308 each.
# Meaning: one slice without the organ makes the mean Dice of a test set infinite, or a false-negative rate that no check for NaN or infinity finds.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet SimpleITK==2.5.7 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import SimpleITK as sitk

nothing = sitk.GetImageFromArray(np.zeros((4, 4), np.uint8))
one = sitk.GetImageFromArray(np.eye(4, dtype=np.uint8))
measures = sitk.LabelOverlapMeasuresImageFilter()
measures.Execute(one, one)
assert measures.GetDiceCoefficient() == 1
measures.Execute(nothing, nothing)
dice, jaccard = measures.GetDiceCoefficient(), measures.GetJaccardCoefficient()
missed, false = measures.GetFalseNegativeError(), measures.GetFalsePositiveError()
print("dice:", dice, "jaccard:", jaccard, "missed:", missed, "false:", false)
assert dice == np.inf and jaccard == missed == false == np.finfo(float).max, "changed"
PYTHON
