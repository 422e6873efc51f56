#!/usr/bin/env bash
# Guess: an exported class-conditional generator refuses the label -1, as torch.nn.Embedding does with an IndexError, and as it refuses a label above the last.
# Version: onnxruntime 1.32.0, onnx 1.23.2; torch 2.13.0 writes an Embedding as the Gather that is used here.
# Behaviour: Gather counts negative indices from the end. -1, which many sets use for "no label", is the last class, without a word; only below -classes and from classes on is an error raised.
# Seen: of four rows, label -1 gives row 3 and -4 row 0; 4 and -5 are refused.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rows = np.arange(8, dtype=np.float32).reshape(4, 2)
graph = helper.make_graph(
    [helper.make_node("Gather", ["rows", "label"], ["embedded"])],
    "embedding",
    [helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"])],
    [helper.make_tensor_value_info("embedded", TensorProto.FLOAT, ["batch", 2])],
    [numpy_helper.from_array(rows, "rows")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def embedded(label):
    try:
        return session.run(None, {"label": np.array([label])})[0][0].tolist()
    except Exception as error:
        return type(error).__name__


answers = {label: embedded(label) for label in (3, -1, -4, 4, -5)}
print(answers)
assert answers[3] == rows[3].tolist() and answers[4] == answers[-5] == "InvalidArgument"
assert answers[-1] == rows[3].tolist() and answers[-4] == rows[0].tolist(), "changed: negative labels are refused"
PYTHON
