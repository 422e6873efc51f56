"""`data.range`: what becomes black and white, alike in all files, and the note where a set uses little of its range."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from raw_sets import inspect, png, write_arrays, write_files

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.generator import Generator, GeneratorConfig, read_config
from gan_core.kinds.pixels import Pixels, Spool
from gan_core.networks import build_generator
from gan_core.params.networks import UnetParams
from tasks.inputs import read_inputs
from tasks.params import DataParams, ValidateParams, parse
from tasks.sources.raw import RawReader
from tasks.validate import validate
from tasks.validation.images import decode
from tasks.validation.inspection import Inspection
from tasks.workspace import Workspace

LIMITS = ValidateParams()
VALUES = np.random.default_rng(0).integers(0, 4_096, (4, 8, 8)).astype(np.uint16)
VALUES[:, 0, 0], VALUES[:, 0, 1] = 0, 4_095


def tiff(values: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


def look(tmp_path: Path, files: Mapping[str, bytes], **data: Any) -> Inspection:
    write_files(tmp_path / "raw", files)
    with RawReader.open(tmp_path / "raw") as raw:
        return inspect(raw, DataParams(source="folder:///pictures", size=8, **data), LIMITS, tmp_path / "spool")


def levels(result: Inspection) -> NDArray[np.uint8]:
    assert isinstance(result.samples, Spool)
    return np.stack([result.samples.read(row.number) for row in result.rows if row.number is not None])[:, 0]


def test_the_type_s_range_is_the_default_and_little_of_it_is_noted(tmp_path: Path) -> None:
    result = look(tmp_path, {f"{i}.png": png(values) for i, values in enumerate(VALUES)})
    np.testing.assert_array_equal(levels(result), np.rint(VALUES / 257))
    assert result.range is None
    (note,) = result.notes
    assert note.startswith("the 4 files have values 0 to 4,095, less than an eighth of 0 to 65,535, so the pictures have little contrast")
    assert "such as [0, 4095], or to data" in note


@pytest.mark.parametrize("range_", [(0, 4_095), "data"])
def test_12_bits_in_16_by_two_numbers_or_by_the_data_s_own(tmp_path: Path, range_: Any) -> None:
    result = look(tmp_path, {f"{i}.png": png(values) for i, values in enumerate(VALUES)}, range=range_)
    np.testing.assert_array_equal(levels(result), np.rint(VALUES / 4_095 * 255))
    assert result.range == (0, 4_095)
    assert not result.notes


def test_the_range_is_one_for_all_files(tmp_path: Path) -> None:
    """A dark file stays dark beside a bright one."""
    dark, bright = VALUES[0] // 2, VALUES[1] + 1_000
    result = look(tmp_path, {"1.png": png(dark), "2.png": png(bright)}, range="data")
    assert result.range == (0, 5_095)
    np.testing.assert_array_equal(levels(result), np.rint(np.stack([dark, bright]) / 5_095 * 255))


def test_masks_of_0_and_1_are_black_and_white(tmp_path: Path) -> None:
    masks = {f"{i}.png": png((values > 2_048).astype(np.uint8)) for i, values in enumerate(VALUES)}
    plain = look(tmp_path, masks)
    refused = [str(row.reason) for row in plain.rows if row.reason]
    assert all("its values are 0 to 1 of 0 to 255: see data.range" in reason for reason in refused)
    assert refused or "such as [0, 1]" in plain.notes[0]
    for range_ in ("data", (0, 1)):
        result = look(tmp_path, masks, range=range_)
        np.testing.assert_array_equal(levels(result), np.where(VALUES > 2_048, 255, 0))


def test_maps_of_labels_are_spread(tmp_path: Path) -> None:
    maps = np.random.default_rng(1).integers(0, 6, (3, 8, 8), dtype=np.uint8)
    files = {f"{i}.png": png(values) for i, values in enumerate(maps)}
    assert "such as [0, 5]" in look(tmp_path, files).notes[0]
    np.testing.assert_array_equal(levels(look(tmp_path, files, range="data")), maps * 51)


def test_8_bits_in_16(tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, 256, (2, 8, 8)).astype(np.uint16)
    files = {f"{i}.tif": tiff(one) for i, one in enumerate(values)}
    plain = look(tmp_path, files)
    assert all("see data.range" in str(row.reason) for row in plain.rows)  # 0 or 1 of 255: blank
    np.testing.assert_array_equal(levels(look(tmp_path, files, range=(0, 255))), values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int8, np.uint32])
def test_pixels_whose_type_states_no_range_are_read_by_it(tmp_path: Path, dtype: type[np.generic]) -> None:
    values = (VALUES[0] / 4_095 * 200 - 100).astype(dtype) if dtype is not np.uint32 else VALUES[0].astype(dtype) * 1_000
    low, high = (-100, 100) if dtype is not np.uint32 else (0, 4_095_000)
    files = {"1.tif": tiff(values)}
    assert "whose range the file does not state; say what is black and what is white in data.range" in str(
        look(tmp_path, files).rows[0].reason
    )
    for range_ in ("data", (low, high)):
        expected = np.rint((values.astype(np.float64) - low) / (high - low) * 255)
        np.testing.assert_allclose(levels(look(tmp_path, files, range=range_))[0].astype(int), expected, atol=1)


def test_colours_are_scaled_alike(tmp_path: Path) -> None:
    colours = np.random.default_rng(3).integers(0, 1_024, (8, 8, 3)).astype(np.uint16)
    picture = decode(tiff(colours, photometric="rgb"), 8, LIMITS, (0, 1_023))
    np.testing.assert_array_equal(picture.pixels, np.rint(colours / 1_023 * 255).transpose(2, 0, 1))


def test_what_may_be_seen_through_is_white_all_the_same() -> None:
    pixels = np.zeros((8, 8, 4), dtype=np.uint8)
    pixels[..., :3], pixels[4:, :, 3] = np.arange(8)[:, None, None], 255
    decoded = decode(png(pixels), 8, LIMITS, (0, 7)).pixels
    assert (decoded[:, :4] == 255).all()
    np.testing.assert_array_equal(decoded[0, 4:, 0], np.rint(np.arange(4, 8) / 7 * 255))


def test_values_outside_are_cut_off_and_counted(tmp_path: Path) -> None:
    result = look(tmp_path, {"1.png": png(VALUES[0]), "2.png": png(VALUES[1] // 8)}, range=(0, 2_047))
    np.testing.assert_array_equal(levels(result)[0], np.rint(np.minimum(VALUES[0], 2_047) / 2_047 * 255))
    assert result.notes == (["data.range is 0 to 2,047: 1 of 2 files have values outside, which are cut off; all values are 0 to 4,095"])


def test_a_range_that_the_data_does_not_use_is_noted(tmp_path: Path) -> None:
    (note,) = look(tmp_path, {"1.png": png(VALUES[0])}, range=(0, 60_000)).notes
    assert "values 0 to 4,095, less than an eighth of 0 to 60,000" in note


def test_of_photos_and_maps_the_maps_are_named(tmp_path: Path) -> None:
    files = {f"photos/{i}.png": png(values.astype(np.uint8)) for i, values in enumerate(VALUES)}
    files |= {f"maps/{i}.png": png((values % 6).astype(np.uint8)) for i, values in enumerate(VALUES)}
    (note,) = look(tmp_path, files, layout="paired-folders", folders=("photos", "maps")).notes
    assert note.startswith("the 4 files in maps have values 0 to 5, less than an eighth of 0 to 255")
    assert "save them with values spread like those of the others, since data.range would change these too" in note


def test_usual_pictures_have_no_note(tmp_path: Path) -> None:
    result = look(tmp_path, {"1.png": png((VALUES[0] // 16).astype(np.uint8)), "2.tif": tiff(VALUES[1] * 16)})
    assert (result.range, list(result.notes)) == (None, [])


def test_arrays_of_images_are_scaled_too(tmp_path: Path) -> None:
    images = np.random.default_rng(4).integers(0, 17, (5, 8, 8), dtype=np.uint8)
    write_arrays(tmp_path / "raw", images, np.arange(5) % 2, ["a", "b"])
    with RawReader.open(tmp_path / "raw") as raw:
        plain = inspect(raw, DataParams(source="sklearn://digits"), LIMITS, tmp_path / "spool")
        scaled = inspect(raw, DataParams(source="sklearn://digits", range=(0, 16)), LIMITS, tmp_path / "spool")
    assert "values 0 to 16" in plain.notes[0]
    np.testing.assert_array_equal(levels(scaled), np.rint(images / 16 * 255))
    assert [row.sha256 for row in scaled.rows] == [row.sha256 for row in plain.rows]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("own", "'own' is no range; write type, data, or two numbers, such as [0, 4095]"),
        ([1], "is no range; write type"),
        ([0, "x"], "is no range; write type"),
        ([4_095, 0], "[4095, 0] is no range: the first number is black"),
        ([0, float("nan")], "is no range: the first number is black"),
    ],
)
def test_what_is_no_range_is_refused_before_anything_runs(given: Any, said: str) -> None:
    entry = {"data": {"source": "folder:///pictures", "range": given}, "train": {"recipe": "gan", "images": 1}}
    with pytest.raises(ConfigError, match=re.escape(said)):
        parse({"generators": {"one": {**entry, "validate": {}, "evaluate": {}, "register": {}}}})


def test_tables_have_no_such_key() -> None:
    entry = {"data": {"source": "table:///rows.csv", "range": "data"}, "train": {"recipe": "tabular", "images": 1}}
    with pytest.raises(ConfigError, match="range: only for images"):
        parse({"generators": {"one": {**entry, "validate": {}, "evaluate": {}, "register": {}}}})


@pytest.mark.parametrize("range_", [[0, 4_095], "data"])
def test_a_generator_s_inputs_are_read_by_the_range_of_its_data(tmp_path: Path, range_: Any) -> None:
    """Through validate, which leaves the numbers in dataset.json, from where they get into every generator's config."""
    values = np.random.default_rng(5).integers(0, 4_096, (40, 8, 16)).astype(np.uint16)
    values[0, 0, :2] = 0, 4_095
    workspace = Workspace(tmp_path)
    write_files(workspace.raw("sets"), {f"{i}.png": png(one) for i, one in enumerate(values)})
    sections = {"validate": {"min_samples": 2}, "train": {"recipe": "pix2pix", "images": 1}, "evaluate": {}, "register": {}}
    data = {"source": "folder:///pictures", "size": 8, "layout": "side-by-side", "holdout": 0.3, "range": range_}
    validate(workspace, "sets", parse({"generators": {"sets": {"data": data, **sections}}})["sets"])
    dataset = Dataset.open(workspace.ready("sets"))
    spec = Pixels.of(dataset.spec)
    assert spec.range == (0, 4_095)
    network = UnetParams(width=8)
    Generator(GeneratorConfig("pix2pix", spec, 0, network, 0, 0, spec.digest), build_generator(network, spec, 0)).save(
        tmp_path / "generator"
    )
    config = read_config(tmp_path / "generator")
    half = values[3, :, :8]
    (tmp_path / "given.png").write_bytes(png(half))
    (given,) = read_inputs(tmp_path / "given.png", Pixels.of(config.data)).images
    np.testing.assert_array_equal(given[0], np.rint(half / 4_095 * 255))
    assert any((given == one).all() for one in [*dataset.inputs["train"], *dataset.inputs["holdout"]])


def test_pgm_of_16_bits_and_pfm(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(VALUES[0]).save(file, "PPM")
    picture = decode(file.getvalue(), 8, LIMITS, (0, 4_095))
    np.testing.assert_array_equal(picture.pixels[0], np.rint(VALUES[0] / 4_095 * 255))
    pfm = b"Pf\n8 8\n-1.0\n" + (VALUES[0][::-1] / 4_095).astype("<f4").tobytes()
    np.testing.assert_allclose(decode(pfm, 8, LIMITS, (0, 1)).pixels[0].astype(float), VALUES[0] / 4_095 * 255, atol=0.51)
