"""`arrays://PATH`: images in arrays of many, N x H x W, N x H x W x C or N x C x H x W, with their labels or without.

PATH is a .npy file, an archive of them (.npz), or a folder of .npy files, or of idx files as MNIST's (`train-images-idx3-ubyte`, packed by
gzip or not). Each array goes into raw as a .npy file of its own, where validation maps it: no array is ever held in memory as a whole.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from gan_core.errors import DataError
from tasks.addresses import ARRAY_SUFFIXES
from tasks.params import DataParams
from tasks.sources.array_heads import ArrayHead, LabelledImages, array_heads, bands_of, paired
from tasks.sources.raw import Kind, RawReader, safe_path
from tasks.sources.source import SourceFile, expand_path, held, open_file, state_of
from tasks.workspace import Workspace

IDX = re.compile(r"(?P<name>.*[-._]idx\d[-._](ubyte|byte|short|int|float|double))(\.gz)?", re.IGNORECASE)
"""The name of an idx file."""
_IDX_TYPES = {0x08: "|u1", 0x09: "|i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_FEW = 64
"""Files from which on a folder's arrays are taken for one sample each."""
_MOST_BYTES, _LARGEST_FACTOR = 1 << 30, 100
"""What a packed file may expand to, as an archive may: so many bytes, or so many times its size."""
_NAMED = 8
"""Arrays in a message, at most."""
_BROKEN = (zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class _Stored:
    """An array, and where it is."""

    head: ArrayHead
    """Its name is the one that it has in raw, without `.npy`."""
    file: Path
    member: str | None = None
    """Of an archive."""


def holds_arrays(folder: Path) -> bool:
    """Whether a folder's own files are idx files, or arrays of which one is of many images beside their labels, or has four axes, or is
    the only file."""
    files = _files(folder)
    if len(files) > _FEW:
        return False
    if any(IDX.fullmatch(file.name) for file in files):
        return True
    try:
        heads = [stored.head for file in files for stored in _stored(file)]
        found = paired(heads)[0]
    except DataError:
        return False
    many = [one for one in found if one.labels is not None or len(one.images.shape) == 4]
    return bool(many) or (len(found) == len(files) == 1 and _is_of_many(found[0].images.shape))


def _is_of_many(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 or (len(shape) == 3 and bands_of(shape) is None)


class ArraysSource:
    """Arrays of images on this machine.

    Raises:
        DataError: there are none.
    """

    kind: Kind = "arrays"
    fingerprint = None
    truth = None

    def __init__(self, workspace: Workspace, data: DataParams) -> None:
        self._source = data.source
        self._scratch = workspace.private / "fetch"
        self._path = expand_path(data.location, workspace, "data.source")
        self._where = safe_path(str(self._path))
        self._takes_labels = data.labels != "none"
        self.notes: Sequence[str] = ()
        self.found: Sequence[LabelledImages] = ()
        """What the last look found."""
        self._stored: dict[str, _Stored] = {}
        try:
            self.identity = str(self._path.resolve(strict=True))
        except FileNotFoundError:
            raise DataError(f"{data.source}: {self._where} is not there; put it there or correct data.source") from None
        except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links
            raise DataError(f"{data.source}: {self._where} cannot be read ({getattr(error, 'strerror', None) or error})") from None

    def look(self) -> Sequence[SourceFile]:
        now_ns = time.time_ns()
        real = Path(self.identity)
        files = _files(real) if real.is_dir() else [real]
        if not files or (real.is_file() and not _is_taken(real)):
            raise DataError(f"{self._source}: no arrays in {self._where}; name a .npy or .npz file, or a folder of .npy or of idx files")
        everything = [stored for file in files for stored in _stored(file)]
        for file in files:
            expanded = sum(stored.head.size for stored in everything if stored.file == file)
            if expanded > max(_MOST_BYTES, _LARGEST_FACTOR * file.stat().st_size) and _is_packed(file):
                where = safe_path(str(file))
                raise DataError(
                    f"{where}: would expand to more than {_LARGEST_FACTOR} times its size, {expanded:,} bytes; save it unpacked"
                )
        heads = [stored.head for stored in everything]
        if twice := [name for name, count in Counter(head.name for head in heads).items() if count > 1]:
            raise DataError(f"{self._where}: two arrays are called {twice[0]}; take one of them out")
        try:
            self.found, left = paired(heads)
        except DataError as error:
            raise DataError(f"{self._where}: {error}") from None
        if not self._takes_labels:
            self.found = [LabelledImages(one.images, None) for one in self.found]
        if not self.found:
            raise DataError(
                f"{self._where}: no array of images in it (there {'is' if len(left) == 1 else 'are'} {_shown(left)}); images are numbers, "
                "N x H x W, N x H x W x C or N x C x H x W"
            )
        self.notes = [f"left out, neither images nor their labels: {_shown(left)}"] if left else []
        used = {head.name for one in self.found for head in (one.images, one.labels) if head is not None}
        self._stored = {stored.head.name: stored for stored in everything if stored.head.name in used}
        return [self._source_file(stored, now_ns) for stored in self._stored.values()]

    def check(self, before: RawReader | None = None) -> int:
        for one in self.found:
            if math.prod(one.images.shape) == 0:
                shape = " x ".join(map(str, one.images.shape))
                raise DataError(f"{self._where}: {one.images.name} is of {shape} values, and so holds nothing")
        return sum(one.images.shape[0] for one in self.found)

    def read(self, head: ArrayHead) -> Any:
        """The values of an array that the last look found, such as labels: in memory."""
        with self._open(self._stored[head.name]) as stream:
            return np.load(BytesIO(stream.read()), allow_pickle=False)

    def _source_file(self, stored: _Stored, now_ns: int) -> SourceFile:
        state = state_of(stored.file.stat(), now_ns)
        return SourceFile(f"{stored.head.name}.npy", stored.head.size, state, partial(self._open, stored))

    def _open(self, stored: _Stored) -> BinaryIO:
        where = safe_path(str(stored.file)) + ("" if stored.member is None else f": {safe_path(stored.member)}")
        refusal = DataError(f"{where}: damaged: it has not the {math.prod(stored.head.shape):,} values that its head states; get it anew")
        try:
            if stored.member is not None:
                with open_file(stored.file) as file, zipfile.ZipFile(file) as archive, archive.open(stored.member) as member:
                    return held(cast(BinaryIO, member), stored.head.size, self._scratch, refusal)
            if IDX.fullmatch(stored.file.name):
                with _unpacked(stored.file) as file:
                    file.read(4 + 4 * len(stored.head.shape))
                    return held(cast(BinaryIO, _Joined(_npy_start(stored.head), file)), stored.head.size, self._scratch, refusal)
        except _BROKEN as error:
            raise DataError(f"{where}: damaged ({error}); get it anew") from None
        file = open_file(stored.file)
        if os.fstat(file.fileno()).st_size != stored.head.size:
            file.close()
            raise refusal
        return file


def _is_taken(file: Path) -> bool:
    return file.suffix.lower() in ARRAY_SUFFIXES or IDX.fullmatch(file.name) is not None


def _files(folder: Path) -> list[Path]:
    """The files of arrays that lie in a folder itself; of one that is there packed and unpacked, the first."""
    try:
        found = sorted(file for file in folder.iterdir() if _is_taken(file) and not file.name.startswith(".") and file.is_file())
    except OSError as error:
        raise DataError(f"{safe_path(str(folder))}: cannot be read ({error.strerror})") from None
    return list({_name(file): file for file in reversed(found)}.values())[::-1]


def _name(file: Path) -> str:
    match = IDX.fullmatch(file.name)
    return match["name"] if match is not None else file.stem


def _stored(file: Path) -> list[_Stored]:
    """The arrays of a file.

    Raises:
        DataError: it is damaged, or no such file.
    """
    where = safe_path(str(file))
    if IDX.fullmatch(file.name):
        return [_Stored(replace(_idx_head(file, where), name=safe_path(_name(file))), file)]
    with open_file(file) as stream:
        heads = array_heads(stream, where)
    if [head.name for head in heads] == [""]:
        return [_Stored(replace(heads[0], name=safe_path(file.stem)), file)]
    return [_Stored(replace(head, name=safe_path(head.name.replace("/", "-"))), file, f"{head.name}.npy") for head in heads]


def _idx_head(file: Path, where: str) -> ArrayHead:
    try:
        with _unpacked(file) as stream:
            zeros, kind, axes = struct.unpack(">HBB", stream.read(4))
            shape = struct.unpack(f">{axes}I", stream.read(4 * axes))
    except (struct.error, OSError, *_BROKEN) as error:
        raise DataError(f"{where}: no idx file, or damaged ({error}); get it anew") from None
    if zeros or kind not in _IDX_TYPES or not axes:
        raise DataError(f"{where}: no idx file, although its name ends as one's does; take it out, or get it anew")
    head = ArrayHead("", shape, np.dtype(_IDX_TYPES[kind]), is_fortran=False, start=0)
    return replace(head, start=len(_npy_start(head)))


@contextmanager
def _unpacked(file: Path) -> Iterator[BinaryIO]:
    with open_file(file) as stored:
        if stored.peek(2)[:2] == b"\x1f\x8b":  # type: ignore[attr-defined]  # told by its bytes: programs unpack what they download
            with gzip.open(stored) as stream:
                yield cast(BinaryIO, stream)
        else:
            yield stored


def _is_packed(file: Path) -> bool:
    with open_file(file) as stored:
        return stored.read(2) in (b"PK", b"\x1f\x8b")


def _npy_start(head: ArrayHead) -> bytes:
    file = BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": head.dtype.str, "fortran_order": head.is_fortran, "shape": head.shape})
    return file.getvalue()


class _Joined:
    """Some bytes, and then what a stream has."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start, self._rest = BytesIO(start), rest

    def read(self, count: int) -> bytes:
        return self._start.read(count) or self._rest.read(count)


def _shown(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
