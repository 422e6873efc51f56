"""Sounds as log-mel spectrograms, and back by Griffin and Lim's algorithm.

A spectrogram is a picture of a sound: a row a band of frequencies, spaced as ears tell pitches apart (the mel scale of Stevens et al.,
1937), a column each 16 ms, and as value how loud that band is then, in decibels. So networks, penalties, augmentation and scores of
images serve sounds as well (SpecGAN: Donahue et al., 2019), with half as many numbers a second as a waveform of 8 kHz has, a quarter at
16 kHz. What a spectrogram leaves out, the phases, is found again by going back and forth between it and a waveform.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

_COLUMN = 0.016
"""Seconds from one column to the next, nearly; a window is four times as long, so that each moment is seen by four."""
_STEP = 16  # hops are multiples of this, so that windows are quick to transform
DECIBELS = 60.0
"""Decibels below the loudest that are told apart; what is fainter counts as silence."""
_ITERATIONS = 24
_MOMENTUM = 0.99  # of the fast variant (Perraudin et al., 2013)
_SPREADS = 20  # steps in which bands are spread over frequencies again
_LEAST = 1e-8
_PHASES = 7  # seed of the phases that every reconstruction starts with


@dataclass(frozen=True)
class Spectrogram:
    """Between sounds of one length and their spectrograms."""

    rate: int
    """Values a second."""
    length: int
    """Values of a sound."""
    bands: int
    """Rows of a spectrogram, the lowest frequencies first."""
    top: float = 0.0
    """Decibels that become 1; `DECIBELS` less, and everything below, become -1."""

    @property
    def hop(self) -> int:
        """Values from one column to the next."""
        return _STEP * max(1, round(self.rate * _COLUMN / _STEP))

    @property
    def window(self) -> int:
        """Values that a column sees."""
        return 4 * self.hop

    @property
    def columns(self) -> int:
        """Columns of a spectrogram: as many as the sound is long, and then silence up to a number that can be halved a few times."""
        multiple = max(16, self.bands // 4)
        return multiple * math.ceil(self.length / self.hop / multiple)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a spectrogram, as a picture of one channel."""
        return 1, self.bands, self.columns

    def of(self, waves: Tensor) -> Tensor:
        """Spectrograms float32 (N, 1, bands, columns) in -1..1 of waves (N, 1, length) in -1..1."""
        scaled = 1 + 2 * (self.decibels(waves) - self.top) / DECIBELS
        return scaled.clamp_(-1.0, 1.0)

    def decibels(self, waves: Tensor) -> Tensor:
        """The same in decibels of full scale."""
        magnitudes = self._transformed(waves[:, 0].float()).abs()
        heard: Tensor = self.filters.to(waves.device) @ magnitudes
        return 20 * heard.clamp_min(_LEAST).log10()[:, None]

    def waves(self, spectrograms: Tensor) -> Tensor:
        """Waves float32 (N, 1, length) in about -1..1 that have these spectrograms, nearly; each the same whatever is beside it."""
        heard = 10 ** ((self.top + (spectrograms[:, 0].float().clamp(-1, 1) - 1) * DECIBELS / 2) / 20)
        heard = heard * (spectrograms[:, 0] > -1 + 1e-3)  # silence is silence, not 60 dB below the loudest
        return self._found(self._spread(heard))[:, None, : self.length]

    def _spread(self, heard: Tensor) -> Tensor:
        """Magnitudes (N, F, columns), none below 0, whose bands are `heard` (N, bands, columns): Lee and Seung's updates (2001)."""
        filters = self.filters.to(heard.device)
        found = filters.T @ heard
        target, square = filters.T @ heard, filters.T @ filters
        for _ in range(_SPREADS):
            found = found * target / (square @ found).clamp_min(_LEAST)
        return found

    def _found(self, magnitudes: Tensor) -> Tensor:
        """Waves (N, columns * hop) of magnitudes (N, F, columns) (Griffin and Lim, 1984), each from the same phases."""
        start = torch.rand(magnitudes.shape[1:], generator=torch.Generator().manual_seed(_PHASES)).to(magnitudes.device)
        angles = torch.polar(torch.ones_like(start), 2 * math.pi * start).expand(magnitudes.shape)
        before = torch.zeros_like(angles)
        for _ in range(_ITERATIONS):
            rebuilt = self._transformed(self._inverse(magnitudes * angles))
            angles = rebuilt - before * (_MOMENTUM / (1 + _MOMENTUM))
            angles = angles / angles.abs().clamp_min(_LEAST)
            before = rebuilt
        return self._inverse(magnitudes * angles)

    def _transformed(self, waves: Tensor) -> Tensor:
        """(N, up to columns * hop) -> complex (N, F, columns), scaled so that a sine of amplitude 1 has a peak of 1."""
        padded = torch.nn.functional.pad(waves, (0, self.columns * self.hop - waves.shape[1]))
        hann = torch.hann_window(self.window, device=waves.device)
        found = torch.stft(padded, self.window, self.hop, window=hann, center=True, pad_mode="constant", return_complex=True)
        return found[:, :, :-1] * (4 / self.window)

    def _inverse(self, transformed: Tensor) -> Tensor:
        hann = torch.hann_window(self.window, device=transformed.device)
        last = torch.nn.functional.pad(transformed, (0, 1)) * (self.window / 4)
        return torch.istft(last, self.window, self.hop, window=hann, center=True, length=self.columns * self.hop)

    @cached_property
    def filters(self) -> Tensor:
        """(bands, F) triangles between the centres of the neighbouring bands, which are equally far apart in mel (O'Shaughnessy, 1987)."""
        frequencies = torch.linspace(0, self.rate / 2, self.window // 2 + 1, dtype=torch.float64)
        edges = torch.linspace(0, _mel(self.rate / 2), self.bands + 2, dtype=torch.float64)
        edges = 700 * (10 ** (edges / 2595) - 1)
        width = torch.clamp(edges.diff(), min=float(frequencies[1]))  # a band has at least one frequency
        rise = 1 - (edges[1:-1, None] - frequencies) / width[:-1, None]
        fall = 1 - (frequencies - edges[1:-1, None]) / width[1:, None]
        triangles = torch.minimum(rise, fall).clamp_min(0)
        return triangles.float()


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)
