#!/usr/bin/env bash
# Guess: coordinates given to a new LAS file come back as they are, or as float32 at the worst; and setting header.scales of it sets its scales.
# Version: laspy 2.7.0, numpy 2.4.6.
# Behaviour: LAS stores whole numbers times a scale, and laspy.create() sets that to 0.01 whatever is assigned later. Coordinates are rounded to it without a word, also after header.scales was set: the points keep a scale of their own, which is written. A header with the scales given to LasData, or change_scaling(), does it. Fractions given as intensity become 0.
# Seen: of 1,000 points between -1 and 1 the 1,000 different x are at most 201 afterwards, up to 0.005 off, with header.scales = 1e-6 as without; with a header of its own they are exact to half of 1e-6.
# Meaning: clouds scaled to a unit cube, as generators of shapes are trained on, become lattices.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 laspy==2.7.0

venv/bin/python -W ignore - <<'PYTHON'
import laspy
import numpy as np

points = np.random.default_rng(0).uniform(-1, 1, (1000, 3))


def kept(cloud):
    cloud.xyz = points
    cloud.intensity = np.full(1000, 0.5)
    cloud.write("cloud.las")
    cloud = laspy.read("cloud.las")
    assert (cloud.intensity == 0).all(), "changed: a fraction of intensity is kept"
    return float(abs(cloud.xyz - points).max()), len(np.unique(cloud.xyz[:, 0]))


assigned, header = laspy.create(), laspy.LasHeader(point_format=3, version="1.2")
assigned.header.scales = header.scales = [1e-6] * 3
plain, assigned, given = kept(laspy.create()), kept(assigned), kept(laspy.LasData(header))
print("error and different x, created:", plain, "header.scales set:", assigned, "made with a header:", given)
assert given[0] < 1e-6
assert min(plain[0], assigned[0]) > 0.004 and max(plain[1], assigned[1]) <= 201, "changed: the scale fits the points or is the one set"
PYTHON
