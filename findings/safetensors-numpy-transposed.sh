#!/usr/bin/env bash
# Guess: saving keeps the values of every array, or refuses one whose memory is not contiguous, as safetensors.torch does.
# Version: safetensors 0.8.0, numpy 2.4.6.
# Behaviour: safetensors.numpy writes the memory that lies under the array from its start: a transposed (Fortran-ordered) array changes its values' places, every second element of an array becomes its first half. No warning; np.ascontiguousarray first is right.
# Seen: [[0, 2, 4], [1, 3, 5]] loads as [[0, 1, 2], [3, 4, 5]], and [0, 2, 4] as [0, 1, 2].
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet safetensors==0.8.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
from safetensors.numpy import load, save

weight = np.arange(6, dtype=np.float32)
for array, wrong in ((weight.reshape(3, 2).T, [[0, 1, 2], [3, 4, 5]]), (weight[::2], [0, 1, 2])):
    loaded = load(save({"weight": array}))["weight"]
    print("saved", array.tolist(), "loaded", loaded.tolist())
    assert loaded.tolist() == wrong, "changed: the array came back another way"
    assert np.array_equal(load(save({"weight": np.ascontiguousarray(array)}))["weight"], array)
PYTHON
