"""Sound files: decoded within bounds, made alike in rate, length, offset and loudness, or refused with the reason.

Every format that libsndfile reads is taken: WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF, AU and others. Two channels become their mean.
Of a longer sound its beginning is kept, faded out, unless `data.longer` refuses it; silence follows a shorter one. Then its offset is
taken off, so that the mean is 0, and it is made as loud as all others: the loudest tenth of a second gets a root mean square of a tenth
of full scale, or less where a peak would pass full scale.

This module is imported by processes that decode, and imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.params import DataParams, ValidateParams
from tasks.sources.raw import Member, RawReader
from tasks.validation.annotated import Annotated
from tasks.validation.decoding import decoded
from tasks.validation.formats import UnusableError
from tasks.validation.inspection import Inspection, OnRow, Row, each_told
from tasks.validation.spooled import SpooledRows

FULL = 32_768
LEVEL = 0.1
"""Root mean square, of full scale 1, of the loudest tenth of a second of every sound."""
CHANNELS = (1, 2)
"""How many channels a file may have."""
RATES = (1_000, 384_000)
"""The lowest and the highest rate of a file."""

_LOUD = 10  # the part of a second whose loudness counts
_FADE = 100  # the part of a second over which what is cut off fades out
_STREAMED = frozenset({0, *((1 << bits) - 1 for bits in (31, 32, 63, 64))})  # lengths in a header that say nothing, as of a stream
_CANCELLED = 0.1  # how loud two channels are at least when mixed, beside the louder of them; below it they are each other's opposite
_FINEST = 4_000  # of a ratio of rates: 48 kHz by 44.1 kHz is 160 by 147


@dataclass(frozen=True)
class Sound:
    """A sound that can be used."""

    wave: NDArray[np.int16]
    """(1, T)."""
    rate: int
    """Of the file, in values a second."""
    channels: int
    seconds: float
    """How long the file is."""
    level: float
    """Loudness of the file in decibels of full scale."""
    offset: float
    """Mean of the file's values, -1 to 1."""


