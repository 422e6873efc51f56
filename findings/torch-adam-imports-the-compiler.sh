#!/usr/bin/env bash
# Guess: an eager program that compiles nothing does not load torch's compiler.
# Version: torch 2.13.0.
# Behaviour: the first optimiser that is made imports torch._dynamo, and sympy with it: a thousand modules, a second or more of each process's start.
# Seen: before Adam is made torch._dynamo and sympy are not loaded, after it both are.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import sys
import time

import torch


def loaded():
    return [name for name in ("torch._dynamo", "sympy") if name in sys.modules]


before, modules, start = loaded(), len(sys.modules), time.process_time()
torch.optim.Adam([torch.nn.Parameter(torch.ones(1))])
print(f"before: {before}; after: {loaded()}, {len(sys.modules) - modules} more modules, {time.process_time() - start:.1f} processor seconds")
assert (before, loaded()) == ([], ["torch._dynamo", "sympy"]), "changed"
PYTHON
