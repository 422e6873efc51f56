#!/usr/bin/env bash
# Guess: PlyElement.describe() takes the types of lists from the arrays in them, as it takes those of plain columns, or refuses what does not fit.
# Version: plyfile 1.1.5, numpy 2.4.6.
# Behaviour: lists are written as int32 unless val_types says otherwise, by a plain cast: fractions are cut off and large numbers wrap, without a word.
# Seen: the texture coordinates 0.25 and 0.75 of a face come back as 0, and the identifier 2**40 + 1 as 1; with val_types={"texcoord": "f4"} 0.25 and 0.75. Beside them an int64 column is refused.
# Meaning: textures and identifiers per face are lost while the file is valid and its mesh looks right.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 plyfile==1.1.5

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
from plyfile import PlyData, PlyElement


def again(values, **types):
    faces = np.empty(1, dtype=[("texcoord", object)])
    faces[0] = (np.array(values),)
    PlyData([PlyElement.describe(faces, "face", **types)]).write("mesh.ply")
    return PlyData.read("mesh.ply")["face"][0]["texcoord"].tolist()


fractions, large, told = again([0.25, 0.75]), again([2**40 + 1]), again([0.25, 0.75], val_types={"texcoord": "f4"})
print("fractions:", fractions, "large:", large, "with val_types:", told)
assert told == [0.25, 0.75]
try:
    PlyElement.describe(np.zeros(1, dtype=[("identifier", "i8")]), "vertex")
except ValueError as error:
    print("a plain column:", error)
else:
    raise SystemExit("changed: plain columns of int64 are taken")
assert fractions == [0, 0] and large == [1], "changed: lists keep their type"
PYTHON
