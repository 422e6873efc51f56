"""What a server keeps of what it drew: counts, and of each version a few hundred samples, every one as likely as any other to be there.

One server of a generator in a workspace keeps it, in a file a version, which the next server goes on with.
"""

from __future__ import annotations

import fcntl
import json
import logging
import threading
import zipfile
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import DataError
from gan_core.files import replacing
from gan_core.generator import Samples

log = logging.getLogger("gantry.serve")

MOST = 1_000
"""Samples of a version, where they are small."""
_MOST_BYTES = 64 * 2**20
_VERSIONS = 3  # in memory
_EVERY = 60.0  # seconds from one time that it is written to the next


@dataclass
class Counts:
    """What was asked of one version."""

    sha256: str
    """Of its weights."""
    since: str
    until: str = ""
    """UTC, ISO 8601."""
    requests: int = 0
    samples: int = 0
    plain: int = 0
    """Samples that were asked for without truncation and walk: those from which the kept ones are taken."""
    labels: dict[str, int] = field(default_factory=dict)
    """Samples of each class."""


@dataclass
class Kept:
    """Of one version."""

    counts: Counts
    samples: list[NDArray[Any]] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)
    """The class or the number of each kept sample, where there are labels."""
    prompts: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Of some requests, from first to last byte."""

    @classmethod
    def read(cls, path: Path) -> Kept:
        """What was written.

        Raises:
            DataError: it is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                counts = Counts(**json.loads(str(arrays["counts"])))
                labels, prompts, seconds = (arrays[key].tolist() for key in ("labels", "prompts", "seconds"))
                return cls(counts, list(arrays["samples"]), labels, prompts, seconds)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: cannot be read ({error})") from None

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {
            "counts": np.array(json.dumps(asdict(self.counts))),
            "samples": np.array(self.samples),
            "labels": np.array(self.labels) if self.labels else np.array([], dtype=np.int64),
            "prompts": np.array(self.prompts, dtype=str),
            "seconds": np.array(self.seconds),
        }
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]


class Keeper:
    """Keeps it for a server; its methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        """Nothing is kept before `begin`.

        Args:
            folder: of the generator.
        """
        self._folder = folder
        self._kept: dict[int, Kept] = {}
        self._mutex, self._ended = threading.Lock(), threading.Event()
        self._random = np.random.default_rng()
        self._lock: IO[str] | None = None

    def begin(self) -> None:
        """Keep from now on, unless another server does, or nothing can be written there; the log then says so."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self._folder / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            log.warning("%s: nothing is kept of what is drawn (%s)", self._folder, error.strerror)
            self._ended.set()
            return
        threading.Thread(target=self._follow, name="keeper", daemon=True).start()

    def end(self) -> None:
        """Write it, and keep no more."""
        if not self._ended.is_set():
            self._ended.set()
            self._write()
        if self._lock is not None:
            self._lock.close()

    def add(self, version: int, sha256: str, samples: Samples, classes: tuple[str, ...] | None, plain: bool) -> None:
        """Take in what a request was answered with.

        Args:
            version: that drew it.
            sha256: of its weights.
            classes: names of the labels.
            plain: whether it was asked for without truncation and walk.
        """
        if self._ended.is_set():
            return
        with self._mutex:
            kept = self._of(version, sha256)
            counts = kept.counts
            counts.requests += 1
            counts.samples += len(samples.samples)
            if samples.labels is not None and classes is not None:
                for index, count in enumerate(np.bincount(samples.labels, minlength=len(classes)).tolist()):
                    counts.labels[classes[index]] = counts.labels.get(classes[index], 0) + count
            if plain:
                self._sample(kept, samples)

    def _sample(self, kept: Kept, samples: Samples) -> None:
        """Algorithm R (Vitter, 1985)."""
        most = max(16, min(MOST, _MOST_BYTES // samples.samples[0].nbytes))
        seen = kept.counts.plain + np.arange(len(samples.samples))
        places = np.where(seen < most, seen, self._random.integers(0, seen + 1))
        for index in np.flatnonzero(places < most).tolist():
            place = int(places[index])
            one: tuple[tuple[list[Any], Any], ...] = (
                (kept.samples, np.array(samples.samples[index])),
                (kept.labels, None if samples.labels is None else samples.labels[index].item()),
                (kept.prompts, None if samples.prompts is None else samples.prompts[index]),
            )
            for values, value in one:
                if value is not None:
                    values[place : place + 1] = [value]
        kept.counts.plain += len(samples.samples)

    def took(self, version: int, seconds: float) -> None:
        """How long a request took."""
        with self._mutex:
            kept = self._kept.get(version)
            if kept is not None:
                place = len(kept.seconds) if len(kept.seconds) < MOST else int(self._random.integers(0, max(kept.counts.requests, 1)))
                if place < MOST:
                    kept.seconds[place : place + 1] = [seconds]

    def _of(self, version: int, sha256: str) -> Kept:
        if version not in self._kept:
            before = None
            with suppress(DataError):
                before = Kept.read(place_of(self._folder, version))
            same = before is not None and before.counts.sha256 == sha256
            self._kept[version] = before if before is not None and same else Kept(Counts(sha256, _now()))
            if len(self._kept) > _VERSIONS:
                oldest = next(iter(self._kept))
                self._write_one(oldest, self._kept.pop(oldest))
        return self._kept[version]

    def _follow(self) -> None:
        while not self._ended.wait(_EVERY):
            self._write()

    def _write(self) -> None:
        with self._mutex:
            for version, kept in self._kept.items():
                self._write_one(version, kept)

    def _write_one(self, version: int, kept: Kept) -> None:
        kept.counts.until = _now()
        try:
            kept.write(place_of(self._folder, version))
        except OSError as error:
            log.warning("%s: cannot be written (%s); what is drawn is kept in memory", self._folder, error.strerror)


def place_of(folder: Path, version: int) -> Path:
    """The file of a version."""
    return folder / f"{version}.npz"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
