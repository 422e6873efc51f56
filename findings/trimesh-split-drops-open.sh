#!/usr/bin/env bash
# Guess: split() gives the connected parts of a mesh as they are, however many.
# Version: trimesh 5.2.0, scipy 1.17.1, numpy 2.4.6.
# Behaviour: by default only watertight parts are given, and holes of three or four corners are closed first to make them so. A part with a larger hole is left out, one with a small hole is not what it was.
# Seen: of a box that lacks two of its 12 triangles and a sphere that lacks its cap, split() gives the box alone, with 12 triangles, watertight. split(only_watertight=False, repair=False) gives both, open.
# Meaning: counts of parts, shares of watertight shapes and Euler numbers of generated meshes are those of the mended ones, and open shapes have no part at all.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 scipy==1.17.1 networkx==3.6.1 trimesh==5.2.0

venv/bin/python -W ignore - <<'PYTHON'
import trimesh

box = trimesh.creation.box()
box.update_faces([True] * 10 + [False] * 2)
sphere = trimesh.creation.icosphere(subdivisions=3)
sphere.update_faces(sphere.triangles_center[:, 2] < 0.8)
sphere.apply_translation([5, 0, 0])
both = trimesh.util.concatenate([box, sphere])


def parts(**options):
    return sorted((len(part.faces), part.is_watertight) for part in both.split(**options))


print("split():", parts(), "as they are:", parts(only_watertight=False, repair=False))
assert parts(only_watertight=False, repair=False) == [(10, False), (len(sphere.faces), False)]
assert parts() == [(12, True)], "changed: open parts are given as they are"
PYTHON
