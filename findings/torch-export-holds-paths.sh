#!/usr/bin/env bash
# Guess: a file of torch.export.save holds the program and its weights, and nothing of the machine that wrote it.
# Version: torch 2.13.0.
# Behaviour: each operation carries the lines of Python that made it, with absolute paths of source files, and the file holds the example inputs as a pickle. Without `stack_trace` in the nodes' metadata, and with `example_inputs` set to None, neither is in it.
# Seen: the folder's path is in models/model.json, and data/sample_inputs/model.pt is a pickle; after both were taken out neither is there, and the program still runs.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6

cat > network.py <<'PYTHON'
from torch import nn


class Network(nn.Module):
    def forward(self, x):
        return (x * 2).relu()
PYTHON
venv/bin/python -W ignore - "$folder" <<'PYTHON'
import sys
import zipfile

import torch

sys.path.insert(0, sys.argv[1])
from network import Network


def looked_at(path):
    with zipfile.ZipFile(path) as file:
        of = {name: file.read(name) for name in file.namelist()}
    paths = any(b"network.py" in content for name, content in of.items() if name.endswith("model.json"))
    inputs = any("sample_inputs" in name and len(content) > 0 for name, content in of.items())
    return paths, inputs


program = torch.export.export(Network(), (torch.full((2, 3), 0.5),))
torch.export.save(program, "as-it-comes.pt2")
for node in program.graph.nodes:
    node.meta.pop("stack_trace", None)
program.example_inputs = None
torch.export.save(program, "cleaned.pt2")
found = {name: looked_at(f"{name}.pt2") for name in ("as-it-comes", "cleaned")}
print({name: dict(zip(("source paths", "example inputs"), seen)) for name, seen in found.items()})
assert found["as-it-comes"] == (True, True), "changed: as it comes"
assert found["cleaned"][0] is False, "changed: cleaned"
assert torch.equal(torch.export.load("cleaned.pt2").module()(torch.ones(2, 3)), torch.full((2, 3), 2.0))
PYTHON
