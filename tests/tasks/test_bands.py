"""Images of 16 bits, of floats and of any number of bands: kept as their files have them, through all five stages, and written back."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from raw_sets import npy

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, DataError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.images import Images
from gan_core.kinds.pairs import Pairs
from gan_core.kinds.pixels import Pixels
from gan_core.networks import build_generator
from gan_core.params.networks import UnetParams
from tasks.evaluate import evaluate
from tasks.export import export
from tasks.fetch import fetch
from tasks.inputs import read_inputs
from tasks.params import Entry, ValidateParams, parse
from tasks.provenance import Origin, claim, compare
from tasks.records.registry import Registry
from tasks.register import register
from tasks.sample_files import write_samples
from tasks.samples import tiff_pages
from tasks.serving.answers import encoded
from tasks.train import train
from tasks.validate import validate
from tasks.validation.bands import decode
from tasks.validation.formats import UnusableImageError
from tasks.validation.images import Shape
from tasks.whole import read_whole, translate_whole, write_whole
from tasks.workspace import Workspace

SMALL = {"images": 64, "batch": 8, "threads": 1}
NARROW = {"width": 4}
GAN = {"recipe": "gan", "generator": NARROW, "discriminator": NARROW, "latent": 8}
LIMITS = ValidateParams()


def entry(data: dict[str, Any], recipe: dict[str, Any] | None = None, features: str = "random") -> Entry:
    sections = {"data": {"holdout": 0.4, "size": 8, **data}, "validate": {"min_samples": 10}, "train": {**SMALL, **(recipe or GAN)}}
    return parse({"generators": {"deep": {**sections, "evaluate": {"features": features}, "register": {}}}})["deep"]


def values(number: int, bands: int, top: float, side: int = 8) -> NDArray[np.float64]:
    """(side, side, bands) from 0 to `top`: a gradient of its own slope in each band, with a box somewhere."""
    draw = np.random.default_rng(number)
    down, across = np.mgrid[:side, :side] / side
    image = np.stack([draw.uniform() * down + draw.uniform() * across for _ in range(bands)], axis=2) / 2.5
    y, x = draw.integers(side // 2, size=2)
    image[y : y + side // 2, x : x + side // 2] += 0.2
    return image * top


def tiff(array: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **{"photometric": "minisblack", "planarconfig": "contig" if array.ndim == 3 else None, **options})
    return file.getvalue()


def of_16_bits(root: Path) -> dict[str, Any]:
    """12-bit values in grey PNG files of 16 bits, in two classes."""
    for name, start in (("few", 0), ("many", 50)):
        (root / name).mkdir()
        for number in range(20):
            grey = np.rint(values(start + number, 1, 4_095)[..., 0]).astype(np.uint16)
            (root / name / f"{number}.png").write_bytes(imagecodecs.png_encode(grey))
    return {"data": {"depth": 16, "range": [0, 4_095]}, "recipe": {**GAN, "condition": "label", "augment": True}}


def of_five_bands(root: Path) -> dict[str, Any]:
    """Reflectances of five bands, as satellites have them, in TIFF files of 16 bits; larger than what is trained on."""
    for number in range(40):
        (root / f"{number}.tif").write_bytes(tiff(np.rint(values(number, 5, 10_000, 20)).astype(np.uint16)))
    return {"data": {"depth": 16, "channels": 5, "range": "data", "show": [5, 3, 1]}, "recipe": {**GAN, "augment": True}}


def of_floats(root: Path) -> dict[str, Any]:
    """Two bands of floats in arrays of NumPy, channels first."""
    for number in range(40):
        array = values(number, 2, 4.0).astype(np.float32).transpose(2, 0, 1) - 2
        (root / f"{number}.npy").write_bytes(npy(array))
    return {"data": {"depth": "float", "channels": 2, "range": [-2, 2]}}


def of_red_green_blue_alpha(root: Path) -> dict[str, Any]:
    for number in range(40):
        Image.fromarray(np.rint(values(number, 4, 255)).astype(np.uint8)).save(root / f"{number}.png")
    return {"data": {"channels": 4}}


def of_deep_pairs(root: Path) -> dict[str, Any]:
    """Colour pictures of 16 bits side by side with their negatives."""
    for number in range(40):
        image = np.rint(values(number, 3, 65_535)).astype(np.uint16)
        (root / f"{number}.png").write_bytes(imagecodecs.png_encode(np.concatenate([65_535 - image, image], axis=1)))
    pix2pix = {"recipe": "pix2pix", "generator": NARROW, "discriminator": NARROW}
    return {"data": {"layout": "side-by-side", "depth": 16}, "recipe": pix2pix}


def of_bands_without_partners(root: Path) -> dict[str, Any]:
    """Two folders of four bands of 8 bits, in arrays."""
    for folder, turn in (("A", 0), ("B", 1)):
        (root / folder).mkdir()
        for number in range(30):
            image = np.rint(values(2 * number + turn, 4, 255)).astype(np.uint8).transpose(2, 0, 1)
            (root / folder / f"{number}.npy").write_bytes(npy(image if turn else 255 - image))
    cyclegan = {"recipe": "cyclegan", "batch": 4, "generator": {"width": 4, "blocks": 1, "downsamplings": 1}, "discriminator": NARROW}
    return {"data": {"layout": "unpaired-folders", "channels": 4, "size": 16}, "recipe": cyclegan}


FILLED = (of_16_bits, of_five_bands, of_floats, of_red_green_blue_alpha, of_deep_pairs, of_bands_without_partners)


@pytest.mark.parametrize("filled", FILLED)
def test_through_all_five_stages_and_back_into_files(
    workspace: Workspace, tmp_path: Path, filled: Callable[[Path], dict[str, Any]]
) -> None:
    from mlflow import pyfunc

    source = tmp_path / "source"
    source.mkdir()
    told = filled(source)
    one = entry({"source": f"folder://{source}", **told["data"]}, told.get("recipe"))
    is_served = filled in (of_five_bands, of_deep_pairs)
    for stage in (fetch, validate, train, evaluate, register)[: 5 if is_served else 4]:
        stage(workspace, "deep", one)
    dataset = Dataset.open(workspace.ready("deep"))
    spec = Pixels.of(dataset.spec)
    kept = {8: np.uint8, 16: np.uint16, "float": np.float32}[one.data.depth]
    channels = one.data.channels or {of_16_bits: 1, of_deep_pairs: 3}[filled]
    assert dataset.samples["train"].dtype == kept
    assert spec.shape[0] == channels
    generator = Generator.load(workspace.model("deep") / "generator")
    given = None
    if generator.config.inputs is None:
        samples = generator.sample(3, seed=1)
        request = pd.DataFrame({"label": ["few"]}) if generator.config.classes else pd.DataFrame()
    else:
        some = next(path for path in sorted(source.rglob("*")) if path.is_file())
        data = (
            some.read_bytes()
            if filled is of_bands_without_partners
            else imagecodecs.png_encode(np.ascontiguousarray(dataset.inputs["train"][0].transpose(1, 2, 0)))
        )
        (tmp_path / f"given{some.suffix}").write_bytes(data)
        given = read_inputs(tmp_path / f"given{some.suffix}", spec)
        if filled is of_deep_pairs:
            np.testing.assert_array_equal(given.images[0], dataset.inputs["train"][0])
        samples = generator.translate(given.images)
        request = pd.DataFrame({"input": [base64.b64encode(data).decode()]})
    assert samples.samples.dtype == kept
    low, high = spec.bounds
    assert low <= samples.samples.min() < samples.samples.max() <= high

    origin = Origin("deep", None, generator.config.sha256, {"n": 3, "seed": 1} if given is None else None)
    write_samples(samples, tmp_path / "drawn.tif", None, given, origin)
    np.testing.assert_array_equal(tiff_pages((tmp_path / "drawn.tif").read_bytes()), samples.samples)
    assert compare(tmp_path / "drawn.tif", claim(tmp_path / "drawn.tif"), generator, given).same
    write_samples(samples, tmp_path / "drawn.npz")
    np.testing.assert_array_equal(np.load(tmp_path / "drawn.npz")["images"], samples.samples)
    write_samples(samples, tmp_path / "drawn.png", None, given, origin)
    assert compare(tmp_path / "drawn.png", claim(tmp_path / "drawn.png"), generator, given).same
    write_samples(samples, tmp_path / "drawn", None, given, origin)
    single = sorted((tmp_path / "drawn").iterdir())[0]
    as_png = channels in (1, 3) and one.data.depth != "float"
    assert single.suffix == (".png" if as_png else ".tif")
    read = imagecodecs.png_decode(single.read_bytes()) if as_png else tifffile.imread(single)
    np.testing.assert_array_equal(np.atleast_3d(read).transpose(2, 0, 1), samples.samples[0])
    if given is None:
        assert compare(single, claim(single), generator).same

    for form in ("image/png", "image/jpeg", "image/tiff"):
        assert encoded(generator, 1, samples, form, given)
    if not is_served:
        return
    assert spec.values_in_words[1:] in (workspace.report("deep") / "report.html").read_text()
    assert spec.values_in_words in (workspace.report("deep") / "card.md").read_text()
    registry = Registry.open(workspace)
    champion = registry.champion("deep")
    assert champion is not None
    answer = pyfunc.load_model(str(registry.download(champion, tmp_path / "served"))).predict(request)
    content = base64.b64decode(answer["png" if as_png else "tif"][0])
    assert (imagecodecs.png_decode(content) if as_png else tiff_pages(content)).dtype == kept
    if filled is of_five_bands:  # a quarter of a minute
        export(generator, "onnx", tmp_path / "deep.onnx", "deep")


def test_metrics_read_like_those_of_eight_bits() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (4, 5, 8, 8), dtype=np.uint8)
    plain, deep = Images((5, 8, 8)), Images((5, 8, 8), depth=16, range=(100.0, 100.0 + 255 * 20))
    stored = (rows.astype(np.uint16) * 20) + 100
    np.testing.assert_allclose(deep.levels(stored), plain.levels(rows), atol=1e-4)
    np.testing.assert_array_equal(deep.pictured(stored), rows[:, :3])
    np.testing.assert_array_equal(Images((5, 8, 8), show=(4,)).pictured(rows), rows[:, 3:4])
    np.testing.assert_array_equal(Images((2, 8, 8)).pictured(rows[:, :2]), rows[:, :1])
    assert deep.shown_in_words == "pictures show channels 1, 2, 3 as red, green and blue"
    assert "16-bit values from 100 (black)" in str(deep.misfit(plain))


@pytest.mark.parametrize("depth", [16, "float"])
def test_every_value_survives_the_networks_scale(depth: Any) -> None:
    import torch

    spec = Images((1, 256, 256), depth=depth, range=None if depth == 16 else (-3.0, 5.0))
    stored = np.arange(65_536, dtype=np.uint16).reshape(1, 1, 256, 256)
    if depth == "float":
        stored = np.linspace(-3, 5, 65_536, dtype=np.float32).reshape(1, 1, 256, 256)
    back = spec.to_samples(spec.to_networks(torch.from_numpy(stored))).numpy()
    np.testing.assert_allclose(back, stored, rtol=0, atol=0 if depth == 16 else 1e-6)


def test_one_size_and_another() -> None:
    image = np.rint(values(0, 5, 60_000, 24)).astype(np.uint16)
    shape = Shape((24, 24), channels=5, depth=16)
    np.testing.assert_array_equal(decode(tiff(image), shape, LIMITS).pixels, image.transpose(2, 0, 1))
    small = decode(tiff(image), Shape((12, 12), channels=5, depth=16), LIMITS).pixels
    for band in range(5):
        alone = np.asarray(Image.fromarray(image[..., band].astype(np.float32)).resize((12, 12), Image.Resampling.LANCZOS, reducing_gap=3))
        np.testing.assert_allclose(small[band], alone.clip(0, 65_535), atol=0.51)
    padded = decode(tiff(image[:12]), Shape((24, 24), "pad", channels=5, depth=16), LIMITS).pixels
    assert (padded[:, :6] == 65_535).all()
    np.testing.assert_array_equal(padded[:, 6:18], image[:12].transpose(2, 0, 1))
    crops = decode(tiff(image), Shape((8, 8), "random-crop", 4, channels=5, depth=16), LIMITS).crops
    for crop in crops:
        np.testing.assert_array_equal(crop.pixels, image[crop.top : crop.top + 8, crop.left : crop.left + 8].transpose(2, 0, 1))


RGBX = np.rint(values(0, 4, 255)).astype(np.uint8)


@pytest.mark.parametrize(
    ("content", "shape", "reason"),
    [
        (tiff(RGBX), {"channels": 5}, "unless data.channels: 4"),
        (tiff(RGBX, photometric="rgb", extrasamples=["unspecified"]), {"channels": 3}, "data.channels: 4"),
        (tiff(np.rint(values(0, 6, 255)).astype(np.uint8)), {}, "6 channels, which is not read here unless data.channels: 6"),
        (npy(values(0, 6, 1.0)), {"depth": "float"}, "8 x 8 x 6.*1 or 3 channels.*say data.channels: 6"),
        (npy(np.zeros((4, 8, 8, 3), np.uint8)), {}, "4 x 8 x 8 x 3, and a file is one image"),
        (npy(np.array([["a"]])), {}, "and numbers are taken"),
        (npy(np.array([[None]], dtype=object)), {}, "and numbers are taken"),
        (npy(np.rint(values(0, 1, 255)[..., 0]).astype(np.uint8)), {"depth": 16}, "8-bit pixels, and data.depth is 16"),
        (tiff(values(0, 1, 1)[..., 0].astype(np.float32)), {"depth": 16, "bounds": (0, 1)}, "set data.depth: float"),
        (tiff(values(0, 1, 1)[..., 0].astype(np.float32)), {"depth": "float"}, "say what is black and what is white in data.range"),
        (tiff(np.full((8, 8), np.nan, np.float32)), {"depth": "float", "bounds": (0, 1)}, "no numbers, or infinite"),
        (tiff(np.full((8, 8), 7, np.uint16)), {"depth": 16}, "blank"),
        (npy(np.zeros((8, 8), np.uint8))[:-9], {"channels": 2}, "broken|truncated"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_says_why(content: bytes, shape: dict[str, Any], reason: str) -> None:
    bounds = shape.pop("bounds", None)
    with pytest.raises(UnusableImageError, match=reason):
        decode(content, Shape((8, 8), **shape), LIMITS, bounds)


def test_alpha_is_a_band_where_four_are_asked_for_and_white_otherwise() -> None:
    image = np.rint(values(3, 4, 255)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    np.testing.assert_array_equal(decode(file.getvalue(), Shape((8, 8), channels=4), LIMITS).pixels, image.transpose(2, 0, 1))
    assert decode(file.getvalue(), Shape((8, 8)), LIMITS).pixels.shape == (3, 8, 8)
    with pytest.raises(UnusableImageError, match=r"3 channels and alpha, and data\.channels asks for 5"):
        decode(file.getvalue(), Shape((8, 8), channels=5), LIMITS)
    deep = image.astype(np.uint16) * 257
    np.testing.assert_array_equal(
        decode(imagecodecs.png_encode(deep), Shape((8, 8), channels=4, depth=16), LIMITS).pixels, deep.transpose(2, 0, 1)
    )


def test_pages_are_bands_where_so_many_are_asked_for() -> None:
    image = np.rint(values(1, 4, 60_000)).astype(np.uint16).transpose(2, 0, 1)
    data = tiff(image, planarconfig=None)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert len(file.pages) == 4
    np.testing.assert_array_equal(decode(data, Shape((8, 8), channels=4, depth=16), LIMITS).pixels, image)
    assert decode(data, Shape((8, 8), depth=16), LIMITS).pixels.shape == (1, 8, 8)
    planes = tiff(image, planarconfig="separate", compression="lzw")
    np.testing.assert_array_equal(decode(planes, Shape((8, 8), channels=4, depth=16), LIMITS).pixels, image)


def test_an_npz_of_one_array_and_a_grey_one_in_a_row_of_axes() -> None:
    image = np.rint(values(1, 3, 255)).astype(np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, picture=image)
    np.testing.assert_array_equal(decode(file.getvalue(), Shape((8, 8)), LIMITS).pixels, image.transpose(2, 0, 1))
    np.testing.assert_array_equal(decode(npy(image[..., :1].transpose(2, 0, 1)), Shape((8, 8)), LIMITS).pixels[0], image[..., 0])
    two = io.BytesIO()
    np.savez(two, a=image, b=image)
    with pytest.raises(UnusableImageError, match="holds 2 arrays"):
        decode(two.getvalue(), Shape((8, 8)), LIMITS)


def quarantine(workspace: Workspace) -> dict[str, str]:
    with (workspace.ready("deep") / "quarantine.csv").open(newline="") as file:
        return {row["path"]: row["reason"] for row in csv.DictReader(file)}


def test_what_differs_from_the_rest_is_set_aside_by_name(workspace: Workspace, tmp_path: Path) -> None:
    of_five_bands(tmp_path)
    (tmp_path / "shallow.tif").write_bytes(tiff(np.rint(values(90, 5, 255)).astype(np.uint8)))
    (tmp_path / "four.tif").write_bytes(tiff(np.rint(values(91, 4, 9_000)).astype(np.uint16)))
    (tmp_path / "made.npy").write_bytes(npy(np.zeros((8, 8))))  # beside pictures, no picture
    one = entry({"source": f"folder://{tmp_path}", "depth": 16, "channels": 5, "range": [0, 10_000]})
    one = one.model_copy(update={"validation": ValidateParams(min_samples=10, max_quarantined=0.2)})
    fetch(workspace, "deep", one)
    validate(workspace, "deep", one)
    found = quarantine(workspace)
    assert sorted(found) == ["four.tif", "shallow.tif"]
    assert "8-bit pixels, and data.depth is 16" in found["shallow.tif"]
    assert "asks for 5" in found["four.tif"] or "data.channels: 4" in found["four.tif"]
    assert Dataset.open(workspace.ready("deep")).samples["train"].max() <= 10_000


def test_floats_beside_whole_numbers_are_refused_as_a_whole(workspace: Workspace, tmp_path: Path) -> None:
    of_floats(tmp_path)
    (tmp_path / "levels.npy").write_bytes(npy(np.rint(values(90, 2, 255)).astype(np.uint8)))
    one = entry({"source": f"folder://{tmp_path}", "depth": "float", "channels": 2, "range": "data"})
    fetch(workspace, "deep", one)
    with pytest.raises(DataError, match=r"several sorts: .*npy has float.* and levels.npy has 8 bits"):
        validate(workspace, "deep", one)


@pytest.mark.parametrize("features", ["inception", "dinov2-vit-l-14"])
def test_networks_of_photographs_are_refused_before_training(workspace: Workspace, tmp_path: Path, features: str) -> None:
    told = of_red_green_blue_alpha(tmp_path)
    one = entry({"source": f"folder://{tmp_path}", **told["data"]}, features=features)
    fetch(workspace, "deep", one)
    with pytest.raises(ConfigError, match=rf"{features} knows photographs of 1 or 3 channels, and these have 4 \(data.channels\)"):
        validate(workspace, "deep", one)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"depth": "float"}, "depth: float keeps values .* set range too"),
        ({"depth": 16, "range": [0, 70_000]}, "not within 0 to 65,535"),
        ({"depth": 12}, "data.depth"),
        ({"channels": 0}, "data.channels"),
        ({"channels": 5, "stack": True}, "stack: is for images of 8 bits"),
        ({"depth": 16, "corruption": "noise"}, "corruption: is for images of 8 bits"),
        ({"source": "sklearn://digits", "depth": 16}, "depth: sklearn://digits has grey images of 8 bits"),
        ({"source": "sklearn://digits", "channels": 4}, "channels: sklearn://digits has grey"),
        ({"channels": 5, "show": [1, 2]}, "names 2 channels"),
        ({"channels": 5, "show": [6]}, "names channel 6, and there are 5"),
        ({"source": "points://ring", "depth": 16}, "depth, size: only for images"),
    ],
)
def test_keys_that_do_not_fit_are_refused(data: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        entry({"source": "folder:///photos", "size": 8, **data} if "points" not in str(data) else {"source": "points://ring", "depth": 16})


def test_whole_pictures_keep_their_bands_and_depth(tmp_path: Path) -> None:

    spec = Pairs((5, 16, 16), inputs=(5, 16, 16), depth=16, range=(0.0, 9_000.0))
    params = UnetParams(widths=(4,), normalization="none", skip=True)
    generator = Generator(GeneratorConfig("pix2pix", spec, 1, params, 1, 0, ""), build_generator(params, spec, 1))
    image = np.rint(values(0, 5, 9_000, 40)[:30]).astype(np.uint16)
    whole = read_whole(tiff(image), spec, "--input a.tif")
    np.testing.assert_array_equal(whole.values, image)
    made = translate_whole(generator, whole, None, lambda done, total: None)
    write_whole(made, tmp_path / "made.tif", None)
    found = tifffile.imread(tmp_path / "made.tif")
    assert (found.dtype, found.shape) == (image.dtype, image.shape)
    np.testing.assert_array_equal(found, made.values)
    with pytest.raises(ConfigError, match="holds no 5 channels"):
        write_whole(made, tmp_path / "made.png", None)
    with pytest.raises(ConfigError, match=r"a\.tif.*(data\.channels: 4|has 4 channels)"):
        read_whole(tiff(image[..., :4]), spec, "--input a.tif")
