"""`torchvision://MNIST` and its siblings: the idx files that torchvision keeps in ROOT/NAME/raw.

A filled root is used as it is, with its files gzip-compressed or unpacked, without torchvision and without the network. Only where
none of the files is there, torchvision's own downloader fetches them to `.gantry/downloads`.

In raw they have MNIST's names and form. That matters for QMNIST only: its labels come with seven more columns (writer and so on),
which are left out.
"""

from __future__ import annotations

import gzip
import shutil
import socket
import struct
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gan_core.errors import ConfigError, DataError, GantryError
from tasks.params import DataParams
from tasks.sources.content import what_came
from tasks.sources.idx import read_idx
from tasks.sources.raw import Kind, RawReader, safe_path
from tasks.sources.source import SourceFile, expand_path, open_file, state_of
from tasks.workspace import Workspace

_PARTS = ("train", "t10k")
_QMNIST = {
    "train-images-idx3-ubyte": "qmnist-train-images-idx3-ubyte",
    "train-labels-idx1-ubyte": "qmnist-train-labels-idx2-int",
    "t10k-images-idx3-ubyte": "qmnist-test-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte": "qmnist-test-labels-idx2-int",
}
_MOST_BYTES = 1 << 28
_PATIENCE = 30.0
"""Seconds without an answer after which a download is given up."""


