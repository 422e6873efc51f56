"""Clips: animated pictures, strips of frames, videos and folders of frames, decoded within bounds and cut into clips of equal length.

Animated GIF, PNG, WebP and AVIF are read frame by frame, and so are videos (MP4, WebM, QuickTime, Matroska, AVI, MPEG), by PyAV, where its
extra is installed; a frame that is shown twice as long as most counts twice. A still picture is a strip of square frames side by side, or
one below the other, where its longer side is a whole multiple of the shorter. In layout frame-folders each folder of pictures is a file's
worth of frames, in the order of their names, numbers in them counted as numbers.

Of the frames each `data.every`-th is taken, and each `data.frames` of these are a clip; what is left over at the end is left out. A clip
that is blank, or in which nothing at all moves, is left out too, and a file that gives none is refused. Frames are brought to one size as
images are (`tasks.validation.images`).

This module is imported by processes that decode, and imports no torch.
"""

from __future__ import annotations

import hashlib
import math
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gan_core.kinds.pixels import Spool, with_channels
from tasks.params import DataParams, ValidateParams
from tasks.sources.raw import Member, RawReader, class_of
from tasks.validation.annotated import Annotated
from tasks.validation.decoding import decoded
from tasks.validation.formats import UnusableError, UnusableImageError, format_of, is_plain
from tasks.validation.images import Shape, animated, as_pixels, check_size, fit, upright
from tasks.validation.inspection import Inspection, OnRow, Row, each_told

if TYPE_CHECKING:
    from av import VideoFrame
    from PIL import Image

VIDEO_EXTRA = "pip install 'gantry-gan[video]'"

_CLOSED = {"format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,ogg,flv", "protocol_whitelist": "none"}
"""What a video may be, to FFmpeg: nothing that leads to other files, such as a list of them."""
_MOST_PIXELS = 1 << 32
"""Of all frames of a file together, before they are made smaller: some minutes of decoding."""
_MOST_BYTES = 1 << 29
"""Of all frames of a file together, at the size that is asked for."""
_ALIKE = 1.5
"""How far the rates of files may be apart before a note tells of it."""


class StillError(UnusableError):
    """A picture that is no clip by itself, and may be a frame of one."""


@dataclass(frozen=True)
class Wanted:
    """What files are made into."""

    shape: Shape
    frames: int
    every: int

    @classmethod
    def of(cls, data: DataParams) -> Wanted:
        return cls(Shape.of(data), data.frames, data.every)

    @property
    def least(self) -> int:
        """Frames that a file has to have."""
        return (self.frames - 1) * self.every + 1

    def check(self, count: int, limits: ValidateParams) -> None:
        """Refuse a file by the number of its frames, each counted as often as it is shown.

        Raises:
            UnusableError: it has too few or too many.
        """
        if count == 1 < self.least:
            raise StillError("one frame: a still picture, and a clip moves")
        if count < self.least:
            every = f", every {self.every} (data.every)" if self.every > 1 else ""
            raise UnusableError(f"too few frames: {count:,}, and a clip is {self.frames} of them (data.frames){every}")
        self.check_most(count, limits)

    def check_most(self, count: int, limits: ValidateParams) -> None:
        """Refuse a file that has too many frames.

        Raises:
            UnusableError: it has.
        """
        if count > limits.max_frames:
            raise UnusableError(f"too long: {count:,} frames, more than {limits.max_frames:,} (validate.max_frames)")
        if 3 * count * math.prod(self.shape.size) > _MOST_BYTES:
            raise UnusableError(f"too long for data.size: {count:,} frames, more than {_MOST_BYTES >> 20} MiB; cut it into several files")


@dataclass(frozen=True)
class Frame:
    """A frame of a folder."""

    pixels: NDArray[np.uint8]
    """(C, H, W), C = 1 for grey."""
    width: int
    height: int
    mode: str


@dataclass(frozen=True)
class Part:
    """A clip of a file."""

    start: int
    """Number of its first frame."""
    pixels: NDArray[np.uint8]
    """(C, F, H, W), C = 1 where all of the file is grey."""
    mean: float
    std: float
    """Standard deviation of the pixels of all frames, within each channel."""
    motion: float
    """Mean absolute difference between a frame and the next, 0 to 255."""


