"""The errors that a person is meant to read.

Each message says what was wrong, where, and what to do. The command line and the stages print it without a traceback and
end with the class's exit code; anything that is not a `GantryError` is a defect and keeps its traceback.
"""

from __future__ import annotations


class GantryError(Exception):
    """Base of all expected errors: what was wrong, where, and what to do.

    >>> import numpy as np
    >>> from gan_core import GantryError, data_from_arrays
    >>> try:
    ...     data_from_arrays(np.zeros((50, 8, 8), dtype=np.int64))
    ... except GantryError as error:
    ...     print(error)
    samples: points are floats (N, D), and images uint8, uint16 or floats; these are int64 (50, 8, 8)
    """

    exit_code = 1


class BusyError(GantryError):
    """Somebody else is at work on the same thing, which is no fault of anybody."""

    exit_code = 7


class ConfigError(GantryError):
    """params.yaml, a command's arguments or the environment ask for something impossible."""

    exit_code = 2


class DataError(GantryError):
    """The data is missing, damaged or refused by validation."""

    exit_code = 3


class TrainingError(GantryError):
    """Training cannot go on: a value that is not finite, a checkpoint that fits nothing."""

    exit_code = 4


class LostRunError(TrainingError):
    """A training has collapsed or diverged: nothing that it still does can be of use. Another seed or other settings may do better."""


class RegistryError(GantryError):
    """The tracking server or model registry cannot be reached or holds something unexpected."""

    exit_code = 5


class PeerLostError(TrainingError):
    """Another process of the same training is gone: this one cannot go on, and all of them start again from the last checkpoint."""

    exit_code = 6
