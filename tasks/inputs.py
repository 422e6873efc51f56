"""Pictures that a person gives to a translating generator, treated as validation treats those that it was trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import ConfigError
from tasks.images import UnusableImageError, decode, with_channels
from tasks.params import ValidateParams

_LIMITS = ValidateParams(min_std=0)  # a blank picture is a poor one to train on; to translate it is a person's choice


def read_input(data: bytes, shape: tuple[int, ...], where: str) -> NDArray[np.uint8]:
    """The picture in a file's bytes as a generator takes it: uint8 of `shape`, (C, H, W).

    Args:
        data: of any of the formats that `tasks.images` reads.
        shape: the generator's `config.inputs`.
        where: names the picture in an error.

    Raises:
        ConfigError: it is no picture, broken, or too large; begins with `where`.
    """
    try:
        return with_channels(decode(data, shape[-1], _LIMITS).pixels, shape[0])
    except UnusableImageError as reason:
        raise ConfigError(f"{where}: {reason}") from None
