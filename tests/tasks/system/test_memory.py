"""Blocks that a process frees and asks for again, counted by the pages that the kernel has to bring."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_AGAIN_AND_AGAIN = """
import resource
import torch
from tasks.system.memory import keep_what_is_freed

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        blocks = [torch.ones(count * 2**20 // 4) for count in (8, 16, 48)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
plain = faults()
assert keep_what_is_freed()
faults()
print(plain, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked for this")
def test_freed_blocks_are_used_again_without_new_pages() -> None:
    done = subprocess.run([sys.executable, "-c", _AGAIN_AND_AGAIN], capture_output=True, text=True, check=True)
    plain, kept = map(int, done.stdout.split())
    assert plain > 10_000  # pages of 4 KiB in 20 times 72 MiB; huge pages count once
    assert kept < plain / 20
