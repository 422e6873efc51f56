"""Eager PyTorch as its DCGAN tutorial writes it: `python -m benchmarks.peers.torch_gan dcgan --root MNIST [--precision bf16]`."""

from __future__ import annotations

import argparse

import torch
from torch import nn

from benchmarks.pace import Pace
from benchmarks.peers.torch_data import DEFAULT_RATES, RATES, loader
from benchmarks.peers.torch_networks import networks, parameters


def main() -> None:
    """Train for as long as the runner asks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("work", choices=["dcgan", "mlp", "mixed", "circle"])
    parser.add_argument("--root", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--workers", type=int, default=0)
    given = parser.parse_args()
    device = torch.device(given.device)
    generator, discriminator, latent = networks(given.work)
    generator, discriminator = generator.to(device), discriminator.to(device)
    criterion = nn.BCELoss()
    rate, betas = RATES.get(given.work, DEFAULT_RATES)
    of_discriminator = torch.optim.Adam(discriminator.parameters(), lr=rate, betas=betas, fused=False)
    of_generator = torch.optim.Adam(generator.parameters(), lr=rate, betas=betas, fused=False)
    data = loader(given.work, given.root, given.workers)
    pace = Pace(
        torch.cuda.synchronize if device.type == "cuda" else lambda: None,
        parameters=parameters(generator, discriminator), version=torch.__version__,
    )  # fmt: skip

    def judged(samples: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=given.precision == "bf16"):
            verdict = discriminator(samples)
        return verdict.float().view(-1)

    while True:
        for samples, _ in data:
            real = samples.to(device)
            size = real.size(0)
            ones, zeros = torch.ones(size, device=device), torch.zeros(size, device=device)
            discriminator.zero_grad()
            output = judged(real)
            loss_real = criterion(output, ones)
            loss_real.backward()
            score_real = output.mean().item()
            with torch.autocast(device.type, torch.bfloat16, enabled=given.precision == "bf16"):
                fake = generator(torch.randn(size, latent, device=device))
            output = judged(fake.detach())
            loss_fake = criterion(output, zeros)
            loss_fake.backward()
            score_fake = output.mean().item()
            of_discriminator.step()
            generator.zero_grad()
            output = judged(fake)
            loss_generator = criterion(output, ones)
            loss_generator.backward()
            of_generator.step()
            print((loss_real + loss_fake).item(), loss_generator.item(), score_real, score_fake, output.mean().item())
            if not pace.step(size):
                return


if __name__ == "__main__":
    main()
