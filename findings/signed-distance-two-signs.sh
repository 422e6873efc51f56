#!/usr/bin/env bash
# Guess: a signed distance is negative inside a shape and positive outside, in every package, as in the papers on shapes learned as such.
# Version: trimesh 5.2.0 (rtree 1.4.1), Open3D 0.20.0, numpy 2.4.6.
# Behaviour: Open3D's is; trimesh's is positive inside.
# Seen: for the middle of a box of side 1 and a point 1.5 outside it trimesh says 0.5 and -1.5, Open3D -0.5 and 1.5.
# Meaning: targets by the one and checks by the other turn a shape inside out; marching cubes then gives a surface in the same place, with its normals turned.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 scipy==1.17.1 rtree==1.4.1 trimesh==5.2.0 open3d==0.20.0

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import open3d
import trimesh

points = np.array([[0.0, 0, 0], [2, 0, 0]], dtype="float32")
box = trimesh.creation.box()
scene = open3d.t.geometry.RaycastingScene()
scene.add_triangles(open3d.core.Tensor(box.vertices.astype("float32")), open3d.core.Tensor(box.faces.astype("uint32")))
first, second = trimesh.proximity.signed_distance(box, points), scene.compute_signed_distance(open3d.core.Tensor(points)).numpy()
print("inside and outside, trimesh:", first, "Open3D:", second)
assert np.allclose(second, [-0.5, 1.5])
assert np.allclose(first, [0.5, -1.5]), "changed: both are negative inside"
PYTHON
