#!/usr/bin/env bash
# Guess: quantize_dynamic brings a convolutional generator's weights to 8 bits, a quarter of the file, as it does a discriminator's.
# Version: onnxruntime 1.32.0, onnx 1.23.2.
# Behaviour: convolutions and matrix products are quantised, transposed convolutions are not, without a word: the model is written as it was.
# Seen: a Conv of 64 to 64 channels shrinks to a quarter and becomes ConvInteger, a ConvTranspose of the same weights keeps its size and its floats.
# Meaning: a "quantised" DCGAN generator is the float one, with its size, speed and outputs; look at the file or at the operations.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0

venv/bin/python -W ignore - <<'PYTHON'
import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

weights = numpy_helper.from_array(np.random.default_rng(0).normal(size=(64, 64, 4, 4)).astype(np.float32), "w")


def shrunk(operation):
    shape = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64, None, None]) for name in ("x", "y")}
    graph = helper.make_graph([helper.make_node(operation, ["x", "w"], ["y"])], "one", [shape["x"]], [shape["y"]], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), "float.onnx")
    quantize_dynamic("float.onnx", "eight.onnx")
    operations = {node.op_type for node in onnx.load("eight.onnx").graph.node}
    return round(os.path.getsize("eight.onnx") / os.path.getsize("float.onnx"), 3), sorted(operations & {"Conv", "ConvInteger", "ConvTranspose"})


plain, transposed = shrunk("Conv"), shrunk("ConvTranspose")
print("size after to before, and the operation: of Conv", *plain, "of ConvTranspose", *transposed)
assert plain[0] < 0.3 and plain[1] == ["ConvInteger"]
assert transposed[0] > 0.99 and transposed[1] == ["ConvTranspose"], "changed: transposed convolutions are quantised"
PYTHON
