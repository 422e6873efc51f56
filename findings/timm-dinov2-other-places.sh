#!/usr/bin/env bash
# Guess: DINOv2 at 224 pixels is one network: with the same published weights timm and transformers give the same features.
# Version: timm 1.0.31, transformers 5.24.0, torch 2.13.0.
# Behaviour: the weights hold embeddings of 37 x 37 places, which both shrink to 16 x 16, each in its own way: timm smooths while it shrinks (antialias), transformers does not, as DINOv2's own code does not. So what they call the features of one model differ, and Frechet distances by them are not comparable.
# Seen: for embeddings that are waves of 13 places or longer they differ by 3 % of their norm; without smoothing timm's function gives those of transformers.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 torchvision==0.28.0 timm==1.0.31 transformers==5.24.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:  # its operators are built for CUDA and torch is not; they are not needed here
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from timm.layers import resample_abs_pos_embed
from transformers import Dinov2Config
from transformers.models.dinov2.modeling_dinov2 import Dinov2Embeddings

torch.manual_seed(0)
width, side = 64, 37
rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
speed = torch.rand(width, 2) * 0.5
waves = torch.cos(rows[..., None] * speed[:, 0] + columns[..., None] * speed[:, 1]).reshape(1, side * side, width)
embedding = torch.cat([torch.zeros(1, 1, width), waves], dim=1)
theirs = Dinov2Embeddings(Dinov2Config(hidden_size=width, num_attention_heads=1, image_size=518, patch_size=14))
theirs.position_embeddings.data = embedding
with torch.no_grad():
    expected = theirs.interpolate_pos_encoding(torch.zeros(1, 1 + 256, width), 224, 224)
    gap = {
        flag: ((resample_abs_pos_embed(embedding, (16, 16), antialias=flag) - expected).norm() / expected.norm()).item()
        for flag in (True, False)
    }
print("timm against transformers:", gap)
assert gap[True] > 0.02 and gap[False] < 1e-5, "changed"
PYTHON
