#!/usr/bin/env bash
# Guess: a colour picture and a depth picture joined as an RGBDImage keep their colours and depths.
# Version: Open3D 0.20.0, numpy 2.4.6.
# Behaviour: create_from_color_and_depth() turns the colours into grey (convert_rgb_to_intensity=True) and sets what is farther than 3 metres to 0 (depth_trunc=3.0), which means no depth.
# Seen: of red pixels at 2 and 5 metres come one channel of grey and the depths 2 and 0; the cloud made of them has grey points, and the farther half is missing.
# Meaning: clouds of rooms and streets lose their backs, and coloured ones their colours, before anything is learned from them.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 open3d==0.20.0

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import open3d

red = open3d.geometry.Image(np.tile(np.array([255, 0, 0], "uint8"), (4, 4, 1)))
millimetres = open3d.geometry.Image(np.repeat(np.array([[2000], [2000], [5000], [5000]], "uint16"), 4, axis=1))
camera = open3d.camera.PinholeCameraIntrinsic(4, 4, 4, 4, 2, 2)


def joined(**options):
    both = open3d.geometry.RGBDImage.create_from_color_and_depth(red, millimetres, **options)
    return np.asarray(both.color).shape, np.unique(np.asarray(both.depth)).tolist(), open3d.geometry.PointCloud.create_from_rgbd_image(both, camera)


shape, depths, cloud = joined()
whole_shape, whole_depths, whole = joined(convert_rgb_to_intensity=False, depth_trunc=100)
print("colours", shape, "depths", depths, "points", len(cloud.points), "or, told so,", whole_shape, whole_depths, len(whole.points))
assert whole_shape == (4, 4, 3) and whole_depths == [2, 5] and len(whole.points) == 16
assert shape == (4, 4) and depths == [0, 2] and len(cloud.points) == 8, "changed: colours and depths are kept"
PYTHON
