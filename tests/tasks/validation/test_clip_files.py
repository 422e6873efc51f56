"""Files of clips: what is read of each form, what is refused and why, and what stays together."""

from __future__ import annotations

import io
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gan_core.data.dataset import Dataset
from gan_core.errors import DataError
from tasks.fetch import fetch
from tasks.params import DataParams, ValidateParams, parse
from tasks.validate import validate
from tasks.validation import twins
from tasks.validation.clips import Footage, Wanted, decode_clips
from tasks.validation.formats import UnusableError
from tasks.workspace import Workspace

LIMITS = ValidateParams()
SIDE, COUNT = 8, 6


def frames(count: int = COUNT, channels: int = 3, side: int = SIDE) -> np.ndarray:
    """Frames of which no two are alike, uint8 (F, H, W, C)."""
    return np.random.default_rng(0).integers(0, 256, (count, side, side, channels), dtype=np.uint8)


def pictures(array: np.ndarray) -> list[Image.Image]:
    return [Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame) for frame in array]


def bytes_of(image: Image.Image, form: str, **how: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **how)
    return file.getvalue()


def moving(array: np.ndarray, form: str, duration: int | list[int] = 40, **how: Any) -> bytes:
    first, *others = pictures(array)
    return bytes_of(first, form, save_all=True, append_images=others, duration=duration, loop=0, **how)


def strip(array: np.ndarray, down: bool = False) -> bytes:
    return bytes_of(pictures(np.concatenate(list(array), axis=0 if down else 1)[None])[0], "PNG")


def read(data: bytes, frames: int = COUNT, every: int = 1, limits: ValidateParams = LIMITS, **more: Any) -> Footage:
    data_params = {"source": "folder:///x", "layout": "clips", "size": SIDE, "frames": frames, "every": every, **more}
    wanted = Wanted.of(DataParams(**data_params))
    found = decode_clips(data, wanted, limits)
    assert all(part.pixels.shape[1:] == (frames, *wanted.shape.size) for part in found.parts)
    return found


