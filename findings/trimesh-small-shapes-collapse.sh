#!/usr/bin/env bash
# Guess: a mesh is the same shape in any unit: in metres or in nanometres.
# Version: trimesh 5.2.0, numpy 2.4.6.
# Behaviour: vertices nearer than 1e-8 to each other are merged, whatever the size of the mesh, when a Trimesh is made of arrays or a file is loaded. OBJ files are written with 8 digits behind the point, whatever the size too.
# Seen: a box of 1e-9 (a molecule in metres) keeps one of its 8 vertices; a ball of 1e-6 loses 0.1 % of its volume through an OBJ, and a tenth of a millionth or less through STL and PLY.
# Meaning: shapes from microscopes and simulations in SI units collapse without an error; scale them before they are made a Trimesh.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 trimesh==5.2.0

venv/bin/python -W ignore - <<'PYTHON'
import trimesh

box = trimesh.creation.box()
small = trimesh.Trimesh(box.vertices * 1e-9, box.faces)
kept = trimesh.Trimesh(box.vertices * 1e-9, box.faces, process=False)
ball = trimesh.creation.icosphere()
ball.apply_scale(1e-6)


def lost(kind):
    ball.export(f"ball.{kind}")
    return abs(1 - trimesh.load_mesh(f"ball.{kind}").volume / ball.volume)


losses = {kind: lost(kind) for kind in ("obj", "stl", "ply")}
print("vertices of the small box:", len(small.vertices), "unprocessed:", len(kept.vertices), "volume lost:", losses)
assert len(kept.vertices) == 8 and max(losses["stl"], losses["ply"]) < 1e-7
assert len(small.vertices) == 1, "changed: small shapes keep their vertices"
assert losses["obj"] > 5e-4, "changed: small shapes keep their digits"
PYTHON
