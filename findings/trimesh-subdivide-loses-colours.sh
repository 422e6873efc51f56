#!/usr/bin/env bash
# Guess: subdivide() gives the new vertices the colour between their neighbours', and the old ones keep theirs; or it gives up colours and says so.
# Version: trimesh 5.2.0, numpy 2.4.6.
# Behaviour: the finer mesh has no colours, and vertex_colors then shows the default grey, 102, as it does for a mesh that never had any. subdivide_loop() does the same. Face colours are lost too.
# Seen: a red box is red, and 102, 102, 102 once it is subdivided; visual.kind goes from "vertex" to None.
# Meaning: coloured shapes that are refined before points are sampled from them give grey points.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 scipy==1.17.1 networkx==3.6.1 trimesh==5.2.0

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import trimesh

red = [255, 0, 0, 255]
by_vertex, by_face = trimesh.creation.box(), trimesh.creation.box()
by_vertex.visual.vertex_colors, by_face.visual.face_colors = [red] * 8, [red] * 12
finer = [by_vertex.subdivide(), by_vertex.subdivide_loop(), by_face.subdivide()]
colours = [np.unique(mesh.visual.vertex_colors, axis=0).tolist() for mesh in finer]
print("before:", by_vertex.visual.kind, by_face.visual.kind, "after:", [mesh.visual.kind for mesh in finer], colours)
assert by_vertex.visual.kind == "vertex" and by_face.visual.kind == "face"
assert all(mesh.visual.kind is None for mesh in finer) and all(colour == [[102, 102, 102, 255]] for colour in colours), "changed: colours are kept"
PYTHON
