#!/usr/bin/env bash
# Guess: reading a file that is not there raises.
# Version: Open3D 0.20.0.
# Behaviour: a warning is printed and an empty cloud, mesh or picture is returned, by the older and the tensor interface alike. Writing returns False where it failed.
# Seen: 0 points, 0 triangles, a picture of size 0x0; is_empty() says so.
# Meaning: a wrong path is an empty sample in a data set, with exit code 0; where warnings are switched off nothing tells.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 open3d==0.20.0

venv/bin/python -W ignore - <<'PYTHON'
import open3d

cloud, mesh = open3d.io.read_point_cloud("none.ply"), open3d.io.read_triangle_mesh("none.ply")
picture, tensor = open3d.io.read_image("none.png"), open3d.t.io.read_point_cloud("none.ply")
print(cloud, mesh, picture, tensor)
assert cloud.is_empty() and mesh.is_empty() and picture.is_empty() and tensor.is_empty(), "changed: not empty"
assert not open3d.io.write_point_cloud("nowhere/none.ply", cloud)
PYTHON
