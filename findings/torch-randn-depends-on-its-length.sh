#!/usr/bin/env bash
# Guess: with one seed, torch.randn(n) begins alike for every n, as torch.rand(n) does, so a seed's first latents do not depend on how many are drawn.
# Version: torch 2.13.0, CPU.
# Behaviour: below 16 numbers they are drawn one by one, from 16 on in blocks of 16, by another rule; and where 16 does not divide n, the last 16 are drawn anew, over the end of the block before.
# Seen: randn(15) and randn(16) share no number; of randn(20) only the first 4 are those of randn(32); randn(32) begins randn(64), and rand(20) rand(32).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6

venv/bin/python -W ignore - <<'PYTHON'
import torch


def drawn(draw, n):
    torch.manual_seed(0)
    return draw(n)


def alike(draw, few, many):
    return (drawn(draw, few) == drawn(draw, many)[:few]).tolist()


found = {
    "randn 15 of 16": sum(alike(torch.randn, 15, 16)),
    "randn 20 of 32": sum(alike(torch.randn, 20, 32)),
    "randn 32 of 64": sum(alike(torch.randn, 32, 64)),
    "rand 20 of 32": sum(alike(torch.rand, 20, 32)),
}
print(found)
assert found == {"randn 15 of 16": 0, "randn 20 of 32": 4, "randn 32 of 64": 32, "rand 20 of 32": 20}, "changed"
PYTHON
