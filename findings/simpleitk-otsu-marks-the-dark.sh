#!/usr/bin/env bash
# Guess: OtsuThreshold gives 1 to what is brighter than the threshold, as skimage's example and OpenCV's THRESH_BINARY mark it, and as the image's own > does.
# Version: SimpleITK 2.5.7.
# Behaviour: "inside" is what lies below the threshold, and insideValue is 1 by default: the mask holds the dark pixels. So it is with the other automatic thresholds (Li, Huang), while BinaryThreshold marks what lies between its two bounds.
# Seen: of [0, 0, 10, 10, 10] all three masks are [1, 1, 0, 0, 0]; OtsuThreshold(image, 0, 1) gives [0, 0, 1, 1, 1].
# Meaning: a mask of a bright organ or shape is its background, and a loss or a share measured within it is measured outside.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet SimpleITK==2.5.7 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import SimpleITK as sitk

image = sitk.GetImageFromArray(np.array([[0, 0, 10, 10, 10]], np.uint8))
thresholds = (sitk.OtsuThreshold, sitk.LiThreshold, sitk.HuangThreshold)
masks = {threshold.__name__: sitk.GetArrayFromImage(threshold(image))[0].tolist() for threshold in thresholds}
turned = sitk.GetArrayFromImage(sitk.OtsuThreshold(image, 0, 1))[0].tolist()
print(masks, "turned:", turned)
assert turned == [0, 0, 1, 1, 1]
assert all(mask == [1, 1, 0, 0, 0] for mask in masks.values()), "changed: bright is marked"
PYTHON
