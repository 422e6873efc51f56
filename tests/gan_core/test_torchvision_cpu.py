"""torchvision can be imported beside any torch. Each case is a process of its own, because operators are declared once in a process."""

from __future__ import annotations

import subprocess
import sys


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


def test_torchvision_works_after_it() -> None:
    program = """
import gan_core.torchvision_cpu
import torch
from torchvision.datasets import MNIST
from torchvision.transforms import v2
from torchvision.utils import make_grid
print(tuple(make_grid(v2.Resize(4)(torch.zeros(4, 1, 8, 8))).shape))
"""
    assert run(program) == "(3, 8, 26)\n"


def test_declares_nothing_where_the_operators_exist() -> None:
    program = """
import torch
operators = torch.library.Library("torchvision", "DEF")
operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import gan_core.torchvision_cpu
print(gan_core.torchvision_cpu._library)
"""
    assert run(program) == "None\n"
