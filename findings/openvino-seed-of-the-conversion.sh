#!/usr/bin/env bash
# Guess: a network that draws its own noise (torch.randn_like in forward) draws other noise in each process once it is converted, as it does in PyTorch and as the same network does by way of ONNX.
# Version: openvino 2026.4.1, torch 2.13.0, onnx 1.23.2.
# Behaviour: convert_model writes a seed into the model, another at each conversion. From then on each compiled model, in each process, begins the same series of noise; within it calls differ. Of an ONNX model without seeds nothing is fixed.
# Seen: two processes that compile the saved model draw the same numbers; two that compile the ONNX model draw different ones.
# Meaning: a service that is started anew, or each of several workers, hands out the same "random" samples, and a test in one process does not see it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 onnx==1.23.2 openvino==2026.4.1

venv/bin/python -W ignore - <<'PYTHON' 2> said
import onnx
import openvino
import torch
from onnx import TensorProto, helper
from torch import nn


class Noisy(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x)


openvino.save_model(openvino.convert_model(Noisy(), example_input=torch.zeros(1, 4)), "torch.xml")
shape = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")}
graph = helper.make_graph([helper.make_node("RandomNormalLike", ["x"], ["y"])], "noise", [shape["x"]], [shape["y"]])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), "other.onnx")
PYTHON
cat > draw.py <<'PYTHON'
import sys

import numpy as np
import openvino

compiled, zeros = openvino.Core().compile_model(sys.argv[1], "CPU"), np.zeros((1, 4), np.float32)
first, second = (compiled(zeros)[0].tolist() for _ in range(2))
assert first != second
print(first, second)
PYTHON
for run in 1 2; do
  for model in torch.xml other.onnx; do
    venv/bin/python draw.py "$model" > "$model.$run"
    echo "$model: $(cat "$model.$run")"
  done
done
if cmp --silent other.onnx.1 other.onnx.2; then echo "the ONNX model repeats itself"; exit 1; fi
cmp torch.xml.1 torch.xml.2 || { echo "changed: two processes draw other noise"; exit 1; }
