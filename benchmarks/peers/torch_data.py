"""Real samples as tutorials read them: torchvision's data set, PIL transforms, a DataLoader; points from a tensor."""

from __future__ import annotations

import math

import torch
from torch.utils.data import DataLoader, TensorDataset

import gan_core.torchvision_cpu  # noqa: F401  # before torchvision, which a CPU-only torch does not let in

BATCH = {"circle": 256}
RATES = {"circle": (0.005, (0.5, 0.99)), "mixed": (1e-4, (0.5, 0.999))}
"""Learning rate and Adam's betas."""
DEFAULT_RATES = (2e-4, (0.5, 0.999))


def loader(work: str, root: str, workers: int) -> DataLoader:
    """Batches of real samples (and labels), shuffled."""
    batch = BATCH.get(work, 128)
    if work == "circle":
        angles = 2 * math.pi * torch.rand(1_000, 1)
        return DataLoader(TensorDataset(torch.cat([angles.cos(), angles.sin()], dim=1), torch.zeros(1_000)), batch, shuffle=True)
    from torchvision import datasets, transforms

    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    images = datasets.MNIST(root, train=True, transform=transform, download=True)
    return DataLoader(images, batch, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0)
