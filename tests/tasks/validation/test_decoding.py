"""A decoder that ends its process costs the file that it was at, and nothing else."""

from __future__ import annotations

import os
import signal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from decoders import workers
from PIL import Image
from raw_sets import noise, png, write_files

from gan_core.errors import DataError
from tasks.sources.raw import RawReader
from tasks.system import cores
from tasks.validation import decoding
from tasks.validation.decoding import CRASHED, Decoders

DEADLY = {"45", "50"}
"""Lengths, in bytes."""


def deadly(data: bytes) -> str:
    """A decoder that ends its process for some files, though nothing is wrong with them."""
    length = str(len(data))
    if length in DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return length


def process(data: bytes) -> int:
    return os.getpid()


def ends_at_tiff(data: bytes) -> str:
    if data.startswith(b"II"):
        os.kill(os.getpid(), signal.SIGKILL)
    return "fine"


class Unloadable:
    """A decoder whose arrival ends a process."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (1,)

    def __call__(self, data: bytes) -> str:
        return ""


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Pictures and broken files, each of another length."""
    write_files(tmp_path / "raw", {f"{i:02d}.png": png(noise(i))[: 40 + i] for i in range(20)})
    return tmp_path / "raw"


def test_a_file_that_ends_its_decoder_is_refused_and_the_rest_goes_on(many: Path) -> None:
    with RawReader.open(many) as raw:
        with Decoders(2, raw, deadly) as decoders:
            found = list(decoders.decoded(raw.members[at : at + 4] for at in range(0, len(raw.members), 4)))
        lengths = [str(len(raw.read(member))) for member in raw.members]
    assert found == [CRASHED if length in DEADLY else length for length in lengths]
    assert found.count(CRASHED) > 1


@pytest.mark.parametrize("usable", [1, 2])
def test_rare_formats_are_decoded_apart_in_small_sets_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usable: int) -> None:
    monkeypatch.setattr(cores, "usable", lambda: usable)
    Image.fromarray(noise(0)).save(file := BytesIO(), "TIFF")
    tiff, plain = file.getvalue(), png(noise(1))
    write_files(tmp_path / "raw", {"1.png": plain, "2.png": tiff, "3.png": plain, "4.tif": plain})
    with RawReader.open(tmp_path / "raw") as raw:
        found = list(decoding.decoded(raw, raw.members, process, 8))
        assert not workers()
        assert [one == os.getpid() for one in found] == [True, False, True, True]
        assert list(decoding.decoded(raw, raw.members, ends_at_tiff, 8)) == ["fine", CRASHED, "fine", "fine"]
    assert not workers()


def test_processes_that_cannot_start_are_no_fault_of_the_files(many: Path) -> None:
    match = "processes that decode images end as they start"
    with RawReader.open(many) as raw, Decoders(1, raw, Unloadable()) as decoders, pytest.raises(DataError, match=match):
        list(decoders.decoded([raw.members[:1]]))
    assert not workers()
