"""The other side of the races of kinds: `python -m benchmarks.eager READY ENTRY.json`.

Gantry's own layers, trained as tutorials have it: a DataLoader, real and generated samples judged one after the other, a fresh batch of
latents for each player, torch's Adam, and an average of the weights by torch's own class. Losses, penalties and their cadence are the
entry's, and so is the number of threads.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from benchmarks.pace import Pace
from gan_core.data.dataset import Dataset
from gan_core.losses import LOSSES
from gan_core.params import GanParams, StarGanParams, TrainParams
from gan_core.penalties import penalties
from gan_core.recipes.gan import Gan
from gan_core.recipes.stargan import StarGan
from tasks.params import parse

Batch = tuple[Tensor, Tensor]
Step = Callable[[Tensor, Tensor, int], None]
"""Of samples, their labels (zeros without), and the number of steps before."""


class _Samples(TorchDataset[Batch]):
    """The training split, a sample at a time."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset, self._samples, self._labels = dataset, dataset.samples["train"], dataset.labels.get("train")

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Batch:
        sample = self._dataset.spec.to_networks(torch.from_numpy(self._samples[index : index + 1]))[0]
        return sample, torch.tensor(0 if self._labels is None else int(self._labels[index]))


def batches(dataset: Dataset, size: int) -> Iterator[Batch]:
    """Without end."""
    while True:
        yield from DataLoader(_Samples(dataset), size, shuffle=True, drop_last=True)


def _optimizer(params: TrainParams, player: nn.Module, rate: float | None = None) -> torch.optim.Adam:
    return torch.optim.Adam(player.parameters(), rate or params.optimizer.learning_rate, params.optimizer.betas)


def _learn(optimizer: torch.optim.Adam, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def gan(params: GanParams, dataset: Dataset) -> Step:
    """A step of the classic game."""
    recipe = Gan(params, dataset.spec, torch.device("cpu"))
    generator, discriminator = (recipe.players[name].to(memory_format=torch.contiguous_format) for name in ("generator", "discriminator"))
    losses = LOSSES[params.loss]
    optimizers = (_optimizer(params, discriminator), _optimizer(params, generator, params.optimizer.generator_learning_rate))
    average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(0.999))

    def step(real: Tensor, labels: Tensor, steps: int) -> None:
        of = labels if recipe.conditional else None
        fake = generator(torch.randn(len(real), recipe.latent), of).detach()
        real_logits, fake_logits = discriminator(real, of).float(), discriminator(fake, of).float()
        loss = losses[0](real_logits, fake_logits, params.label_smoothing)
        if params.mismatch and of is not None:
            assert dataset.spec.condition is not None
            wrong = discriminator(real, dataset.spec.condition.others(of)).float()
            loss = loss + params.mismatch * losses[0](real_logits, wrong, params.label_smoothing)
        if steps % recipe.penalty.every == 0:
            penalty, _ = penalties(lambda samples: discriminator(samples, of), real, fake, recipe.penalty)
            loss = loss + penalty * recipe.penalty.every
        _learn(optimizers[0], loss)
        fake_logits = discriminator(generator(torch.randn(len(real), recipe.latent), of), of).float()
        _learn(optimizers[1], losses[1](fake_logits, discriminator(real, of).float()))
        average.update_parameters(generator)

    return step


def stargan(params: StarGanParams, dataset: Dataset) -> Step:
    """A step of translation among labels."""
    recipe = StarGan(params, dataset.spec, torch.device("cpu"))
    translator, discriminator = (recipe.players[name].to(memory_format=torch.contiguous_format) for name in ("generator", "discriminator"))
    losses, n_classes = LOSSES[params.loss], dataset.spec.n_classes
    optimizers = (_optimizer(params, discriminator), _optimizer(params, translator, params.optimizer.generator_learning_rate))
    average = AveragedModel(translator, multi_avg_fn=get_ema_multi_avg_fn(0.999))

    def judged(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = discriminator(images).float()
        return logits[torch.arange(len(labels)), labels], logits.mean(dim=(2, 3))

    def step(real: Tensor, labels: Tensor, steps: int) -> None:
        asked = torch.randint(0, n_classes, (len(real),))
        fake = translator(real, asked).detach()
        (real_logits, by_class), (fake_logits, _) = judged(real, labels), judged(fake, asked)
        loss = losses[0](real_logits, fake_logits) + params.classification * F.cross_entropy(by_class, labels)
        if steps % params.penalty.every == 0:
            penalty, _ = penalties(lambda images: judged(images, labels)[0].mean(dim=(1, 2)), real, fake, params.penalty)
            loss = loss + penalty * params.penalty.every
        _learn(optimizers[0], loss)
        if (steps + 1) % params.discriminator_steps:
            return
        fake = translator(real, asked)
        fake_logits, by_class = judged(fake, asked)
        loss = losses[1](fake_logits, torch.empty(0)) + params.classification * F.cross_entropy(by_class, asked)
        for given, weight in ((fake, params.cycle), (real, params.identity)):
            if weight:
                loss = loss + weight * F.l1_loss(translator(given, labels).float(), real)
        _learn(optimizers[1], loss)
        average.update_parameters(translator)

    return step


def main() -> None:
    """Train for as long as the runner asks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ready", type=Path)
    parser.add_argument("entry", type=Path)
    given = parser.parse_args()
    (entry,) = parse({"generators": json.loads(given.entry.read_text())}).values()
    dataset, params = Dataset.open(given.ready), entry.train.settled(1, False)
    torch.set_num_threads(int(params.threads or torch.get_num_threads()))
    games: dict[type[TrainParams], Callable[[Any, Dataset], Step]] = {GanParams: gan, StarGanParams: stargan}
    step = games[type(params)](params, dataset)
    pace = Pace(batch=params.batch, threads=torch.get_num_threads())
    for steps, (real, labels) in enumerate(batches(dataset, params.batch)):
        step(real, labels, steps)
        if not pace.step(len(real)):
            return


if __name__ == "__main__":
    main()