def decode_sound(data: bytes, wanted: DataParams, limits: ValidateParams) -> Sound:
    """A file's sound, made like all others.

    Raises:
        UnusableError: it is none, broken, outside the limits, or silent.
    """
    import soundfile

    _check_whole(data)
    try:
        with soundfile.SoundFile(BytesIO(data)) as file:
            if file.format == "MP3" and _is_of_unknown_length(data):
                raise UnusableError(
                    "an MP3 of variable bit rate whose head does not say how long it is, so its end would be lost; write it anew, such as "
                    "by ffmpeg -i FILE NEW.flac"
                )
            _check(file.channels, file.samplerate, file.frames, limits)
            rate, channels, seconds = file.samplerate, file.channels, file.frames / file.samplerate
            if wanted.longer == "refuse" and seconds > wanted.seconds:
                raise UnusableError(
                    f"longer than data.seconds: {seconds:.2f} s, and {wanted.seconds:g} are taken; data.longer: cut cuts it"
                )
            most = min(file.frames, math.ceil(wanted.seconds * rate) + rate // _FADE)
            values = file.read(most, dtype="float64", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise UnusableError(_unread(data, error.error_string.strip().rstrip("."))) from None
    if len(values) < most:
        raise UnusableError(f"broken: its header says {seconds:.2f} s, and it ends after {len(values) / rate:.2f} s")
    if not np.isfinite(values).all():
        raise UnusableError("holds values that are not finite")
    wave = values.mean(axis=1)
    louder = values.std(axis=0).max()
    if louder >= limits.min_level and wave.std() < _CANCELLED * louder:
        raise UnusableError("its two channels cancel each other out when they are mixed: one is the other upside down; save one of them")
    offset = float(wave.mean())
    wave = _resampled(wave - offset, rate, wanted.rate)
    wave = _of_length(wave, wanted.values, wanted.rate)
    loudness = _loudness(wave, wanted.rate)
    if loudness < limits.min_level:
        where = f", in its first {wanted.seconds:g} s, which are kept (data.seconds)" if seconds > wanted.seconds else ""
        raise UnusableError(
            f"silent{where}: a loudness of {_decibels(loudness)}, below {_decibels(limits.min_level)} "
            f"(validate.min_level {limits.min_level:g})"
        )
    scaled = wave * min(LEVEL / loudness, (FULL - 1) / FULL / float(np.abs(wave).max()))
    return Sound(np.rint(scaled * FULL).astype(np.int16)[None], rate, channels, seconds, 20 * math.log10(loudness), offset)


def _check_whole(data: bytes) -> None:
    """Refuse what was cut off, of which libsndfile would read what is left."""
    if not data:
        raise UnusableError("empty: no bytes")
    said = _declared(data)
    if said is not None and said > len(data) + 1:
        raise UnusableError(f"broken: cut off, {len(data):,} of {said:,} bytes are there")


def _declared(data: bytes) -> int | None:
    """How many bytes a file has, as its head says it; None where that says nothing."""
    for start, before, at, order in _LENGTHS:
        if data.startswith(start):
            length = int.from_bytes(data[at], order)
            return None if length in _STREAMED or len(data) < at.stop else length + before
    if data.startswith(b".snd") and len(data) >= 12:
        head, length = int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")
        return None if length in _STREAMED else head + length
    return None


_LENGTHS: tuple[tuple[bytes, int, slice, Literal["little", "big"]], ...] = (
    (b"RIFF", 8, slice(4, 8), "little"),
    (b"RIFX", 8, slice(4, 8), "big"),
    (b"FORM", 8, slice(4, 8), "big"),
    (b"RF64", 8, slice(20, 28), "little"),
    (b"riff", 0, slice(16, 24), "little"),
)
"""Of WAV, AIFF, RF64 and W64, by their first bytes: how many bytes the length that the head states leaves out, where it stands, and how."""


def _is_of_unknown_length(mp3: bytes) -> bool:
    """Whether frames have several bit rates, and none of the heads that say how many there are (Xing, VBRI): libsndfile (1.2) then infers
    their number from the first."""
    place = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(mp3[6:10], (21, 14, 7, 0), strict=False)) if mp3[:3] == b"ID3" else 0
    first = -1
    while place + 4 <= len(mp3):
        head = int.from_bytes(mp3[place : place + 4], "big")
        version, layer, index, sampling = head >> 19 & 3, head >> 17 & 3, head >> 12 & 15, head >> 10 & 3
        if head >> 21 != 0x7FF or version == 1 or layer != 1 or index in (0, 15) or sampling == 3:
            return False  # no frame of layer 3
        rate = (44_100, 48_000, 32_000)[sampling] >> {3: 0, 2: 1, 0: 2}[version]
        size = (144 if version == 3 else 72) * 1_000 * _BIT_RATES[version == 3][index - 1] // rate + (head >> 9 & 1)
        if first < 0 and any(mark in mp3[place : place + size] for mark in (b"Xing", b"Info", b"VBRI")):
            return False
        if first not in (-1, index):
            return True
        first, place = index, place + size
    return False


_BIT_RATES = (
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
)
"""Thousands of bits a second of MPEG 2 and of MPEG 1, layer 3, by index from 1."""


def _unread(data: bytes, why: str) -> str:
    """Why libsndfile does not read a file."""
    for mark, at, name in _OTHERS:
        if data.startswith(mark, at):
            return f"{name}, which libsndfile does not read; make FLAC of it, such as by ffmpeg -i FILE FILE.flac"
    return f"no sound that libsndfile reads ({why})"


_OTHERS = (
    (b"ftyp", 4, "an M4A or MP4 file"),
    (b"\xff\xf1", 0, "an AAC file"),
    (b"\xff\xf9", 0, "an AAC file"),
    (b"#!AMR", 0, "an AMR file"),
    (b"\x30\x26\xb2\x75", 0, "a WMA file"),
    (b"MAC ", 0, "a file of Monkey's Audio"),
)
"""What people have and libsndfile does not read, by bytes at a place."""


def _check(channels: int, rate: int, frames: int, limits: ValidateParams) -> None:
    if channels not in CHANNELS:
        raise UnusableError(f"{channels} channels, and {' or '.join(map(str, CHANNELS))} are taken")
    if not RATES[0] <= rate <= RATES[1]:
        raise UnusableError(f"a rate of {rate:,} Hz, and {RATES[0]:,} to {RATES[1]:,} are taken")
    if frames in _STREAMED:
        if frames:
            raise UnusableError(
                "its head does not say how long it is, as that of a stream; write it anew, such as by ffmpeg -i FILE NEW.flac"
            )
        raise UnusableError("holds no sound: its head says 0 values")
    if frames > limits.max_seconds * rate:
        raise UnusableError(f"too long: {frames / rate:,.1f} s, more than {limits.max_seconds:g} (validate.max_seconds)")


def _resampled(wave: NDArray[np.float64], rate: int, wanted: int) -> NDArray[np.float64]:
    if rate == wanted:
        return wave
    from scipy.signal import resample_poly

    ratio = Fraction(wanted, rate).limit_denominator(_FINEST)
    if not ratio:
        ratio = Fraction(1, _FINEST)
    resampled: NDArray[np.float64] = resample_poly(wave, ratio.numerator, ratio.denominator)
    return resampled


def _of_length(wave: NDArray[np.float64], length: int, rate: int) -> NDArray[np.float64]:
    """The beginning of a longer sound, faded out and again with a mean of 0; a shorter one, and silence behind it."""
    if len(wave) > length:
        fade = min(length, rate // _FADE)
        wave = wave[:length] - wave[:length].mean()
        wave[length - fade :] *= np.linspace(1, 0, fade)
    return np.pad(wave, (0, length - len(wave)))


def _loudness(wave: NDArray[np.float64], rate: int) -> float:
    """Root mean square of the loudest tenth of a second, or of the whole where that is shorter."""
    window = min(len(wave), max(1, rate // _LOUD))
    energy = np.concatenate([[0.0], np.cumsum(wave**2)])
    return math.sqrt(max(0.0, float((energy[window:] - energy[:-window]).max()) / window))


def _decibels(level: float) -> str:
    return f"{20 * math.log10(level):.0f} dB" if level > 0 else "nothing at all"


def inspect_sounds(raw: RawReader, about: Annotated, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow) -> Inspection:
    """Look at every sound file; good ones are put into `spool`.

    Raises:
        DataError: raw is damaged.
    """
    decoder = partial(decode_sound, wanted=data, limits=limits)
    lengths: list[float] = []
    lower = 0
    with spool.open("wb") as file:

        def row(member: Member, sound: Sound | str) -> Row:
            nonlocal lower
            label = about.labels.get(member.path)
            reason = sound if isinstance(sound, str) else about.reasons.get(member.path)
            if isinstance(sound, str) or reason is not None:
                return Row(member.path, member.sha256, label, reason=reason)
            file.write(sound.wave.tobytes())
            lengths.append(sound.seconds)
            lower += sound.rate < data.rate
            facts = {
                "rate": sound.rate,
                "channels": sound.channels,
                "seconds": round(sound.seconds, 4),
                "level": round(sound.level, 2),
                "offset": round(sound.offset, 5),
            }
            return Row(member.path, member.sha256, label, number=len(lengths) - 1, facts=facts)

        found = decoded(raw, about.images, decoder, 2 * data.values, _is_plain)
        rows = each_told(map(row, about.images, found), len(about.images), on_row)
    notes = [*about.notes, *_notes(lengths, lower, data)]
    return Inspection(
        [*rows, *about.refused_rows()], about.classes, partial(SpooledRows, spool, (1, data.values), np.dtype(np.int16)), notes=notes
    )


def _is_plain(data: bytes) -> bool:
    """Whether a file is of a format with hardly anything to decode; all others are decoded by another process, which a fault may end."""
    return data[:4] in (b"RIFF", b"FORM", b".snd", b"")


def _notes(lengths: Sequence[float], lower: int, data: DataParams) -> list[str]:
    longer = sum(length > data.seconds for length in lengths)
    notes = []
    if longer:
        notes.append(
            f"{longer:,} of {len(lengths):,} sounds are longer than {data.seconds:g} s (data.seconds), the longest {max(lengths):.2f} s; "
            "of them the beginning is kept"
        )
    if lengths and max(lengths) < data.seconds / 2:
        notes.append(
            f"the longest sound has {max(lengths):.2f} s, and each is followed by silence up to {data.seconds:g} s (data.seconds); "
            "a lower one is faster"
        )
    if lower:
        notes.append(
            f"{lower:,} of {len(lengths):,} files have a rate below {data.rate:,} Hz (data.rate), so nothing stands in the highest bands; "
            "set data.rate to theirs"
        )
    return notes
