"""Every random draw of a run is a function of (seed, rank, images seen): nothing to save, nothing to restore."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_MASK = 2**64 - 1


def mix(*numbers: int) -> int:
    """One well-spread seed, 0 to 2**63 - 1, from several numbers (the finaliser of SplitMix64, Steele et al., 2014)."""
    state = 0
    for number in numbers:
        state = (state + 0x9E3779B97F4A7C15 + (number & _MASK)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


def reseed(device: torch.device, *numbers: int) -> None:
    """Set torch's global random state on the CPU and on `device` from `numbers`.

    Directly on the generators: `torch.manual_seed` asks every backend there is, which takes longer than a small step.
    """
    import torch

    seed = mix(*numbers)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
