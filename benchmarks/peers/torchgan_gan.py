"""torchgan's trainer on the DCGAN of the others: `python -m benchmarks.peers.torchgan_gan --root MNIST`."""

from __future__ import annotations

import argparse
import sys

import torch

from benchmarks.pace import Pace
from benchmarks.peers.torch_data import DEFAULT_RATES, loader
from benchmarks.peers.torch_networks import networks, parameters

from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss  # isort: skip
from torchgan.models import Discriminator, Generator  # isort: skip
from torchgan.trainer import Trainer  # isort: skip


class _Generator(Generator):
    def __init__(self) -> None:
        super().__init__(encoding_dims=100)
        self.layers = networks("dcgan")[0]

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        images: torch.Tensor = self.layers(latents)
        return images


class _Discriminator(Discriminator):
    def __init__(self) -> None:
        super().__init__(input_dims=1)
        self.layers = networks("dcgan")[1][:-1]  # its losses take logits

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(images)
        return logits


class _Paced(Trainer):
    pace: Pace | None = None

    def train_iter_custom(self) -> None:
        """Called before each step, so the first step counts as the second."""
        if self.pace is None:
            self.pace = Pace(parameters=parameters(self.generator, self.discriminator))
        if not self.pace.step(self.batch_size):
            sys.exit()


def main() -> None:
    """Train for as long as the runner asks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", required=True)
    given = parser.parse_args()
    rate, betas = DEFAULT_RATES
    adam = {"name": torch.optim.Adam, "args": {"lr": rate, "betas": betas}}
    models = {"generator": {"name": _Generator, "optimizer": adam}, "discriminator": {"name": _Discriminator, "optimizer": adam}}
    losses = [MinimaxGeneratorLoss(), MinimaxDiscriminatorLoss()]
    trainer = _Paced(models, losses, device=torch.device("cpu"), epochs=10_000, sample_size=64, checkpoints="./model/gan", recon="./images")
    trainer(loader("dcgan", given.root, 0))


if __name__ == "__main__":
    main()
