"""Dense networks for rows of tables (CTGAN, Xu et al., 2019, section 4.4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_core.data.dataset import DatasetSpec
from gan_core.kinds.encoding import Encoding
from gan_core.kinds.table import Table
from gan_core.networks.common import Dropout, LabelledLatent
from gan_core.networks.linear import Linear
from gan_core.params.networks import TabularGeneratorParams
from gan_core.params.tabular import TabularDiscriminatorParams

TEMPERATURE = 0.2
"""Of the Gumbel-softmax: CTGAN's."""


class RowGenerator(nn.Module):
    """What generators of encoded rows have in common: how many scalars and which choices a row has, and which scalars the choices close."""

    gate_factors: Tensor
    gate_constants: Tensor

    def __init__(self, data: DatasetSpec) -> None:
        super().__init__()
        encoding = Table.of(data).encoding
        self.scalars, self.choices = encoding.scalars, encoding.choices
        for name, gate in zip(("gate_factors", "gate_constants"), _gates(encoding), strict=True):
            self.register_buffer(name, gate, persistent=False)

    def open_gates(self, chosen: Tensor) -> Tensor:
        """What each scalar counts, 0 to 1, where choices are made so: (N, choices) to (N, scalars)."""
        return chosen @ self.gate_factors + self.gate_constants


class TabularGenerator(RowGenerator):
    """Latents and labels to encoded rows: each hidden layer sees all before it; tanh for scalars, Gumbel-softmax for choices.

    The last entries of a latent, as many as the choices have options, are the Gumbel noise, as normal deviates: so a row is a function
    of its latent and label alone, and the share of a category needs no learning from the other entries.
    """

    def __init__(self, params: TabularGeneratorParams, data: DatasetSpec, latent: int) -> None:
        super().__init__(data)
        self.input = LabelledLatent(latent - self.choices.width, data.condition)
        self.layers = nn.ModuleList()
        width = self.input.width
        for hidden in params.widths:
            self.layers.append(nn.Sequential(Linear(width, hidden), nn.ReLU()))
            width += hidden
        self.output = Linear(width, self.scalars + self.choices.width)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        entries = latents.shape[1] - self.choices.width
        latents, noise = latents[:, :entries], latents[:, entries:]
        features = self.input(latents, labels)
        for layer in self.layers:
            features = torch.cat([features, layer(features)], dim=1)
        output = self.output(features).float()
        scalars, logits = output[:, : self.scalars], output[:, self.scalars :]
        chosen = self.choices.softmax((logits + gumbel(noise)) / TEMPERATURE) if self.choices.width else logits
        scalars = scalars.tanh() * self.open_gates(chosen)
        return torch.cat([scalars, chosen], dim=1)


class TabularDiscriminator(nn.Module):
    """Packs of encoded rows (N, P, width) and their labels (N, P) to logits (N,): P rows are judged together (PacGAN, Lin et al., 2018).

    A label enters as one-hot beside its row. Without `P`, rows (N, width) and labels (N,).
    """

    def __init__(self, params: TabularDiscriminatorParams, data: DatasetSpec, pac: int = 1) -> None:
        super().__init__()
        self.classes = data.n_classes
        width = pac * (Table.of(data).encoding.width + self.classes)
        layers: list[nn.Module] = []
        for hidden in params.widths:
            layers += [Linear(width, hidden), nn.LeakyReLU(0.2)]
            if params.dropout:
                layers.append(Dropout(params.dropout))
            width = hidden
        layers.append(Linear(width, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.classes:
            assert labels is not None, "a conditional discriminator needs labels"  # noqa: S101
            samples = torch.cat([samples, F.one_hot(labels, self.classes).to(samples.dtype)], dim=-1)
        logits: Tensor = self.layers(samples.flatten(1))
        return logits.squeeze(1)


def _gates(encoding: Encoding) -> tuple[Tensor, Tensor]:
    """What a scalar is multiplied by, as a linear function of the choices: (choices, scalars) and (scalars,).

    The probability of the options that it belongs to, so that a spike or a gap has the scalar 0 that it has in real rows.
    """
    factors, constants = torch.zeros(encoding.choices.width, encoding.scalars), torch.ones(encoding.scalars)
    start, sizes = sum(encoding.choices.sizes[: encoding.leading]), iter(encoding.choices.sizes[encoding.leading :])
    for scalar, modes in enumerate(encoding.modes):
        size = next(sizes) if modes else 0
        if modes < size:
            factors[start : start + modes, scalar], constants[scalar] = 1.0, 0.0
        start += size
    return factors, constants


def gumbel(normal: Tensor) -> Tensor:
    """Standard normal deviates as standard Gumbel ones, of the same rank."""
    # The clamp is at 5.2 deviations; beyond it the normal's distribution function is 1 in float32.
    uniform = torch.special.ndtr(normal.float()).clamp(1e-7, 1 - 1e-7)
    return torch.neg((-uniform.log()).log())
