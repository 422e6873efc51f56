#!/usr/bin/env bash
# Guess: a generator that draws its noise in the graph (RandomNormal without a seed) gives other pictures in every session.
# Version: onnxruntime 1.32.0, onnx 1.23.2.
# Behaviour: the seed is chosen once for the process, and each session begins anew from it. Within a session the draws differ; two sessions of one process, as for two workers or after a model was loaded again, give the same ones one after the other.
# Seen: the first and second draws of the second session equal those of the first; those of another process differ.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

cat > draw.py <<'PYTHON'
import onnxruntime
from onnx import TensorProto, helper

output = helper.make_tensor_value_info("noise", TensorProto.FLOAT, [3])
graph = helper.make_graph([helper.make_node("RandomNormal", [], ["noise"], shape=[3])], "generator", [], [output])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()
first, second = (onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]) for _ in range(2))
draws = [[session.run(None, {})[0].tolist() for _ in range(2)] for session in (first, second)]
assert draws[0][0] != draws[0][1]
assert draws[0] == draws[1], "changed: sessions draw numbers of their own"
print(draws[0])
PYTHON
one=$(venv/bin/python -W ignore draw.py)
other=$(venv/bin/python -W ignore draw.py)
echo "both sessions of one process: $one" && echo "of another process: $other"
[ "$one" != "$other" ]
