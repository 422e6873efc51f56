#!/usr/bin/env bash
# Guess: need_weights of nn.MultiheadAttention says whether the weights are returned too, and changes nothing else.
# Version: torch 2.13.0 on a CPU.
# Behaviour: it chooses between two implementations. With weights, a sample whose keys are all masked comes out as NaN, and a gradient of a gradient works; without them it comes out as the bias of the last layer, 0 here, and the second derivative is missing.
# Seen: NaN with weights and 0 without; a gradient penalty passes with weights, and without them raises "derivative for aten::_scaled_dot_product_flash_attention_for_cpu_backward is not implemented".
# Meaning: a critic with a gradient penalty (WGAN-GP, R1) needs need_weights=True, and a guard against NaN does not see an empty sample without them.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import torch

torch.manual_seed(0)
attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
samples = torch.randn(2, 3, 8, requires_grad=True)
first_is_empty = torch.tensor([[True] * 3, [False] * 3])


def of_empty(need_weights):
    return attention(samples, samples, samples, key_padding_mask=first_is_empty, need_weights=need_weights)[0][0]


def penalty(need_weights):
    scores = attention(samples, samples, samples, need_weights=need_weights)[0]
    (slope,) = torch.autograd.grad(scores.sum(), samples, create_graph=True)
    try:
        slope.square().sum().backward()
    except RuntimeError as error:
        return str(error)
    return "passes"


print("empty sample:", of_empty(True)[0, :2].tolist(), "and without weights", of_empty(False)[0, :2].tolist())
print("penalty:", penalty(True), "and without weights:", penalty(False))
assert of_empty(True).isnan().all() and (of_empty(False) == 0).all(), "changed: both say the same of an empty sample"
assert penalty(True) == "passes" and "not implemented" in penalty(False), "changed: a second derivative exists"
PYTHON
