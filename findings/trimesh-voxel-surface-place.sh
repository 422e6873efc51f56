#!/usr/bin/env bash
# Guess: mesh.voxelized(pitch).fill().marching_cubes is about the mesh again, in its place and of its size, as as_boxes() is.
# Version: trimesh 5.2.0, scikit-image 0.26.0.
# Behaviour: the property leaves out the grid's own transform: the surface is in voxels, from the origin on. apply_transform(voxels.transform) puts it where it belongs.
# Seen: a cube from 9 to 11 with pitch 0.25 comes back from -0.5 to 8.5, with volume 716 instead of 8; as_boxes reaches from 8.875 to 11.125.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet trimesh==5.2.0 scikit-image==0.26.0 scipy==1.17.1 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import trimesh

mesh = trimesh.creation.box((2, 2, 2))
mesh.apply_translation((10, 0, 0))
voxels = mesh.voxelized(0.25).fill()
surface, boxes = voxels.marching_cubes, voxels.as_boxes()
placed = surface.copy().apply_transform(voxels.transform)
for name, made in (("mesh", mesh), ("as_boxes", boxes), ("marching_cubes", surface), ("with the transform", placed)):
    print(f"{name}: {made.bounds[:, 0].round(3).tolist()} along x, volume {made.volume:.1f}")
assert abs(boxes.bounds - mesh.bounds).max() < 0.25 and abs(placed.bounds - mesh.bounds).max() < 0.25
assert surface.bounds[0, 0] < 0 and surface.volume > 50 * mesh.volume, "changed: the surface is in place"
PYTHON
