#!/usr/bin/env bash
# Guess: torch.onnx.export of a network left in training mode exports it for evaluation; or, if not, as it trains.
# Version: torch 2.13.0 (the exporter by torch.export, the default), onnx 1.23.2, onnxscript 0.7.2, onnxruntime 1.32.0.
# Behaviour: layer by layer. BatchNorm is exported with its running statistics, as in evaluation; Dropout stays switched on; InstanceNorm with running statistics takes each picture's own, as in training. The exporter warns that the model is in training mode, not that its layers are exported in different ones.
# Seen: BatchNorm1d equals eval() to 1e-5 and train() not within 1; Dropout(0.5) sets about half of the values to 0; InstanceNorm2d equals train() to 1e-5 and eval() not within 1.
# Meaning: a generator exported in the middle of its training is served as a mixture that neither training nor evaluation has ever seen; call eval() before the export.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0

venv/bin/python -W ignore - <<'PYTHON'
import onnxruntime
import torch
from torch import nn

torch.manual_seed(0)


def exported_against_modes(layer, values):
    torch.onnx.export(layer.train(), (values,), "layer.onnx", verbose=False)
    session = onnxruntime.InferenceSession("layer.onnx")
    output = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: values.numpy()})[0])
    with torch.no_grad():
        evaluated, trained = layer.eval()(values), layer.train()(values)
    return output, (output - evaluated).abs().max().item(), (output - trained).abs().max().item()


_, *batch = exported_against_modes(nn.BatchNorm1d(4), torch.randn(8, 4) * 5 + 3)
_, *instance = exported_against_modes(nn.InstanceNorm2d(1, track_running_stats=True), torch.randn(8, 1, 8, 8) * 5 + 3)
dropped, *_ = exported_against_modes(nn.Dropout(0.5), torch.ones(1000, 1))
zeros = (dropped == 0).float().mean().item()
print("away from evaluation and from training: BatchNorm", batch, "InstanceNorm", instance, "Dropout's zeros:", zeros)
assert batch[0] < 1e-5 and batch[1] > 1, "changed: BatchNorm is no longer as in evaluation"
assert instance[0] > 1 and instance[1] < 1e-5, "changed: InstanceNorm is no longer as in training"
assert 0.4 < zeros < 0.6, "changed: Dropout is switched off"
PYTHON
