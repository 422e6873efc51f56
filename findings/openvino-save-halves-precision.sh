#!/usr/bin/env bash
# Guess: openvino.save_model writes a model's weights as they are; who wants them smaller says so.
# Version: openvino 2026.4.1, numpy 2.4.6.
# Behaviour: compress_to_fp16 is on by default: weights are rounded to 16-bit floats in the file, without a word, and the file read back computes with the rounded ones, also where float32 is asked for. compress_to_fp16=False keeps them.
# Seen: 1,000 weights of 0.1 are 2,000 bytes, and their sum 99.976 instead of 99.999; with compress_to_fp16=False 4,000 bytes and 99.999.
# Meaning: a generator that was compared with its original before it was saved is another one behind; a check of outputs belongs to the file.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 openvino==2026.4.1

venv/bin/python -W ignore - <<'PYTHON'
import os

import numpy as np
import openvino
from openvino import opset13 as layers

given = layers.parameter([1, 1000], np.float32)
model = openvino.Model([layers.matmul(given, layers.constant(np.full((1000, 1), 0.1, np.float32)), False, False)], [given])
core, ones = openvino.Core(), np.ones((1, 1000), np.float32)


def outcome(source):
    return round(float(core.compile_model(source, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(ones)[0].item()), 3)


in_memory = outcome(model)
openvino.save_model(model, "usual.xml")
openvino.save_model(model, "whole.xml", compress_to_fp16=False)
sizes, sums = [os.path.getsize(f"{name}.bin") for name in ("usual", "whole")], [outcome(f"{name}.xml") for name in ("usual", "whole")]
print("in memory:", in_memory, "by default, and without compression:", sizes, "bytes, sums", sums)
assert abs(in_memory - 100) < 0.01 and sums[1] == in_memory and sizes[1] >= 4000
assert sizes[0] < 2100 and abs(sums[0] - 99.976) < 0.01, "changed: the weights are kept"
PYTHON