@dataclass(frozen=True)
class Footage:
    """A file that can be used."""

    width: int
    height: int
    """Of a frame, in pixels, before it was scaled."""
    mode: str
    count: int
    """Frames of the file."""
    parts: tuple[Part, ...]
    """At least one."""
    left_out: int
    """Frames that are in none."""
    rate: float | None = None
    """Frames a second, of most; None where the file does not say."""


def decode_clips(data: bytes, wanted: Wanted, limits: ValidateParams) -> Footage:
    """A file's clips.

    Raises:
        UnusableError: no clip, broken, outside the limits, too short, blank, or nothing moves.
    """
    return cut(_reel(data, wanted, limits), wanted, limits)


def first_frames(data: bytes, wanted: Wanted, limits: ValidateParams) -> NDArray[np.uint8]:
    """The beginning of a file, (C, F, H, W), C = 1 where it is grey.

    Raises:
        UnusableError: no clip, broken, outside the limits, or too short.
    """
    reel = _reel(data, wanted, limits)
    return reel.stacked(reel.order[: wanted.least : wanted.every])


def first_of_folder(files: Sequence[bytes], wanted: Wanted, limits: ValidateParams) -> NDArray[np.uint8]:
    """The beginning of a clip whose frames are pictures, in order; as `first_frames`.

    Raises:
        UnusableError: too few, or one is no picture, broken, outside the limits, or of another size.
    """
    wanted.check(len(files), limits)
    reel = _joined((str(place + 1), _frame_or_reason(files[place], wanted, limits)) for place in range(0, wanted.least, wanted.every))
    return reel.stacked(reel.order)


def _frame_or_reason(data: bytes, wanted: Wanted, limits: ValidateParams) -> Frame | str:
    try:
        return decode_frame(data, wanted, limits)
    except UnusableError as reason:
        return str(reason)