FORMS: dict[str, bytes] = {
    "strip": strip(frames()),
    "strip from top to bottom": strip(frames(), down=True),
    "strip with alpha": bytes_of(Image.open(io.BytesIO(strip(frames()))).convert("RGBA"), "PNG"),
    "WebP": moving(frames(), "WEBP", lossless=True),
    "APNG": moving(frames(), "PNG"),
    "APNG behind another picture": moving(np.concatenate([frames()[:1] // 2, frames()]), "PNG", default_image=True),
}


@pytest.mark.parametrize("name", FORMS)
def test_frames_are_read_one_after_another_as_they_are(name: str) -> None:
    (part,) = read(FORMS[name]).parts
    np.testing.assert_array_equal(part.pixels, frames().transpose(3, 0, 1, 2))
    assert part.motion == pytest.approx(np.abs(np.diff(frames().astype(int), axis=0)).mean())


def test_a_gif_is_read_in_its_own_colours() -> None:
    colours = frames() // 64 * 64  # few enough for a palette
    found = read(moving(colours, "GIF"))
    np.testing.assert_array_equal(found.parts[0].pixels, colours.transpose(3, 0, 1, 2))
    assert (found.count, found.width, found.height) == (COUNT, SIDE, SIDE)


def test_a_webp_is_white_where_none_of_its_frames_is() -> None:
    """Its encoder keeps the squares alone, which have no alpha, and does not say that the rest has."""
    array = np.zeros((4, SIDE, SIDE, 4), dtype=np.uint8)
    for number in range(4):
        array[number, 2 * number : 2 * number + 2, 2:6] = (250, 10, 40 * number, 255)
    data = moving(array, "WEBP", lossless=True)
    data = data[:20] + bytes([data[20] & ~0x10]) + data[21:]  # as libwebp 1.6 leaves it
    seen = np.where(array[..., 3:] > 0, array[..., :3], 255)
    np.testing.assert_array_equal(read(data, frames=4).parts[0].pixels, seen.transpose(3, 0, 1, 2))


def test_what_a_frame_of_a_png_was_drawn_over_comes_back() -> None:
    """Squares that are drawn over the first frame, each gone in the next (APNG_DISPOSE_OP_PREVIOUS)."""
    array = np.full((4, SIDE, SIDE, 3), 90, dtype=np.uint8)
    for number in range(1, 4):
        array[number, 2 * number - 1 : 2 * number, :2] = (250, 10, 40 * number)
    data = moving(array, "PNG", disposal=[0, 2, 2, 2], blend=[0, 1, 1, 1])
    assert data.count(b"fcTL") == 4
    np.testing.assert_array_equal(read(data, frames=4).parts[0].pixels, array.transpose(3, 0, 1, 2))


def test_a_frame_that_is_shown_longer_counts_as_often() -> None:
    """And so do frames that are alike, which programs write as one that is shown longer."""
    array = frames(4)
    found = read(moving(array, "WEBP", duration=[40, 120, 40, 40], lossless=True), frames=6)
    np.testing.assert_array_equal(found.parts[0].pixels, array[[0, 1, 1, 1, 2, 3]].transpose(3, 0, 1, 2))
    repeated = array[[0, 1, 1, 1, 2, 3]]
    np.testing.assert_array_equal(read(moving(repeated, "WEBP", lossless=True), frames=6).parts[0].pixels, repeated.transpose(3, 0, 1, 2))
    np.testing.assert_array_equal(read(moving(repeated, "PNG"), frames=6).parts[0].pixels, repeated.transpose(3, 0, 1, 2))


def test_a_longer_file_becomes_several_clips_and_a_rest() -> None:
    array = frames(15)
    found = read(strip(array), frames=3, every=2)
    assert [part.start for part in found.parts] == [0, 6]
    np.testing.assert_array_equal(found.parts[1].pixels, array[[6, 8, 10]].transpose(3, 0, 1, 2))
    assert found.left_out == 3
    assert [part.start for part in read(strip(frames(11)), frames=3, every=2).parts] == [0, 6]  # the last needs no frame behind it


def test_frames_are_brought_to_one_size_and_grey_stays_grey() -> None:
    large = frames().repeat(2, axis=1).repeat(2, axis=2)
    found = read(strip(large))
    assert (found.width, found.height) == (2 * SIDE, 2 * SIDE)
    assert np.abs(found.parts[0].pixels.astype(int) - frames().transpose(3, 0, 1, 2)).mean() < 40
    assert read(strip(frames(channels=1))).parts[0].pixels.shape == (1, COUNT, SIDE, SIDE)


def test_what_is_blank_or_still_is_left_out_and_the_rest_kept() -> None:
    array = frames(12)
    array[:4] = 0
    array[4:8] = array[4]
    assert [part.start for part in read(strip(array), frames=4).parts] == [8]


STILL = np.concatenate([frames(1)] * COUNT)
REFUSED: dict[str, tuple[bytes, str]] = {
    "no bytes": (b"", "empty: no bytes"),
    "text": (b"hello", "not an image"),
    "one frame": (strip(frames(1)), "one frame: a still picture, and a clip moves"),
    "few frames": (strip(frames(5)), r"too few frames: 5, and a clip is 6 of them \(data.frames\)"),
    "few frames that move": (moving(frames(5), "GIF"), "too few frames: 5"),
    "no strip": (bytes_of(Image.new("RGB", (20, 8)), "PNG"), "a still picture of 20 x 8 pixels, and no strip of square frames"),
    "long": (strip(frames(21)), r"too long: 21 frames, more than 20 \(validate.max_frames\)"),
    "long, and it moves": (moving(frames(21), "WEBP"), r"too long: 21 frames, more than 20 \(validate.max_frames\)"),
    "shown too long": (moving(frames(), "GIF", duration=[40, 40, 40, 40, 40, 4_000]), "too long: 105 frames, more than 20"),
    "small": (strip(frames(side=2)), r"too small: 12 x 2 pixels \(validate.min_side is 4\)"),
    "large": (strip(frames(20, side=16)), r"too large: 320 x 16 pixels \(validate.max_side is 256\)"),
    "blank": (strip(np.zeros((COUNT, SIDE, SIDE, 3), np.uint8)), r"blank: in none of its clips pixels vary by 0.5 or more"),
    "still": (strip(STILL), "nothing moves: its 6 frames are all alike"),
    "cut off": (FORMS["APNG"][:900], "truncated|broken"),
    "cut-off WebP": (FORMS["WebP"][:600], "truncated|broken"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_with_the_reason(name: str) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(UnusableError, match=reason):
        read(data, limits=ValidateParams(max_frames=20, max_side=256))


def test_a_film_that_would_not_fit_into_memory_is_refused_before_it_is_decoded() -> None:
    wanted = Wanted.of(DataParams(source="folder:///x", layout="clips", size=1_024, frames=16))
    with pytest.raises(UnusableError, match=r"too long for data\.size: 200 frames, more than 512 MiB"):
        decode_clips(strip(frames(200)), wanted, LIMITS)


def video(array: np.ndarray, form: str = "mp4", codec: str = "mpeg4", moments: list[int] | None = None, width: str = "1") -> bytes:
    """`moments` is when each frame is shown, in tenths of a second; `width` that of a pixel, as a share of its height."""
    av = pytest.importorskip("av", reason="videos need the extra `video`")
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = array.shape[2], array.shape[1], "yuv420p", 4_000_000
        stream.codec_context.sample_aspect_ratio = Fraction(width)
        for number, pixels in enumerate(array):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number if moments is None else moments[number], Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("form", "codec"), [("mp4", "mpeg4"), ("mov", "mpeg4"), ("webm", "libvpx"), ("avi", "mpeg4"), ("matroska", "mpeg4")]
)
def test_a_video_is_read_frame_by_frame(form: str, codec: str) -> None:
    smooth = np.linspace(0, 200, 32)[:, None, None] + np.zeros((32, 32, 3))
    array = np.stack([np.roll(smooth, 2 * moment, axis=0) for moment in range(13)]).astype(np.uint8)
    found = read(video(array, form, codec), frames=6, size=32)
    assert (found.width, found.height, found.count) == (32, 32, 13)
    assert [part.start for part in found.parts] == [0, 6]
    assert np.abs(found.parts[1].pixels.astype(int) - array[6:12].transpose(3, 0, 1, 2)).mean() < 12


def test_of_a_video_a_frame_counts_as_long_as_it_is_shown_and_pixels_as_wide_as_they_are() -> None:
    array = np.linspace(0, 200, 8, dtype=np.uint8)[:, None, None, None] + np.zeros((8, 32, 32, 3), np.uint8)
    array[:, :, 20:] //= 4  # the right is dark
    found = read(video(array, "matroska", moments=[0, 1, 2, 5, 6, 7, 8, 9]), frames=10, size=32)
    assert (found.count, found.rate) == (10, 10.0)
    means = found.parts[0].pixels[:, :, :, :12].mean(axis=(0, 2, 3))
    np.testing.assert_allclose(means, array[[0, 1, 2, 2, 2, 3, 4, 5, 6, 7], 0, 0, 0], atol=12)
    wide = read(video(array, width="2"), frames=8, size=32)
    assert (wide.width, wide.height) == (64, 32)
    row = wide.parts[0].pixels[0, 7, 16].astype(int)  # of 64 columns, dark from 40 on, those from 16 on
    np.testing.assert_allclose(row[[0, 21, 26, 31]], [200, 200, 50, 50], atol=25)


def test_files_of_different_rates_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "files").mkdir()
    for number in range(24):
        array = np.random.default_rng(number).integers(0, 256, (COUNT, SIDE, SIDE, 3), dtype=np.uint8)
        (tmp_path / "files" / f"{number}.webp").write_bytes(moving(array, "WEBP", duration=(40, 100)[number % 2]))
    validated(tmp_path, layout="clips", frames=COUNT)
    assert "files show 10 to 25 frames a second, and frames are taken as they come" in capsys.readouterr().out


def test_a_broken_or_long_video_is_refused_and_so_is_any_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    data = video(frames(12, side=32))
    with pytest.raises(UnusableError, match=r"too long: 12 frames, more than 10 \(validate\.max_frames\)"):
        read(data, limits=ValidateParams(max_frames=10))
    with pytest.raises(UnusableError, match="broken: no readable video"):
        read(data[: len(data) // 2])
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UnusableError, match=r"a video, which is read after pip install 'gantry-gan\[video\]'"):
        read(data)


def folder_of_frames(folder: Path, array: np.ndarray, name: str = "frame_{}.png") -> None:
    folder.mkdir(parents=True)
    for number, image in enumerate(pictures(array)):
        image.save(folder / name.format(number))


def validated(root: Path, **data: Any) -> Workspace:
    sections = {
        "data": {"source": f"folder://{root / 'files'}", "size": SIDE, "holdout": 0.4, **data},
        "validate": {"min_samples": 4, "min_per_class": 1, "max_quarantined": 0.9},
        "train": {"recipe": "gan"}, "evaluate": {}, "register": {},
    }  # fmt: skip
    workspace, entry = Workspace(root), parse({"generators": {"a": sections}})["a"]
    fetch(workspace, "a", entry)
    validate(workspace, "a", entry)
    return workspace


def test_folders_of_frames_are_clips_in_the_order_of_their_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = tmp_path / "files"
    array = np.random.default_rng(1).integers(0, 256, (24, 12, SIDE, SIDE, 3), dtype=np.uint8)
    for number, one in enumerate(array):
        folder_of_frames(files / ("a", "b")[number % 2] / f"clip{number}", one)
    folder_of_frames(files / "a" / "short", array[0, :3])
    folder_of_frames(files / "a" / "odd", array[1])
    Image.new("RGB", (SIDE, 2 * SIDE), "red").save(files / "a" / "odd" / "frame_7.png")
    folder_of_frames(files / "b" / "broken", array[2])
    (files / "a" / "clip0" / "frame_11.png").rename(files / "a" / "clip0" / "frame_13.png")
    (files / "b" / "broken" / "frame_3.png").write_bytes(b"\x89PNG and no more")
    workspace = validated(tmp_path, layout="frame-folders", frames=12)
    assert "1 of 27 folders lack frames, by their numbers, such as a/clip0: what moves jumps there" in capsys.readouterr().out
    ready = workspace.ready("a")
    manifest = pd.read_parquet(ready / "manifest.parquet")
    assert sorted(manifest["path"]) == sorted(f"{('a', 'b')[number % 2]}/clip{number}" for number in range(24))
    assert (manifest["label"] == manifest["path"].str[0]).all()
    dataset = Dataset.open(ready)
    rows = manifest[manifest["split"] == "train"]["path"].str.extract(r"clip(\d+)")[0].astype(int)
    np.testing.assert_array_equal(dataset.samples["train"], array[rows].transpose(0, 4, 1, 2, 3))
    quarantine = (ready / "quarantine.csv").read_text().replace('"', "")
    assert "a/short,too few frames: 3, and a clip is 12 of them (data.frames)" in quarantine
    assert "a/odd,frames of different sizes: frame_7.png has 8 x 16 pixels, and the first 8 x 8" in quarantine
    assert "b/broken,frame frame_3.png: broken" in quarantine


def test_frames_in_no_folder_and_a_single_class_are_told_of(tmp_path: Path) -> None:
    folder_of_frames(tmp_path / "files" / "a" / "one", frames())
    with pytest.raises(DataError, match="all images lie in the folder a, and one folder is no class"):
        validated(tmp_path, layout="frame-folders", frames=4)
    for name in ("b", "c"):
        folder_of_frames(tmp_path / "files" / "a" / name, frames() // 2)
    folder_of_frames(tmp_path / "files" / "b" / "two", frames() // 3)
    frames()[0].tofile(tmp_path / "files" / "x.png")
    with pytest.raises(DataError, match=r"1 images beside 2 folders with images"):
        validated(tmp_path, layout="frame-folders", frames=4)


def test_equal_clips_under_other_names_are_on_one_side_and_near_twins_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number in range(40):
        array = np.random.default_rng(number // 2).integers(0, 200, (COUNT, SIDE, SIDE, 3))
        (files / f"{number}.png").write_bytes(strip((array + number % 2).astype(np.uint8)))  # a little brighter
    manifest = pd.read_parquet(validated(tmp_path, layout="clips", frames=COUNT).ready("a") / "manifest.parquet")
    assert "held-out images have a near-twin in training" in capsys.readouterr().out
    assert len(manifest) == 40
    stills = twins.small(twins._still(frames(side=16).transpose(3, 0, 1, 2)) for _ in range(2))
    assert len(twins.pairs_of_twins(stills[:1], stills[1:])) == 1
