#!/usr/bin/env bash
# Guess: numpy arrays of big-endian numbers, as FITS, netCDF, IDX and big-endian TIFF files give them, are read right, or refused as torch.from_numpy does.
# Version: onnxruntime 1.32.0, openvino 2026.4.1, opencv-python-headless 5.0.0.93, numpy 2.4.6, safetensors 0.8.0.
# Behaviour: onnxruntime, openvino and OpenCV take the bytes as if they were little-endian, without a word: numpy says of both that they are float32 (or uint16) and tells the order by a mark alone. safetensors turns them round.
# Seen: an Identity of 0, 1, 2, 3 gives 0 and three numbers below 1e-40 from onnxruntime and openvino; pixels of 0, 1, 2, 3 resized by OpenCV to the same size are 0, 256, 512, 768; safetensors gives 0, 1, 2, 3.
# Meaning: a network that is served pictures from such a file draws from nearly black ones; array.astype(array.dtype.newbyteorder("=")) first.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 opencv-python-headless==5.0.0.93 safetensors==0.8.0

venv/bin/python -W ignore - <<'PYTHON'
import cv2
import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, helper
from safetensors.numpy import load, save

shape = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y")}
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "same", [shape["x"]], [shape["y"]])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
numbers, expected = np.arange(4, dtype=">f4"), [0, 1, 2, 3]
session = onnxruntime.InferenceSession(model.SerializeToString())
found = {
    "onnxruntime": session.run(None, {"x": numbers})[0].tolist(),
    "openvino": openvino.Tensor(numbers).data.tolist(),
    "opencv": cv2.resize(np.arange(4, dtype=">u2").reshape(1, 4), (4, 1), interpolation=cv2.INTER_NEAREST).ravel().tolist(),
    "safetensors": load(save({"x": numbers}))["x"].tolist(),
}
print(found)
assert numbers.dtype.name == "float32" and numbers.tolist() == expected
assert session.run(None, {"x": numbers.astype("<f4")})[0].tolist() == expected and found["safetensors"] == expected
assert found["opencv"] == [0, 256, 512, 768], "changed: OpenCV"
assert all(0 < max(found[name]) < 1e-40 for name in ("onnxruntime", "openvino")), "changed"
PYTHON
