"""Sound files: what is taken, how they are made alike, and what goes to quarantine with which reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import raw_sets
import soundfile

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, DataError
from gan_core.kinds.sounds import Sounds
from tasks.fetch import fetch
from tasks.params import DataParams, ValidateParams, parse
from tasks.sources.raw import RawReader
from tasks.validate import validate
from tasks.validation.formats import UnusableError
from tasks.validation.sounds import Sound, decode_sound
from tasks.workspace import Workspace

DATA = DataParams(source="folder:///sounds", layout="sounds", rate=8_000, seconds=0.5)
LIMITS = ValidateParams(max_seconds=3.0)
DRAW = np.random.default_rng(0)


def sine(rate: int = 8_000, seconds: float = 0.4, amplitude: float = 0.3, pitch: float = 440.0) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * pitch * np.arange(int(rate * seconds)) / rate)


def encoded(values: np.ndarray, rate: int = 8_000, **how: str) -> bytes:
    file = BytesIO()
    soundfile.write(file, values, rate, **{"format": "WAV", **how})
    return file.getvalue()


def decoded(data: bytes, wanted: DataParams = DATA) -> Sound:
    return decode_sound(data, wanted, LIMITS)


def pitch_of(sound: Sound) -> float:
    """Hz of the strongest frequency of a sound of half a second."""
    return float(np.abs(np.fft.rfft(sound.wave[0].astype(float))).argmax() / 0.5)


@pytest.mark.parametrize(
    "how", [{"subtype": "PCM_U8"}, {"subtype": "PCM_24"}, {"subtype": "FLOAT"}, {"format": "FLAC"}, {"format": "OGG"}, {"format": "AIFF"}],
    ids=str,
)  # fmt: skip
def test_formats_give_the_same_sound(how: dict[str, str]) -> None:
    sound = decoded(encoded(sine(), **how))
    assert (sound.wave.dtype, sound.wave.shape) == (np.int16, (1, 4_000))
    assert (sound.rate, sound.channels, sound.seconds) == (8_000, 1, 0.4)
    assert pitch_of(sound) == 440
    np.testing.assert_array_equal(sound.wave[0, 3_400:], 0)  # silence behind what is shorter


@pytest.mark.parametrize("rate", [4_000, 11_025, 44_100, 48_000])
def test_other_rates_are_resampled(rate: int) -> None:
    sound = decoded(encoded(sine(rate), rate))
    assert pitch_of(sound) == 440
    assert np.abs(sound.wave[0, 3_300:]).max() < 100


def test_two_channels_become_their_mean() -> None:
    both = decoded(encoded(np.stack([sine(), np.zeros(3_200)], axis=1)))
    np.testing.assert_allclose(both.wave, decoded(encoded(sine())).wave, atol=4)


def test_loudness_and_offset_are_made_alike() -> None:
    quiet, loud = decoded(encoded(0.02 * sine() + 0.2, subtype="FLOAT")), decoded(encoded(2.5 * sine(), subtype="FLOAT"))
    np.testing.assert_allclose(quiet.wave, loud.wave, atol=4)
    assert loud.level - quiet.level == pytest.approx(20 * np.log10(2.5 / 0.02), abs=0.01)
    assert quiet.offset == pytest.approx(0.2, abs=1e-4)
    assert np.sqrt((loud.wave[0, :800] / 32_768.0) ** 2).mean() < 0.1
    assert np.sqrt(((loud.wave[0, :3_200] / 32_768.0) ** 2).mean()) == pytest.approx(0.1, rel=0.01)


def test_a_peak_is_never_cut_off() -> None:
    click = 1e-3 * np.ones(3_200)
    click[100] = 0.9
    sound = decoded(encoded(click))
    assert np.abs(sound.wave).max() >= 0.99 * 32_767
    assert sound.wave[0, 100] == np.abs(sound.wave).max()


def test_of_a_longer_sound_the_beginning_is_kept_and_fades_out() -> None:
    sound = decoded(encoded(sine(seconds=2.0)))
    assert sound.seconds == 2.0
    assert np.abs(sound.wave[0, -8:]).max() < 0.15 * np.abs(sound.wave).max()
    with pytest.raises(UnusableError, match=r"longer than data.seconds: 2.00 s, and 0.5 are taken"):
        decoded(encoded(sine(seconds=2.0)), DATA.model_copy(update={"longer": "refuse"}))


def mono(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=float)


def without_length(flac: bytes) -> bytes:
    """As a program writes it that could not go back to the head: 36 bits of STREAMINFO (RFC 9639, 8.2) are 0."""
    length = int.from_bytes(flac[18:26], "big") >> 36 << 36
    return flac[:18] + length.to_bytes(8, "big") + flac[26:]


def without_head(mp3: bytes) -> bytes:
    """Without its first frame, which says how many there are."""
    assert b"Xing" in mp3[:100]
    return mp3[mp3.index(mp3[:2], 2) :]


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty file": (lambda: b"", "empty: no bytes"),
    "text": (lambda: b"not a sound at all", r"no sound that libsndfile reads \(Format not recognised\)"),
    **{
        f"cut off {form}": (lambda how=how: encoded(sine(), **how)[:3_000], f"broken: cut off, 3,000 of {size:,} bytes are there")
        for form, how, size in (
            ("wav", {}, 6_444),
            ("rifx", {"endian": "BIG"}, 6_444),
            ("rf64", {"format": "RF64"}, 6_504),
            ("aiff", {"format": "AIFF"}, 6_454),
            ("w64", {"format": "W64"}, 6_504),
            ("au", {"format": "AU"}, 6_424),
        )
    },
    "cut off mp3": (lambda: encoded(sine(16_000), 16_000, format="MP3")[:1_000], r"its header says 0.40 s, and it ends after 0.\d+ s"),
    "mp3 of unknown length": (
        lambda: without_head(
            encoded(np.concatenate([sine(44_100), DRAW.normal(0, 0.3, 44_100)]), 44_100, format="MP3", bitrate_mode="VARIABLE")
        ),
        "an MP3 of variable bit rate whose head does not say how long it is",
    ),
    "m4a": (lambda: b"\0\0\0\x20ftypM4A " + bytes(99), "an M4A or MP4 file, which libsndfile does not read; make FLAC of it, such as by"),
    "flac of a stream": (lambda: without_length(encoded(sine(), format="FLAC")), "its head does not say how long it is, as that of a st"),
    "late": (lambda: encoded(np.concatenate([np.zeros(8_000), sine()])), r"silent, in its first 0.5 s, which are kept \(data.seconds\)"),
    "channels that nearly cancel": (lambda: encoded(np.stack([sine(), -0.9 * sine()], axis=1)), "its two channels cancel each other out"),
    "cut off flac": (lambda: encoded(sine(), format="FLAC")[:1_500], "broken|no sound that libsndfile reads"),
    "no values": (lambda: encoded(mono([])), "holds no sound: its head says 0 values"),
    "silent": (lambda: encoded(np.zeros(3_200)), r"silent: a loudness of nothing at all, below -60 dB \(validate.min_level 0.001\)"),
    "offset alone": (lambda: encoded(np.full(3_200, 0.4)), "silent: a loudness of nothing at all"),
    "faint": (lambda: encoded(1e-3 * sine(), subtype="FLOAT"), "silent: a loudness of -73 dB"),
    "channels that cancel": (lambda: encoded(np.stack([sine(), -sine()], axis=1)), "its two channels cancel each other out"),
    "too long": (lambda: encoded(sine(seconds=3.5)), r"too long: 3.5 s, more than 3 \(validate.max_seconds\)"),
    "six channels": (lambda: encoded(np.zeros((100, 6))), "6 channels, and 1 or 2 are taken"),
    "not finite": (lambda: encoded(mono([0.1, np.nan, 0.2] * 100), subtype="DOUBLE"), "holds values that are not finite"),
    "slow": (lambda: encoded(sine(500), 500), "a rate of 500 Hz, and 1,000 to 384,000 are taken"),
}


@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD)
def test_what_cannot_be_used_is_refused_with_the_reason(make: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        decoded(make())


def test_an_mp3_of_variable_bit_rate_is_read_to_its_end() -> None:
    noisy = np.concatenate([sine(44_100), DRAW.normal(0, 0.3, 44_100)])
    assert decoded(encoded(noisy, 44_100, format="MP3", bitrate_mode="VARIABLE")).seconds == pytest.approx(1.4, abs=0.01)
    first = without_head(encoded(sine(44_100), 44_100, format="MP3"))
    alike = 40 * first[: first.index(first[:2], 2)]  # one bit rate, and no head: of 1,152 values a frame
    assert decoded(alike).seconds == pytest.approx(40 * 1_152 / 44_100, abs=0.06)


def test_a_length_that_streams_leave_open_is_no_fault() -> None:
    data = bytearray(encoded(sine()))
    data[4:8] = b"\xff" * 4
    assert decoded(bytes(data)).wave.any()


def entry(folder: Path, **data: Any) -> Any:
    return raw_sets.entry({"source": f"folder://{folder}", "layout": "sounds", "rate": 8_000, "seconds": 0.2, "bands": 16, **data},
                          {"min_samples": 2, "max_quarantined": 0.5})  # fmt: skip


def lay(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def validated(tmp_path: Path, **data: Any) -> Workspace:
    one, workspace = entry(tmp_path / "files", **data), Workspace(tmp_path)
    fetch(workspace, "set", one)
    validate(workspace, "set", one)
    return workspace


def chirps(count: int, rate: int = 8_000) -> dict[str, bytes]:
    return {f"{number}.wav": encoded(sine(rate, pitch=200.0 + 10 * number), rate) for number in range(count)}


def test_a_flat_folder_has_no_labels_and_notes_say_what_was_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {**chirps(30), **{f"slow{path}": data for path, data in chirps(2, 4_000).items()}}
    lay(
        tmp_path / "files",
        {**files, "six.wav": BAD["six channels"][0](), "cover.png": b"no sound", "a.flac": encoded(sine(), format="FLAC")},
    )
    workspace = validated(tmp_path)
    said = capsys.readouterr().out
    assert "left out: 1 .png" in said
    assert "33 of 33 sounds are longer than 0.2 s (data.seconds), the longest 0.40 s" in said
    assert "2 of 33 files have a rate below 8,000 Hz (data.rate)" in said
    assert (workspace.ready("set") / "quarantine.csv").read_text() == 'path,reason\nsix.wav,"6 channels, and 1 or 2 are taken"\n'
    spec = Sounds.of(Dataset.open(workspace.ready("set")).spec)
    assert (spec.classes, spec.shape, spec.rate, sum(spec.counts.values())) == (None, (1, 1_600), 8_000, 33)


def test_a_set_of_one_sound_is_refused_in_a_clear_line(tmp_path: Path) -> None:
    lay(tmp_path / "files", chirps(1))
    with pytest.raises(DataError, match="set: the data set is refused"):
        validated(tmp_path)


def test_a_folder_without_sounds_says_what_is_looked_for(tmp_path: Path) -> None:
    lay(tmp_path / "files", {"1.png": b"", "2.png": b""})
    with pytest.raises(DataError, match=r"no sounds in it \(left out: 2 .png\); a sound file's name ends in .wav, .flac"):
        fetch(Workspace(tmp_path), "set", entry(tmp_path / "files"))


def test_sounds_that_are_all_alike_where_they_are_kept_are_refused(tmp_path: Path) -> None:
    lay(tmp_path / "files", {f"{number}.wav": encoded(sine(seconds=0.3 + 0.01 * number)) for number in range(30)})
    with pytest.raises(DataError, match="all held-out sounds are the same, so there is nothing to compare with"):
        validated(tmp_path)


@pytest.mark.parametrize(
    ("data", "train", "message"),
    [
        ({"rate": 8_000}, {}, "rate: only for sounds, and folder:///sounds has none; data.layout: sounds takes"),
        ({"layout": "sounds", "size": 32}, {}, "size: only for images, and folder:///sounds has none"),
        ({"layout": "sounds", "seconds": 20.0}, {}, "data.seconds: Input should be less than or equal to 16"),
        ({"layout": "sounds", "longer": "trim"}, {}, "data.longer: 'trim' is not allowed; 'cut' or 'refuse' is"),
        ({"layout": "sound"}, {}, "data.layout: 'sound' is not allowed"),
        ({"layout": "sounds"}, {"recipe": "pix2pix"}, "pix2pix takes pairs or predictions, and folder:///sounds has sounds"),
    ],
)  # fmt: skip
def test_keys_that_do_not_fit_are_refused(data: dict[str, Any], train: dict[str, Any], message: str) -> None:
    sections = {"data": {"source": "folder:///sounds", **data}, "validate": {}, "train": {"recipe": "gan", "images": 100, **train}}
    with pytest.raises(ConfigError, match=message):
        parse({"generators": {"set": {**sections, "evaluate": {}, "register": {}}}})


def test_raw_files_are_looked_at_in_order(tmp_path: Path) -> None:
    lay(tmp_path / "files", chirps(3))
    workspace = Workspace(tmp_path)
    fetch(workspace, "set", entry(tmp_path / "files"))
    with RawReader.open(workspace.raw("set")) as raw:
        found = raw_sets.inspect(raw, DATA, LIMITS, tmp_path / "spool")
    rows = found.samples([2, 0])
    assert rows.shape == (2, 1, 4_000)
    third, first = list(rows)
    np.testing.assert_array_equal(third, decoded(chirps(3)["2.wav"]).wave)
    np.testing.assert_array_equal(first, decoded(chirps(3)["0.wav"]).wave)
