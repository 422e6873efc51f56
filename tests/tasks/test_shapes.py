"""Pictures that are not square: brought to one shape, and through all five stages by each recipe that draws some."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from raw_sets import png

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.pixels import Pixels
from gan_core.params.common import common_halvings, nearest_sides
from tasks.evaluate import evaluate
from tasks.fetch import fetch
from tasks.inputs import read_inputs
from tasks.params import Entry, ValidateParams, parse
from tasks.records.lineage import lineage
from tasks.records.registry import Registry
from tasks.register import register
from tasks.sample_files import write_samples
from tasks.samples import encode_png
from tasks.train import train
from tasks.validate import validate
from tasks.validation.formats import UnusableImageError
from tasks.validation.images import Shape, as_pixels, decode, fit
from tasks.workspace import Workspace

SMALL = {"images": 64, "batch": 8, "threads": 1}
NARROW = {"width": 4}


def entry(data: dict[str, Any], train: dict[str, Any], **evaluation: Any) -> Entry:
    sections = {"data": {"holdout": 0.4, **data}, "validate": {"min_samples": 10}, "train": {**SMALL, **train}}
    return parse({"generators": {"tall": {**sections, "evaluate": evaluation, "register": {}}}})["tall"]


def drawn(number: int, height: int = 40, width: int = 24) -> NDArray[np.uint8]:
    """A bright box on dark ground, wherever the number says."""
    draw = np.random.default_rng(number)
    image = draw.integers(20, 90, (height, width, 3), dtype=np.uint8)
    top, left = int(draw.integers(height // 2)), int(draw.integers(width // 2))
    image[top : top + height // 2, left : left + width // 2] += 150
    return image


def by_label(root: Path) -> dict[str, Any]:
    for name, start in (("few", 0), ("many", 100)):
        (root / name).mkdir()
        for number in range(25):
            (root / name / f"{number}.png").write_bytes(png(drawn(start + number)))
    train = {"images": 400, "optimizer": {"learning_rate": 0.02}, "generator": NARROW, "discriminator": NARROW}
    return {"data": {"size": [24, 16]}, "train": {"recipe": "gan", "condition": "label", **train}}


def side_by_side(root: Path) -> dict[str, Any]:
    for number in range(40):
        image = drawn(number, 24, 16)
        (root / f"{number}.png").write_bytes(png(np.concatenate([255 - image, image], axis=1)))
    data = {"layout": "side-by-side", "size": [24, 16]}
    return {"data": data, "train": {"recipe": "pix2pix", "generator": NARROW, "discriminator": NARROW}}


def without_partners(root: Path) -> dict[str, Any]:
    for folder, turn in (("A", 0), ("B", 1)):
        (root / folder).mkdir()
        for number in range(30):
            image = drawn(2 * number + turn, 20, 36)
            (root / folder / f"{number}.png").write_bytes(png(image if turn else 255 - image))
    generator = {"width": 4, "blocks": 1, "downsamplings": 1}
    data = {"layout": "unpaired-folders", "size": [8, 12], "fit": "pad"}
    return {"data": data, "train": {"recipe": "cyclegan", "batch": 4, "generator": generator, "discriminator": NARROW}}


def captioned(root: Path) -> dict[str, Any]:
    with (root / "captions.csv").open("w", newline="") as file:
        told = csv.writer(file)
        told.writerow(["file", "caption"])
        for number in range(40):
            (root / f"{number}.png").write_bytes(png(drawn(number)))
            told.writerow([f"{number}.png", ("one box", "a box", "some box")[number % 3]])
    train = {"recipe": "stackgan", "latent": 4, "code": 4, "generator_width": 4, "discriminator_width": 4}
    return {"data": {"layout": "captions", "size": [32, 16], "fit": "stretch"}, "train": train}


@pytest.mark.parametrize("filled", [by_label, side_by_side, without_partners, captioned])
def test_tall_and_wide_pictures_in_all_five_stages(workspace: Workspace, tmp_path: Path, filled: Callable[[Path], dict[str, Any]]) -> None:
    source = tmp_path / "source"
    source.mkdir()
    told = filled(source)
    # A classifier takes ten seconds to fit, and a network that matches captions twenty.
    features = {"features": "random"} if filled in (by_label, without_partners) else {}
    one = entry({"source": f"folder://{source}", **told["data"]}, told["train"], **features)
    for stage in (fetch, validate, train, evaluate, register)[: 3 if filled is captioned else 5]:
        stage(workspace, "tall", one)
    sides = tuple(told["data"]["size"])
    dataset = Dataset.open(workspace.ready("tall"))
    way = told["data"].get("fit")
    assert dataset.samples["train"].shape[2:] == sides
    assert Pixels.of(dataset.spec).fit == way
    if filled is not captioned:
        assert lineage(workspace, "tall")["data"]["fit"] == one.data.fit
        assert Pixels.of(dataset.spec).fit_in_words in (workspace.report("tall") / "report.html").read_text()

    generator = Generator.load(workspace.model("tall") / "generator")
    if generator.config.inputs is None:
        samples, given = generator.sample(3, seed=1), None
        request = pd.DataFrame({"label": ["few"]})
    else:
        (tmp_path / "given.png").write_bytes(png(drawn(1, 30, 50)))
        given = read_inputs(tmp_path / "given.png", Pixels.of(generator.config.data))
        samples = generator.translate(given.images)
        request = pd.DataFrame({"input": [base64.b64encode(encode_png(given.images[0])).decode()]})
    assert samples.samples.shape[2:] == sides
    for name in ("drawn.png", "drawn.gif", "drawn.npz", "drawn"):
        write_samples(samples, tmp_path / name, generator.config.classes, given)
    if filled is captioned:
        return
    from mlflow import pyfunc

    registry = Registry.open(workspace)
    champion = registry.champion("tall")
    assert champion is not None
    answer = pyfunc.load_model(str(registry.download(champion, tmp_path / "served"))).predict(request)
    assert Image.open(io.BytesIO(base64.b64decode(answer["png"][0]))).size == sides[::-1]


def test_each_way_to_bring_a_picture_to_a_shape() -> None:
    image = Image.fromarray(drawn(0, 60, 20))
    size = (20, 20)
    assert fit(image, Shape(size)).tobytes() == image.crop((0, 20, 20, 40)).tobytes()
    assert fit(image, Shape((60, 20), "pad")).tobytes() == image.tobytes()
    padded = as_pixels(fit(image, Shape((30, 40), "pad")))
    assert padded.shape == (3, 30, 40)
    assert (padded[:, :, :15] == 255).all()
    assert (padded[:, :, 25:] == 255).all()
    assert (padded[:, :, 15:25] < 250).all()
    stretched = as_pixels(fit(image, Shape((15, 30), "stretch")))
    assert stretched.shape == (3, 15, 30)
    wide = as_pixels(fit(image, Shape((10, 20))))
    np.testing.assert_array_equal(wide, as_pixels(image.crop((0, 25, 20, 35))))


@pytest.mark.parametrize("layout", ["side-by-side", "paired-folders"])
def test_crops_of_partners_show_the_same_part_and_are_not_scaled(workspace: Workspace, tmp_path: Path, layout: str) -> None:
    source = tmp_path / "source"
    places = np.stack([*np.mgrid[0:60, 0:90]], axis=2).astype(np.uint8)
    for number in range(12):
        given = np.dstack([places, np.full((60, 90), 5 * number, dtype=np.uint8)])
        if layout == "side-by-side":
            source.mkdir(exist_ok=True)
            (source / f"{number}.png").write_bytes(png(np.concatenate([given, 255 - given], axis=1)))
        else:
            for folder, image in (("A", given), ("B", 255 - given)):
                (source / folder).mkdir(parents=True, exist_ok=True)
                (source / folder / f"{number}.png").write_bytes(png(image))
    data = {"source": f"folder://{source}", "layout": layout, "size": [16, 24], "fit": "random-crop", "crops": 5}
    one = entry(data, {"recipe": "pix2pix", "generator": NARROW, "discriminator": NARROW})
    for stage in (fetch, validate):
        stage(workspace, "tall", one)
    dataset = Dataset.open(workspace.ready("tall"))
    manifest = pd.read_parquet(workspace.ready("tall") / "manifest.parquet")
    given, made = (np.concatenate([part["train"], part["holdout"]]) for part in (dataset.inputs, dataset.samples))
    assert len(given) == len(manifest) == 60
    np.testing.assert_array_equal(given, 255 - made)
    np.testing.assert_array_equal(given[:, 0, 0, 0], manifest["top"])
    np.testing.assert_array_equal(given[:, 1, 0, 0], manifest["left"])
    np.testing.assert_array_equal(np.diff(given[:, 0, :, 0].astype(int), axis=1), 1)
    # All crops of a file are on one side of the split, and none counts as equal to another.
    assert manifest.groupby("sha256")["split"].nunique().max() == 1
    assert manifest["path"].is_unique


def test_a_file_smaller_than_a_crop_is_set_aside() -> None:
    with pytest.raises(UnusableImageError, match="smaller than a crop: 20 x 40 pixels, and crops are 24 x 16"):
        decode(png(drawn(0, 40, 20)), Shape((16, 24), "random-crop", 4), ValidateParams())
    small = decode(png(drawn(0, 40, 40)), Shape((16, 16), "random-crop", 100), ValidateParams())
    assert 1 <= len(small.crops) <= 4
    again = decode(png(drawn(0, 40, 40)), Shape((16, 16), "random-crop", 100), ValidateParams())
    assert [(one.left, one.top) for one in small.crops] == [(one.left, one.top) for one in again.crops]


@pytest.mark.parametrize(
    ("data", "train", "message"),
    [
        ({"size": [100, 80]}, {"recipe": "gan"}, r"data.size: \[100, 80\] cannot be halved.* nearest that can is \[96, 80\]"),
        ({"size": 100}, {"recipe": "gan"}, "data.size: 100 cannot be halved down to 4, 5, 6 or 7 as convolutions need; .* is 96"),
        ({"size": [50, 64]}, {"recipe": "pix2pix", "generator": {"widths": [4, 4]}}, r"data.size is \[50, 64\], no multiple of 4"),
        ({"layout": "unpaired-folders", "size": [30, 64]}, {"recipe": "cyclegan"}, r"no multiple of 4 from 16 on.* \[28, 64\]"),
        ({"layout": "captions", "size": [36, 64]}, {"recipe": "stackgan"}, r"half of \[36, 64\].* nearest that can is \[32, 64\]"),
        ({"layout": "captions", "fit": "random-crop"}, {"recipe": "stackgan"}, "fit: random-crop shows parts of a picture"),
        ({"source": "sklearn://digits", "fit": "random-crop"}, {"recipe": "gan"}, "fit: random-crop takes parts of large files"),
        ({"crops": 4}, {"recipe": "gan"}, "crops: only with fit: random-crop, and fit is crop"),
        ({"size": [4, 1024]}, {"recipe": "gan"}, "4 x 1024 pixels are too long for any network"),
        ({"size": [64]}, {"recipe": "gan"}, r"no size; write a number of pixels from 4 to 1024, or two of them, \[height, width\]"),
        ({"size": [64, 64.5]}, {"recipe": "gan"}, "data.size: .* is no size"),
        ({"fit": "croop"}, {"recipe": "gan"}, "data.fit"),
    ],
)
def test_what_a_family_cannot_take_is_said_with_the_nearest_that_it_can(data: dict[str, Any], train: dict[str, Any], message: str) -> None:
    layout = {"layout": "side-by-side"} if train["recipe"] == "pix2pix" else {}
    with pytest.raises(ConfigError, match=message):
        entry({"source": "folder:///pictures", **layout, **data}, train)


def test_the_nearest_sides_fit_and_a_square_stays_one() -> None:
    def fits(sides: tuple[int, ...]) -> bool:
        return common_halvings(sides) is not None

    assert nearest_sides((100, 100), fits) == (96, 96)
    for sides in ((100, 80), (33, 65), (4, 9)):
        found = nearest_sides(sides, fits)
        assert fits(found)
        change = sum(abs(one - other) for one, other in zip(found, sides, strict=True))
        near = [(height, width) for height in range(1, sides[0] + change) for width in range(1, sides[1] + change)]
        assert all(abs(height - sides[0]) + abs(width - sides[1]) >= change for height, width in near if fits((height, width)))
