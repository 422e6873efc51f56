"""torch-mimicry's trainer on the DCGAN of the others: `python -m benchmarks.peers.mimicry_gan --root MNIST`."""

from __future__ import annotations

import argparse
import sys
from types import ModuleType
from typing import Any

import torch

from benchmarks.pace import Pace
from benchmarks.peers.torch_data import DEFAULT_RATES, loader
from benchmarks.peers.torch_networks import networks, parameters

# Its last release asks torch for a constant that torch no longer has, in a module that this race does not use.
_six = ModuleType("torch._six")
_six.PY3 = True  # type: ignore[attr-defined]
sys.modules["torch._six"] = _six

from torch_mimicry.nets.gan.gan import BaseDiscriminator, BaseGenerator  # noqa: E402  # isort: skip
from torch_mimicry.training import Trainer  # noqa: E402  # isort: skip


class _Generator(BaseGenerator):
    def __init__(self) -> None:
        super().__init__(nz=100, ngf=256, bottom_width=7, loss_type="ns")
        self.layers = networks("dcgan")[0]
        self.pace: Pace | None = None

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        images: torch.Tensor = self.layers(latents)
        return images

    def train_step(self, real_batch: Any, netD: Any, **others: Any) -> Any:  # noqa: N803  # its name of it
        """The last thing in a step."""
        log = super().train_step(real_batch=real_batch, netD=netD, **others)
        if self.pace is None:
            self.pace = Pace(parameters=parameters(self, netD))
        if not self.pace.step(len(real_batch[0])):
            sys.exit()
        return log


class _Discriminator(BaseDiscriminator):
    def __init__(self) -> None:
        super().__init__(ndf=64, loss_type="ns")
        self.layers = networks("dcgan")[1][:-1]  # its losses take logits

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(images)
        return logits


def main() -> None:
    """Train for as long as the runner asks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", required=True)
    given = parser.parse_args()
    rate, betas = DEFAULT_RATES
    generator, discriminator = _Generator(), _Discriminator()
    optimizers = [torch.optim.Adam(player.parameters(), rate, betas) for player in (discriminator, generator)]
    Trainer(
        netD=discriminator, netG=generator, optD=optimizers[0], optG=optimizers[1], n_dis=1, num_steps=10**9,
        dataloader=loader("dcgan", given.root, 0), log_dir="./log", device=torch.device("cpu"),
    ).train()  # fmt: skip


if __name__ == "__main__":
    main()
