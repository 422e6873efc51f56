"""`sklearn://digits`: the 1,797 real handwritten digits of 8 x 8 pixels that come with scikit-learn (UCI, Alpaydin and Kaynak, 1998).

`sklearn://tilted-digits`: those of them that show how they are turned, each turned by an angle, which is its label.
"""

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
_UPRIGHT = (2, 3, 4, 5, 7)
"""Digits that look like no other turned by up to 60 degrees, and unlike themselves turned."""
_MOST = 60  # degrees to either side


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
        return self._files(images, labels, range(10))

    def check(self, before: RawReader | None = None) -> int:
        return self._count

    def _files(self, images: NDArray[np.uint8], labels: NDArray[np.int64], classes: range) -> Sequence[SourceFile]:
        self._count = len(images)
        names = json.dumps([str(number) for number in classes]).encode()
        return [made("images.npy", _npy(images)), made("labels.npy", _npy(labels)), made("classes.json", names)]


class TiltedDigitsSource(DigitsSource):
    """Twos, threes, fours, fives and sevens, 16 x 16, turned by whole degrees from -60 to 60, to the right where that is more than 0. Each
    angle is as likely as any other, and they are the same every time."""

    identity = "sklearn://tilted-digits"

    def look(self) -> Sequence[SourceFile]:
        from PIL import Image

        images, digits = _read(_data_file())
        images = images[np.isin(digits, _UPRIGHT)]
        angles = range(-_MOST, _MOST + 1)
        chosen = np.random.default_rng(0).integers(0, len(angles), len(images))
        # A border, so that no corner is turned out of the picture.
        large = (Image.fromarray(np.pad(image, 1)).resize((16, 16), Image.Resampling.BICUBIC) for image in images)
        turned = [one.rotate(-angles[at], Image.Resampling.BICUBIC) for one, at in zip(large, chosen.tolist(), strict=True)]
        return self._files(np.stack([np.asarray(one) for one in turned]), chosen, angles)


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
