#!/usr/bin/env bash
# Guess: voxel_down_sample(2) of one cloud gives the same points by both of Open3D's interfaces: one for each cube of side 2.
# Version: Open3D 0.20.0, numpy 2.4.6.
# Behaviour: the older interface begins its cubes half a side below the cloud's smallest coordinates, the tensor interface at whole multiples of the side. The older one's cubes so move with the cloud's lowest point: one point more can regroup all others.
# Seen: a lattice of 4 x 4 x 4 points at distance 1 has 8 cubes of side 2 by the tensor interface, and 27 by the older one; with one point at -1 more the older one has 8 for the same 64, and one for that point.
# Meaning: numbers of points and occupied voxels of two pipelines differ threefold on one cloud, and an outlier changes the rest of its cloud.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 open3d==0.20.0

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import open3d

lattice = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3)


def older(points):
    return np.asarray(open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points)).voxel_down_sample(2.0).points)


tensor = open3d.t.geometry.PointCloud(open3d.core.Tensor(lattice)).voxel_down_sample(2.0).point.positions.numpy()
more = older(np.concatenate([lattice, [[-1.0, -1, -1]]]))
print("tensor interface:", len(tensor), "older:", len(older(lattice)), "with a point more:", len(more))
assert len(tensor) == 8
assert len(older(lattice)) == 27, "changed: both interfaces have one grid"
assert len(more) == 9
PYTHON