@dataclass(frozen=True)
class Reel:
    """The frames of a file."""

    frames: Sequence[NDArray[np.uint8]]
    """(C, H, W) each, C = 1 for grey, at the size that is asked for."""
    size: tuple[int, int]
    """Width and height before they were scaled."""
    mode: str
    order: NDArray[np.int64]
    """Which are shown, one after another."""
    rate: float | None = None
    """Frames a second, of most."""

    @classmethod
    def timed(cls, frames: Sequence[NDArray[np.uint8]], size: tuple[int, int], mode: str, lengths: Sequence[float]) -> Reel:
        """Frames that are shown for so many milliseconds each, 0 where the file does not say: one of twice the usual counts twice."""
        usual = Counter(length for length in map(round, lengths) if length > 0).most_common(1)
        if not usual:
            return cls(frames, size, mode, np.arange(len(frames)))
        times = [max(1, round(length / usual[0][0])) for length in lengths]
        return cls(frames, size, mode, np.repeat(np.arange(len(frames)), times), 1_000 / usual[0][0])

    def stacked(self, order: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Some of them as a clip (C, F, H, W)."""
        channels = max(len(pixels) for pixels in self.frames)
        return np.stack([with_channels(self.frames[index], channels) for index in order], axis=1)


def _reel(data: bytes, wanted: Wanted, limits: ValidateParams) -> Reel:
    if not data:
        raise UnusableError("empty: no bytes")
    if _is_video(data):
        return _of_video(data, wanted, limits)
    with animated(data, limits) as moving:
        if moving is None:
            return _of_strip(data, wanted, limits)
        wanted.check_most(moving.count, limits)
        _few_pixels(moving.count, moving.width, moving.height)
        shown = [(as_pixels(fit(image, wanted.shape)), length) for image, length in moving.frames]
        width, height, mode = moving.width, moving.height, moving.mode
    reel = Reel.timed([pixels for pixels, _ in shown], (width, height), mode, [length for _, length in shown])
    wanted.check(len(reel.order), limits)
    return reel


def decode_frame(data: bytes, wanted: Wanted, limits: ValidateParams) -> Frame:
    """One picture of a folder of frames.

    Raises:
        UnusableError: as `tasks.validation.images.upright`.
    """
    if not data:
        raise UnusableError("empty: no bytes")
    found = upright(data, limits)
    return Frame(as_pixels(fit(found.image, wanted.shape)), found.width, found.height, found.mode)


def cut(reel: Reel, wanted: Wanted, limits: ValidateParams) -> Footage:
    """Frames as clips.

    Raises:
        UnusableError: none is left of them.
    """
    order, length = reel.order, wanted.frames * wanted.every
    parts: list[Part] = []
    blank = 0
    for start in range(0, len(order) - wanted.least + 1, length):
        pixels = reel.stacked(order[start : start + wanted.least : wanted.every])
        values = pixels.reshape(len(pixels), -1).astype(np.float64)
        mean, std = float(values.mean()), math.sqrt(float(values.var(axis=1).mean()))
        motion = float(np.abs(np.diff(pixels.astype(np.int16), axis=1)).mean())
        if std < limits.min_std:
            blank += 1
        elif motion > 0:
            parts.append(Part(start, pixels, mean, std, motion))
    if not parts:
        if blank:
            raise UnusableError(f"blank: in none of its clips pixels vary by {limits.min_std:g} or more (validate.min_std)")
        raise UnusableError(f"nothing moves: its {len(order):,} frames are all alike at data.size")
    return Footage(*reel.size, reel.mode, len(order), tuple(parts), max(0, len(order) - length * len(parts)), reel.rate)


def _of_strip(data: bytes, wanted: Wanted, limits: ValidateParams) -> Reel:
    """Square frames, side by side from left to right or below each other from top to bottom."""
    found = upright(data, limits)
    side, length = sorted(found.image.size)
    if length % side:
        raise StillError(
            f"a still picture of {found.width:,} x {found.height:,} pixels, and no strip of square frames, whose longer side would be a "
            "multiple of the shorter"
        )
    count = length // side
    wanted.check(count, limits)
    down = found.image.height == length
    places = [(0, index * side) if down else (index * side, 0) for index in range(count)]
    frames = [as_pixels(fit(found.image.crop((left, top, left + side, top + side)), wanted.shape)) for left, top in places]
    return Reel(frames, (side, side), found.mode, np.arange(count))


def _of_video(data: bytes, wanted: Wanted, limits: ValidateParams) -> Reel:
    try:
        import av
    except ImportError:
        raise UnusableError(f"a video, which is read after {VIDEO_EXTRA}") from None
    frames: list[NDArray[np.uint8]] = []
    times: list[float | None] = []
    with _by_pyav(av.error.FFmpegError), av.open(BytesIO(data), "r", metadata_errors="ignore", options=_CLOSED) as container:
        if not container.streams.video:
            raise UnusableError("holds no moving picture")
        stream = container.streams.video[0]
        width, height = stream.codec_context.width, stream.codec_context.height
        check_size(width, height, limits)
        shown = round(width * (stream.sample_aspect_ratio or 1)), height  # of DVDs and some cameras pixels are no squares
        check_size(*shown, limits)
        wanted.check_most(stream.frames, limits)  # 0 where the file does not say
        for image, time in _images(container.decode(stream), (width, height), shown):
            _few_pixels(len(frames) + 1, *shown)
            wanted.check_most(len(frames) + 1, limits)
            frames.append(as_pixels(fit(image, wanted.shape)))
            times.append(time)
    if not frames:
        raise UnusableError("broken: not a frame can be decoded")
    known = [1_000 * time for time in times if time is not None]
    lengths = [*np.diff(known).tolist(), 0.0] if len(known) == len(frames) else [0.0] * len(frames)
    reel = Reel.timed(frames, shown, "RGB", lengths)
    wanted.check(len(reel.order), limits)
    return reel


def _images(decoded: Iterable[VideoFrame], size: tuple[int, int], shown: tuple[int, int]) -> Iterator[tuple[Image.Image, float | None]]:
    """Frames as they are shown, each with its time in seconds, where the file says it."""
    for frame in decoded:
        if (frame.width, frame.height) != size:
            raise UnusableError(f"frames of different sizes: {size[0]} x {size[1]} and {frame.width} x {frame.height} pixels")
        image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
        if shown != size:
            image = image.resize(shown)
        yield image.rotate(frame.rotation, expand=True) if frame.rotation else image, frame.time  # as it was held


@contextmanager
def _by_pyav(error: type[Exception]) -> Iterator[None]:
    try:
        yield
    except error as reason:
        raise UnusableError(f"broken: no readable video ({' '.join(str(reason).split())[:120]})") from None


def _few_pixels(count: int, width: int, height: int) -> None:
    if count * width * height > _MOST_PIXELS:
        raise UnusableError(f"too large: {count:,} frames of {width:,} x {height:,} pixels; cut it, or make it smaller")


def _is_video(data: bytes) -> bool:
    """Whether bytes begin as a video's do."""
    if data[:4] == b"RIFF":
        return data[8:12] == b"AVI "
    if data[4:8] == b"ftyp":
        try:
            return format_of(data) not in ("AVIF", "HEIC")
        except UnusableImageError as reason:
            return "video" in str(reason)
    return data[4:8] in (b"moov", b"mdat", b"wide") or data.startswith(
        (b"\x1a\x45\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"OggS", b"FLV\1")
    )


def _runs_here(data: bytes) -> bool:
    """Whether a file's decoder may run in this process: what videos are decoded by could take it along."""
    return not _is_video(data) and is_plain(data)


def inspect_clips(raw: RawReader, about: Annotated, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow) -> Inspection:
    """Look at every file, or at every folder of frames; good clips are put into `spool`.

    Raises:
        DataError: raw is damaged.
    """
    wanted = Wanted.of(data)
    kept = Spool(spool, (wanted.frames, *wanted.shape.size))
    size = 3 * math.prod(wanted.shape.size)
    members = about.images
    lacking: Sequence[str] = ()
    if data.layout == "frame-folders":
        of_folders = _by_folder(members)
        lacking = [folder for folder, frames in of_folders.items() if folder and _skips(frames)]
        wrong = {folder: reason for folder, frames in of_folders.items() if (reason := _refused(folder, len(frames), wanted, limits))}
        frames_of = [member for folder, frames in of_folders.items() if folder not in wrong for member in frames]
        decoder: Callable[[bytes], Frame] = partial(decode_frame, wanted=wanted, limits=limits)
        found = decoded(raw, frames_of, decoder, size)
        seen: Iterable[tuple[str, str, Footage | str]] = (
            (folder or "(no folder)", _digest(frames), wrong.get(folder) or _of_frames(frames, found, wanted, limits))
            for folder, frames in of_folders.items()
        )
        total = len(of_folders)
    else:
        files = decoded(raw, members, partial(decode_clips, wanted=wanted, limits=limits), size * wanted.frames, _runs_here)
        seen = ((member.path, member.sha256, footage) for member, footage in zip(members, files, strict=True))
        total = len(members)
    notes = _Notes()
    rows = each_told((_rows(about, kept, path, sha256, footage, notes) for path, sha256, footage in seen), total, on_row)
    said = [*about.notes, *notes.said(wanted)]
    if lacking:
        said.append(f"{len(lacking):,} of {total:,} folders lack frames, by their numbers, such as {lacking[0]}: what moves jumps there")
    return Inspection([*chain.from_iterable(rows), *about.refused_rows()], about.classes, kept, notes=said)


class _Notes:
    """What a person should know of how files became clips."""

    def __init__(self) -> None:
        self.files = self.clips = self.left_out = 0
        self.rates: list[float] = []

    def said(self, wanted: Wanted) -> list[str]:
        return [*self._of_lengths(wanted), *self._of_rates()]

    def _of_rates(self) -> list[str]:
        slow, fast = min(self.rates, default=1.0), max(self.rates, default=1.0)
        if fast < _ALIKE * slow:
            return []
        return [
            f"files show {slow:.3g} to {fast:.3g} frames a second, and frames are taken as they come: the same motion is faster in some; "
            "bring them to one rate where that matters, such as by ffmpeg -i FILE -r 10 NEW.mp4"
        ]

    def _of_lengths(self, wanted: Wanted) -> list[str]:
        if self.clips == self.files and not self.left_out:
            return []
        left = f"; {self.left_out:,} frames at their ends, or blank or without motion, are left out" if self.left_out else ""
        taken = f"{wanted.frames} frames" + (f", every {wanted.every}" if wanted.every > 1 else "")
        return [f"{self.files:,} files became {self.clips:,} clips of {taken}; those of one file are held out together or not at all{left}"]


def _rows(about: Annotated, kept: Spool, path: str, sha256: str, footage: Footage | str, notes: _Notes) -> list[Row]:
    """A row for each clip, or one that says why there is none."""
    label = about.labels.get(path)
    reason = footage if isinstance(footage, str) else about.reasons.get(path)
    if isinstance(footage, str) or reason is not None:
        return [Row(path, sha256, label, reason=reason)]
    several = len(footage.parts) > 1
    of_file = Row(path, sha256, label, width=footage.width, height=footage.height, mode=footage.mode)
    rows = []
    for number, part in enumerate(footage.parts):
        facts = {"frames": footage.count, "start": part.start, "motion": round(part.motion, 4)}
        place = kept.append(part.pixels)
        where = f"{path}#{number}" if several else path
        rows.append(replace(of_file, path=where, number=place, mean=part.mean, std=part.std, facts=facts, part=number))
    notes.files += 1
    notes.clips += len(rows)
    notes.left_out += footage.left_out
    notes.rates += [] if footage.rate is None else [footage.rate]
    return rows


def _by_folder(members: Sequence[Member]) -> dict[str, list[Member]]:
    """Frames by the folder that they lie in, in the order of their names, numbers in them counted as such."""
    found: dict[str, list[Member]] = {}
    for member in members:
        found.setdefault(posixpath.dirname(member.path), []).append(member)
    return {folder: sorted(found[folder], key=lambda member: in_order(posixpath.basename(member.path))) for folder in sorted(found)}


def in_order(name: str) -> tuple[tuple[int, str], ...]:
    """A key by which frame_10 comes after frame_9."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]{1,18})", name) if part)


def _skips(frames: Sequence[Member]) -> bool:
    """Whether the last numbers in the names of frames, in order, are not evenly apart."""
    numbers = [
        int(found[-1]) for frame in frames if (found := re.findall(r"[0-9]{1,18}", posixpath.splitext(posixpath.basename(frame.path))[0]))
    ]
    return len(numbers) == len(frames) and len({*np.diff(numbers).tolist()}) > 1


def _digest(frames: Sequence[Member]) -> str:
    """Of a folder, of the contents of its frames in their order alone."""
    return hashlib.sha256("".join(member.sha256 for member in frames).encode()).hexdigest()


def _refused(folder: str, count: int, wanted: Wanted, limits: ValidateParams) -> str | None:
    """Why a folder of so many frames cannot be used, before one is decoded."""
    if not folder:
        return "in no folder: each clip is a folder of frames (data.layout: frame-folders)"
    try:
        wanted.check(count, limits)
    except UnusableError as reason:
        return str(reason)
    return None


def _of_frames(members: Sequence[Member], found: Iterator[Frame | str], wanted: Wanted, limits: ValidateParams) -> Footage | str:
    """The clips of a folder, whose frames are the next of those that are decoded, or the reason why there are none."""
    frames = [(posixpath.basename(member.path), next(found)) for member in members]
    try:
        return cut(_joined(frames), wanted, limits)
    except UnusableError as reason:
        return str(reason)


def _joined(frames: Iterable[tuple[str, Frame | str]]) -> Reel:
    """Pictures by their names, or the reason why one cannot be used, as the frames of one clip.

    Raises:
        UnusableError: one cannot be used, or is of another size than the first.
    """
    good: list[Frame] = []
    for name, frame in frames:
        if isinstance(frame, str):
            raise UnusableError(f"frame {name}: {frame}")
        if good and (frame.width, frame.height) != (good[0].width, good[0].height):
            first = f"{good[0].width} x {good[0].height}"
            raise UnusableError(f"frames of different sizes: {name} has {frame.width} x {frame.height} pixels, and the first {first}")
        good.append(frame)
    return Reel([frame.pixels for frame in good], (good[0].width, good[0].height), good[0].mode, np.arange(len(good)))


def by_clip_folders(raw: RawReader, are_labels: bool) -> Annotated:
    """Folders of frames, with the first folder of their paths as the label, where folders are classes."""
    folders = {posixpath.dirname(member.path) for member in raw.members}
    labels = {folder: label for folder in folders if are_labels and (label := class_of(folder)) is not None}
    beside = [folder for folder in folders if labels and folder not in labels]
    return Annotated(raw.members, labels, reasons=dict.fromkeys(beside, "in no class: it lies beside the folders that are the classes"))
