"""What the machine can do at most, as a side of a race: `python -m benchmarks.limits matmul|copy [--dtype float32|bfloat16]`.

A step is a product of square matrices, and its "images" are floating-point operations; or a copy, and they are bytes read and written.
"""

from __future__ import annotations

import argparse

import torch

from benchmarks.pace import Pace

_SIDE = {"cpu": 2_048, "cuda": 8_192}
_COPIED = 2**28


def main() -> None:
    """Multiply or copy for as long as the runner asks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["matmul", "copy"])
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--device", choices=list(_SIDE), default="cpu")
    given = parser.parse_args()
    side = _SIDE[given.device]
    pace = Pace(torch.cuda.synchronize if given.device == "cuda" else lambda: None)
    if given.what == "copy":
        source = torch.ones(_COPIED, dtype=torch.uint8, device=given.device)
        target = torch.empty_like(source)
        while pace.step(2 * _COPIED):
            target.copy_(source)
    else:
        one, other = torch.randn(2, side, side, device=given.device).to(getattr(torch, given.dtype))
        product = torch.empty_like(one)
        while pace.step(2 * side**3):
            torch.mm(one, other, out=product)


if __name__ == "__main__":
    main()
