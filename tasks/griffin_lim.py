"""From spectrograms back to sounds with numpy alone: what stands beside an exported generator of sounds, whose graph ends at them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def waves(values: NDArray[np.float32], rate: int, length: int, bands: int, top: float, hop: int, decibels: float) -> NDArray[np.float64]:
    """Sounds (N, length) in about -1..1 of log-mel spectrograms (N, 1, bands, columns) in -1..1, lowest frequencies first.

    As `gan_core.spectrogram` does it, from other phases: bands are spread over frequencies by Lee and Seung's updates (2001), phases found
    by Griffin and Lim's algorithm (1984) in its fast variant (Perraudin et al., 2013).

    Args:
        values: what the exported network gives.
        rate: values of a sound a second.
        length: values of a sound.
        bands: rows of a spectrogram.
        top: decibels of full scale that are 1.
        hop: values from one column to the next; a window is four times as long.
        decibels: from 1 down to -1, which is silence.
    """
    window, columns = 4 * hop, values.shape[3]
    frequencies = np.linspace(0, rate / 2, window // 2 + 1)
    mel = np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), bands + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    width = np.maximum(np.diff(edges), frequencies[1])
    away = edges[1:-1, None] - frequencies
    filters = np.minimum(1 - away / width[:-1, None], 1 + away / width[1:, None]).clip(0)

    seen = values[:, 0].astype(np.float64)
    heard = 10 ** ((top + (seen.clip(-1, 1) - 1) * decibels / 2) / 20) * (seen > -0.999)
    found = target = filters.T @ heard
    for _ in range(20):
        found = found * target / np.maximum(filters.T @ filters @ found, 1e-8)
    magnitudes = found.swapaxes(1, 2)  # (N, columns, frequencies)

    hann = np.sin(np.pi * np.arange(window) / window) ** 2
    weight = np.zeros((columns + 1) * hop + window)
    for column in range(columns + 1):
        weight[column * hop : column * hop + window] += hann**2

    def sounds(spectra: NDArray[np.complex128]) -> NDArray[np.float64]:
        frames = np.fft.irfft(spectra, window) * hann * (window / 4)
        summed = np.zeros((len(frames), len(weight)))
        for column in range(columns):
            summed[:, column * hop : column * hop + window] += frames[:, column]
        middle = slice(window // 2, window // 2 + columns * hop)
        return summed[:, middle] / weight[middle]

    def spectra(sounds: NDArray[np.float64]) -> NDArray[np.complex128]:
        padded = np.pad(sounds, ((0, 0), (window // 2, window // 2)))
        frames = np.lib.stride_tricks.sliding_window_view(padded, window, axis=1)[:, ::hop][:, :columns]
        return np.fft.rfft(frames * hann) * (4 / window)

    phases = np.exp(2j * np.pi * np.random.default_rng(0).random(magnitudes.shape[1:]))
    before = np.zeros_like(magnitudes, dtype=complex)
    for _ in range(24):
        rebuilt = spectra(sounds(magnitudes * phases))
        phases = rebuilt - before * (0.99 / 1.99)
        phases, before = phases / np.maximum(np.abs(phases), 1e-8), rebuilt
    return sounds(magnitudes * phases)[:, :length]