class IdxSource:
    """The four files of an idx data set: images and labels, of the training part and of the test part."""

    kind: Kind = "idx"
    fingerprint = None
    truth = None

    def __init__(self, workspace: Workspace, data: DataParams) -> None:
        self._name = data.location
        self._downloads = workspace.private / "downloads"
        self._root = self._downloads
        if data.root is not None:
            self._root = expand_path(data.root, workspace, "data.root")
            if not self._root.is_dir():
                raise ConfigError(f"data.root: {safe_path(str(self._root))} is no folder; name the one that holds {self._name}/raw")
        self.notes: Sequence[str] = ()
        self._files: Mapping[str, Path] = {}

    @property
    def identity(self) -> str:
        return str(self._folder)

    def look(self) -> Sequence[SourceFile]:
        now_ns = time.time_ns()
        found = self._found(self._root)
        if not found and self._root != self._downloads:
            self.notes = [f"{safe_path(str(self._folder))} holds none of the files of {self._name}; those in .gantry/downloads are used"]
            self._root = self._downloads
            found = self._found(self._root)
        if not found:
            self._download()
            found = self._found(self._root)
        missing = [name for name in _members(self._name).values() if name not in found]
        if missing:
            raise DataError(f"{safe_path(str(self._folder))}: {', '.join(f'{name}.gz' for name in missing)} missing; {self._remedy}")
        self._files = {member: found[name] for member, name in _members(self._name).items()}
        files = []
        for member, path in self._files.items():
            facts = path.stat()
            files.append(SourceFile(f"{member}.gz", facts.st_size, state_of(facts, now_ns), partial(_open, member, path)))
        return files

    def check(self, before: RawReader | None = None) -> int:
        return sum(self._check_part(part) for part in _PARTS)

    def _check_part(self, part: str) -> int:
        images_path, labels_path = (self._files[f"{part}-{what}"] for what in ("images-idx3-ubyte", "labels-idx1-ubyte"))
        images = self._read(f"{part}-images-idx3-ubyte", 3)
        labels = self._read(f"{part}-labels-idx1-ubyte", 1)
        if len(images) != len(labels):
            raise DataError(
                f"{safe_path(str(labels_path))}: has {len(labels):,} labels, and {images_path.name} "
                f"has {len(images):,} images; {self._remedy}"
            )
        return len(images)

    def _read(self, member: str, dimensions: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        path = self._files[member]
        with open_file(path) as file:
            came = what_came(file.read(512), right=(b"\x1f\x8b",))
        if path.suffix == ".gz" and came is not None:
            raise DataError(f"{safe_path(str(path))}: is {came}, not gzip, as a failed download leaves it; {self._remedy}")
        try:
            with _open(member, path) as file:
                return read_idx(file.read(), dimensions, safe_path(str(path)))
        except DataError as error:
            raise DataError(f"{error}; {self._remedy}") from None

    @property
    def _folder(self) -> Path:
        return self._root / self._name / "raw"

    @property
    def _remedy(self) -> str:
        if self._root == self._downloads:
            return f"remove {safe_path(str(self._folder.parent))} and fetch again to download it anew"
        return "put a good copy there, or unset data.root to download all files"

    def _found(self, root: Path) -> dict[str, Path]:
        """By name, packed or not, those of the files that are in `root`."""
        folder = root / self._name / "raw"
        candidates = ((name, folder / f"{name}{suffix}") for name, suffix in product(_members(self._name).values(), ("", ".gz")))
        # The packed file comes last, so it wins where torchvision left both.
        return {name: path for name, path in candidates if path.is_file()}

    def _download(self) -> None:
        """Have torchvision download all files; they are in their place together or not at all."""
        print(f"downloading {self._name} with torchvision", flush=True)
        unfinished = self._downloads / f".{self._name}.partial"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            _downloader(self._name)(unfinished)
            place = self._downloads / self._name
            shutil.rmtree(place, ignore_errors=True)
            (unfinished / self._name).rename(place)
        except (OSError, RuntimeError) as error:
            raise GantryError(
                f"torchvision://{self._name}: cannot be downloaded ({' '.join(str(error).split())}); try again when the network is there, "
                f"or name a folder that holds {self._name}/raw with its files as data.root"
            ) from None
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _members(name: str) -> Mapping[str, str]:
    """The names of the files in raw and at the source, both without `.gz`."""
    return _QMNIST if name == "QMNIST" else {name: name for name in _QMNIST}


def _downloader(name: str) -> Callable[[Path], None]:
    import gan_core.torchvision_cpu  # noqa: F401, I001
    from torchvision import datasets

    def download(root: Path) -> None:
        before = socket.getdefaulttimeout()
        # torchvision sets none, and a silent host would be waited for for ever.
        socket.setdefaulttimeout(_PATIENCE)
        try:
            for train in (True, False):
                getattr(datasets, name)(str(root), train=train, download=True)
        finally:
            socket.setdefaulttimeout(before)

    return download


def _open(member: str, path: Path) -> BinaryIO:
    """The bytes of a source file as they go into raw: MNIST's form, gzip-compressed."""
    if path.name == f"{member}.gz" or (path.suffix == ".gz" and "images" in member):
        return open_file(path)
    with open_file(path) as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise DataError(f"{safe_path(str(path))}: more than {_MOST_BYTES:,} bytes, too large for an idx file")
    if "labels-idx2" in path.name:
        data = _first_column(data, path)
    # No name and time in the header, so that the same data gives the same bytes; the first level, because speed matters more.
    return BytesIO(gzip.compress(data, compresslevel=1, mtime=0))


def _first_column(data: bytes, path: Path) -> bytes:
    """QMNIST's labels, an idx file of big-endian 32-bit integers (N, 8), as MNIST's: an idx file of bytes (N,)."""
    try:
        if path.suffix == ".gz":
            with gzip.open(BytesIO(data)) as file:
                data = file.read(_MOST_BYTES + 1)
        magic, count, columns = struct.unpack_from(">3I", data)
        if magic != 0x0C02 or len(data) != 12 + 4 * count * columns or columns < 1:
            raise ValueError(f"{len(data):,} bytes, and the header states {count:,} x {columns:,} integers")
        column = np.frombuffer(data, dtype=">i4", offset=12).reshape(count, columns)[:, 0]
        if count and (column.min() < 0 or column.max() > 9):
            raise ValueError("labels outside 0..9")
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{safe_path(str(path))}: damaged, or no labels of QMNIST ({error})") from None
    return struct.pack(">2I", 0x0801, count) + column.astype(np.uint8).tobytes()
