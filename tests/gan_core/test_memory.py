"""Freed memory stays with the process: seen in how often the kernel has to hand out pages."""

from __future__ import annotations

import subprocess
import sys

_FAULTS = """
import resource, sys
import torch
from gan_core.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def blocks(times):
    for _ in range(times):
        torch.ones(12_500_000)  # 50 MB, more than glibc ever keeps by itself
blocks(20)  # aligned blocks wander through the heap before they settle
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
blocks(4)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(manner: str) -> int:
    return int(subprocess.run([sys.executable, "-c", _FAULTS, manner], capture_output=True, text=True, check=True).stdout)


def test_a_block_that_was_freed_is_used_again_without_asking_the_kernel() -> None:
    given_back = faults("give back")
    assert given_back > 4 * 12  # of 4 MB at most, however huge the pages are
    assert faults("keep") < given_back / 10
