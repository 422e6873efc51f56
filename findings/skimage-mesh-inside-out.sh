#!/usr/bin/env bash
# Guess: the surface that marching_cubes finds around voxels of 1 in a field of 0 faces outwards, as programs that take meshes expect.
# Version: scikit-image 0.26.0, trimesh 5.2.0, numpy 2.4.6.
# Behaviour: by default gradient_direction is "descent", which is right where the inside is the lower value; around ones the triangles face inwards, and the mesh has a negative volume. With "ascent" they face outwards.
# Seen: of a box of 4 x 2 x 6 voxels, volume -42.7 by default and 42.7 with "ascent"; both watertight.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet scikit-image==0.26.0 trimesh==5.2.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import trimesh
from skimage.measure import marching_cubes

voxels = np.zeros((10, 10, 10), np.float32)
voxels[3:7, 4:6, 2:8] = 1
volumes = {}
for direction in (None, "ascent"):
    told = {} if direction is None else {"gradient_direction": direction}
    vertices, faces, *_ = marching_cubes(voxels, 0.5, **told)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight, "changed: not watertight"
    volumes[direction or "by default"] = round(float(mesh.volume), 1)
print(volumes)
assert volumes["by default"] == -volumes["ascent"] < 0, "changed"
PYTHON
