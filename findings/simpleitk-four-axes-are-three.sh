#!/usr/bin/env bash
# Guess: GetImageFromArray takes a last axis of 3 for colour, or none at all unless told isVector=True; 4 axes make an image of 4 dimensions.
# Version: SimpleITK 2.5.7.
# Behaviour: it goes by the number of axes alone: an array of 3 axes is a volume, even of 3 colours, and one of 4 is a volume whose last axis is components, even of 12. Only isVector=False makes 4 dimensions, only isVector=True makes a colour picture.
# Seen: (32, 32, 3) is a volume of 3 x 32 x 32 with one component; (12, 8, 8, 8), a series of 12 volumes, is one volume of 8 x 8 x 12 with 8 components.
# Meaning: spacing, resampling and smoothing then run across colours or across the series, and not along the axis that became components.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet SimpleITK==2.5.7 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import SimpleITK as sitk


def seen(shape, **told):
    image = sitk.GetImageFromArray(np.zeros(shape, np.uint8), **told)
    return image.GetSize(), image.GetNumberOfComponentsPerPixel()


picture, series = seen((32, 32, 3)), seen((12, 8, 8, 8))
print("picture:", picture, "series:", series)
assert seen((32, 32, 3), isVector=True) == ((32, 32), 3)
assert seen((12, 8, 8, 8), isVector=False) == ((8, 8, 8, 12), 1)
assert picture == ((3, 32, 32), 1), "changed: three colours are seen"
assert series == ((8, 8, 12), 8), "changed: four axes are four dimensions"
PYTHON
