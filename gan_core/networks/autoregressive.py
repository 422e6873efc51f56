"""Rows of tables drawn value by value, each knowing those before it: the chain rule of probability, a small network a value.

What a row of CTGAN's encoding (`gan_core.kinds.encoding`) consists of is drawn in this order: all choices, then all scalars, whose mode is
known by then. Of rows with children, how many they are is chosen first, and closes what cannot be then. Dense networks for the conditional
distributions of a table's columns in turn are those of Bengio and Bengio (2000) and NADE (Larochelle and Murray, 2011). Since each is
known, a generator learns by the likelihood of real rows, without a game. Where there is one, a gradient passes a choice straight through
(Bengio et al., 2013): forward the option that was chosen, backward the probabilities of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_core.data.dataset import DatasetSpec
from gan_core.kinds.schema import MODE_WIDTH
from gan_core.kinds.table import Table
from gan_core.networks.common import Dropout, embedding_of
from gan_core.networks.likelihood import cross_entropy, inputs_of, learns_at_once
from gan_core.networks.linear import Linear
from gan_core.networks.tabular import TEMPERATURE, RowGenerator, gumbel
from gan_core.params.networks import AutoregressiveGeneratorParams

_LABEL = 16  # numbers that a label is to it


class AutoregressiveGenerator(RowGenerator):
    """Latents and labels to encoded rows, each choice and each scalar by a network of its own that sees all before it in the row.

    They see scalars in deviations of their mode, so that all they see is about 1. A choice is drawn by its logits. A scalar has a histogram
    of equal parts of -1..1 and is drawn by its distribution function, which rises in straight lines. The first entries of a latent are the
    scalars' normal deviates, the others the choices', one an option: so a row is a function of its latent and label.
    """

    closed: Tensor | None

    def __init__(self, params: AutoregressiveGeneratorParams, data: DatasetSpec, latent: int) -> None:
        super().__init__(data)
        self.register_buffer("closed", Table.of(data).encoding.closed, persistent=False)
        self.bins = params.bins
        self.embedding = embedding_of(data.condition, _LABEL)
        self.first = _LABEL if self.embedding else 1
        self.networks = nn.ModuleList()
        seen = self.first
        for size in (*self.choices.sizes, *[1] * self.scalars):
            is_scalar = len(self.networks) >= len(self.choices.sizes)
            self.networks.append(_dense(seen, params, params.bins if is_scalar else size))
            seen += size

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        seen = self._begin(latents, labels)
        uniform = torch.special.ndtr(latents[:, : self.scalars].float())
        noise = torch.split(gumbel(latents[:, self.scalars :]), list(self.choices.sizes), dim=1)
        networks = iter(self.networks)
        lowered: tuple[Tensor, ...] | None = None
        for place, own in enumerate(noise):
            logits = next(networks)(seen).float()
            seen = torch.cat([seen, _chosen((logits if lowered is None else logits + lowered[place]) + own)], dim=1)
            if place == 0:
                lowered = self._lowered(seen[:, self.first :])
        chosen = seen[:, self.first :]
        open_gates = self.open_gates(chosen)
        for scalar in range(self.scalars):
            drawn = _drawn(next(networks)(seen).float().softmax(dim=1), uniform[:, scalar, None])
            seen = torch.cat([seen, MODE_WIDTH * drawn * open_gates[:, scalar, None]], dim=1)
        return torch.cat([seen[:, self.first + self.choices.width :] / MODE_WIDTH, chosen], dim=1)

    def cross_entropy(self, rows: Tensor, labels: Tensor | None = None) -> Tensor:
        """The mean of `cross_entropies`, a scalar."""
        begun = self._begin(rows, labels)
        if not learns_at_once(begun):
            return self.cross_entropies(rows, labels).mean()
        later, targets, lowered = self._taught(rows)
        return cross_entropy(self._dense(), begun, later, targets, lowered)

    def cross_entropies(self, rows: Tensor, labels: Tensor | None = None) -> Tensor:
        """Of encoded rows (N, width), choices one-hot, in nats, a scalar known by the part that it lies in: (N,)."""
        later, targets, lowered = self._taught(rows)
        all_seen = torch.cat([self._begin(rows, labels), later], dim=1)
        total = rows.new_zeros(len(rows))
        for place, (network, target) in enumerate(zip(self._dense(), targets, strict=True)):
            logits = network(all_seen[:, : inputs_of(network)]).float()
            logits = logits if lowered is None or place >= len(lowered) else logits + lowered[place]
            total = total - (logits.log_softmax(dim=1) * target).sum(dim=1)
        return total

    def _dense(self) -> list[nn.Sequential]:
        return cast(list[nn.Sequential], list(self.networks))

    def _taught(self, rows: Tensor) -> tuple[Tensor, Sequence[Tensor], Sequence[Tensor] | None]:
        """Of encoded rows (N, width) what is seen of them, (N, width), what each network is to give, (N, K), and `_lowered`."""
        scalars, chosen = rows[:, : self.scalars], rows[:, self.scalars :]
        parts = ((scalars + 1) / 2 * self.bins).long().clamp(0, self.bins - 1)
        options = torch.split(chosen, list(self.choices.sizes), dim=1)
        lowered = self._lowered(options[0]) if options else None
        of_scalars = F.one_hot(parts, self.bins) * self.open_gates(chosen)[..., None]
        return torch.cat([chosen, MODE_WIDTH * scalars], dim=1), [*options, *of_scalars.unbind(dim=1)], lowered

    def _lowered(self, first: Tensor) -> tuple[Tensor, ...] | None:
        """What each choice's logits are lowered by after the first one (N, K), one-hot; None where nothing is."""
        return None if self.closed is None else torch.split(first.detach() @ self.closed, list(self.choices.sizes), dim=1)

    def _begin(self, rows: Tensor, labels: Tensor | None) -> Tensor:
        """What the first network sees: (N, first)."""
        if self.embedding is None:
            return rows.new_ones((rows.shape[0], 1))
        assert labels is not None, "a conditional generator needs labels"  # noqa: S101
        embedded: Tensor = self.embedding(labels)
        return embedded


def _dense(seen: int, params: AutoregressiveGeneratorParams, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for hidden in params.widths:
        layers += [Linear(seen, hidden), nn.ReLU(), *([Dropout(params.dropout)] if params.dropout else [])]
        seen = hidden
    return nn.Sequential(*layers, Linear(seen, width))


def _chosen(scores: Tensor) -> Tensor:
    """The option with the highest of the scores (N, K), as one-hot."""
    hard = F.one_hot(scores.argmax(dim=1), scores.shape[1]).to(scores.dtype)
    if not torch.is_grad_enabled():
        return hard
    soft = (scores / TEMPERATURE).softmax(dim=1)
    return hard + (soft - soft.detach())


def _drawn(shares: Tensor, uniform: Tensor) -> Tensor:
    """Where the distribution function of a histogram over -1..1 with these shares (N, K) reaches uniform deviates (N, 1): (N, 1)."""
    bins = shares.shape[1]
    reached = shares.cumsum(dim=1)
    part = (reached < uniform).sum(dim=1, keepdim=True).clamp(max=bins - 1)
    share = shares.gather(1, part)
    within = (uniform - (reached.gather(1, part) - share)) / share.clamp_min(1e-9)
    return (part + within.clamp(0, 1)) / bins * 2 - 1
