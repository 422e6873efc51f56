#!/usr/bin/env bash
# Guess: what runs eagerly, forwards and backwards, also runs under torch.compile, or falls back with a note; all modes of padding alike.
# Version: torch 2.13.0, on a processor, with a C++ compiler.
# Behaviour: the backward pass of F.pad(mode="replicate") between two convolutions is refused when it is compiled: the gradient comes in the
#   convolution's own memory layout, and the padding's backward pass returns it in that layout, where the compiled code asserts another. Inputs
#   in plain memory and in channels-last alike. Padding by reflect, circular and constant is compiled, with eager's gradients.
# Seen: replicate: AssertionError: expected size 8==8, stride 1==64 at dim=1; reflect, circular, constant: as eager.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6

cat > padded.py <<'PYTHON'
import torch
import torch.nn.functional as F
from torch import nn


class Padded(nn.Module):
    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode, self.first, self.second = mode, nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.second(F.pad(self.first(images), (1, 1, 1, 1), mode=self.mode)).sum()


def outcome(mode: str, layout: torch.memory_format) -> str:
    torch.manual_seed(0)
    eager = Padded(mode).to(memory_format=layout)
    images = torch.randn(2, 3, 8, 8).contiguous(memory_format=layout)
    eager(images).backward()
    expected = eager.first.weight.grad.clone()
    eager.zero_grad()
    torch._dynamo.reset()
    try:
        torch.compile(eager)(images).backward()
    except AssertionError as error:
        return str(error).partition(" at dim")[0]
    return "as eager" if torch.allclose(eager.first.weight.grad, expected, rtol=1e-4, atol=1e-3) else "another gradient"


found = {
    (mode, name): outcome(mode, layout)
    for mode in ("replicate", "reflect", "circular", "constant")
    for name, layout in (("plain", torch.contiguous_format), ("channels-last", torch.channels_last))
}
for (mode, name), what in found.items():
    print(f"{mode}, {name}: {what}")
assert all(("expected size 8==8, stride 1==64" in what) == (mode == "replicate") for (mode, _), what in found.items()), "changed"
assert all(what == "as eager" for (mode, _), what in found.items() if mode != "replicate"), "changed"
PYTHON
venv/bin/python -W ignore padded.py
