#!/usr/bin/env bash
# Guess: what Open3D writes as GLB it reads again.
# Version: Open3D 0.20.0, trimesh 5.2.0.
# Behaviour: write_triangle_mesh() says True and the file is there, but reading it prints that a part of it is out of range, and gives an empty mesh. trimesh reads the same file; Open3D reads trimesh's GLB, and its own glTF.
# Seen: 12 triangles written; Open3D reads 0 of its own, trimesh 12.
# Meaning: a set of shapes saved as GLB and read by the same library is a set of empty ones, with exit code 0.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 scipy==1.17.1 trimesh==5.2.0 open3d==0.20.0

venv/bin/python -W ignore - <<'PYTHON'
import open3d
import trimesh

box = open3d.geometry.TriangleMesh.create_box()
box.compute_vertex_normals()
assert open3d.io.write_triangle_mesh("own.glb", box) and open3d.io.write_triangle_mesh("own.gltf", box)
trimesh.creation.box().export("other.glb")
own, text, other = (len(open3d.io.read_triangle_mesh(name).triangles) for name in ("own.glb", "own.gltf", "other.glb"))
by_trimesh = len(trimesh.load("own.glb", force="mesh").faces)
print("triangles by Open3D of its own GLB:", own, "of its glTF:", text, "of trimesh's GLB:", other, "by trimesh of Open3D's:", by_trimesh)
assert text == other == by_trimesh == 12
assert own == 0, "changed: its own GLB is read"
PYTHON
