"""`sklearn://digits`: the 1,797 real handwritten digits of 8 x 8 pixels that come with scikit-learn (UCI, Alpaydin and Kaynak, 1998)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import DataError
from tasks.sources.raw import Kind, RawReader
from tasks.sources.source import SourceFile, made

_FILE = "datasets/data/digits.csv.gz"


class DigitsSource:
    """The digits as arrays."""

    kind: Kind = "arrays"
    fingerprint = None
    truth = None
    notes: Sequence[str] = ()
    identity = "sklearn://digits"

    def __init__(self) -> None:
        self._count = 0

    def look(self) -> Sequence[SourceFile]:
        images, labels = _read(_data_file())
        self._count = len(images)
        classes = json.dumps([str(digit) for digit in range(10)]).encode()
        return [made("images.npy", _npy(images)), made("labels.npy", _npy(labels)), made("classes.json", classes)]

    def check(self, before: RawReader | None = None) -> int:
        return self._count


def _data_file() -> Path:
    # scikit-learn's own loader takes 3 s to import; its file, a row of 64 grey values and the digit each, is as plain.
    package = find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or ():
        if (path := Path(folder, _FILE)).is_file():
            return path
    raise DataError(f"sklearn://digits: the installed scikit-learn has no {_FILE}; install scikit-learn again")


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images, uint8 (N, 8, 8) with 0..16 stretched to 0..255, and labels, int64 (N,)."""
    try:
        rows = np.loadtxt(path, delimiter=",", dtype=np.int64)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error}); install scikit-learn again") from None
    if rows.ndim != 2 or rows.shape[1] != 65 or rows.min() < 0 or rows[:, :64].max() > 16 or rows[:, 64].max() > 9:
        raise DataError(f"{path}: does not hold 64 values of 0..16 and a digit in each row; install scikit-learn again")
    images = (rows[:, :64] * 255 + 8) // 16
    return images.astype(np.uint8).reshape(-1, 8, 8), rows[:, 64].copy()


def _npy(array: NDArray[np.uint8] | NDArray[np.int64]) -> bytes:
    file = BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
