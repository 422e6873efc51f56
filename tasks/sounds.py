"""Generated sounds as files."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.samples import file_names

if TYPE_CHECKING:
    from gan_core.generator import Samples

_PAUSE = 0.25
"""Seconds between sounds that stand one after another."""


def encode_sound(wave: NDArray[np.int16], rate: int, form: Literal["wav", "flac"] = "wav") -> bytes:
    """A sound, int16 (1, T) at `rate` values a second, as the bytes of a file of 16 bits."""
    import soundfile

    file = BytesIO()
    soundfile.write(file, wave[0], rate, subtype="PCM_16", format=form)
    return file.getvalue()


def one_after_another(sounds: NDArray[np.int16], rate: int) -> NDArray[np.int16]:
    """Sounds (N, 1, T) as one, (1, T'), with a pause behind each but the last."""
    padded = np.pad(sounds[:, 0], ((0, 0), (0, pause(rate))))
    return padded.reshape(1, -1)[:, : padded.size - pause(rate)]


def pause(rate: int) -> int:
    """Values between two sounds that stand one after another."""
    return round(_PAUSE * rate)


def write_wavs(samples: Samples, rate: int, folder: Path, classes: tuple[str, ...] | None) -> None:
    """A WAV for each sound."""
    for wave, name in zip(samples.samples, file_names(samples, classes), strict=True):
        (folder / f"{name}.wav").write_bytes(encode_sound(wave, rate))
