"""What a notebook imports: data from arrays and folders, the distance in one call, a live picture; and each public name's example runs."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gan_core
from gan_core import Dataset, GanParams, GantryError, Generator, Live, data_from_arrays, data_from_folder, fid, train
from gan_core.kinds.images import Images

Array = np.ndarray
draw = np.random.default_rng(0)
IMAGES = draw.integers(0, 256, (40, 3, 8, 8), dtype=np.uint8)


@pytest.mark.parametrize("name", gan_core.__all__)
def test_each_public_name_has_an_example_that_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named = getattr(gan_core, name)
    examples = doctest.DocTestParser().get_doctest(named.__doc__, {"Path": Path}, name, None, None)
    assert len(examples.examples) >= 2
    said: list[str] = []
    outcome = doctest.DocTestRunner().run(examples, out=said.append)
    assert outcome.failed == 0, "".join(said)


def test_parameters_are_imported_without_torch() -> None:
    import subprocess
    import sys

    code = "import sys; from gan_core import GanParams; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(ImportError, match="cannot import name 'GanParam'"):
        exec("from gan_core import GanParam")  # noqa: S102


@pytest.mark.parametrize("given", [IMAGES, IMAGES.transpose(0, 2, 3, 1)], ids=["channels first", "channels last"])
def test_images_are_split_by_what_is_in_them_whatever_their_order(given: Array) -> None:
    data = data_from_arrays(given, labels=np.arange(40) % 4, holdout=0.25)
    assert dict(data.spec.counts) == {"train": 30, "holdout": 10}
    held = {one.tobytes() for one in data.samples["holdout"]}
    assert held < {one.tobytes() for one in IMAGES}
    assert not held & {one.tobytes() for one in data.samples["train"]}
    by_pixels = {one.tobytes(): i % 4 for i, one in enumerate(IMAGES)}
    for split in ("train", "holdout"):
        assert [by_pixels[one.tobytes()] for one in data.samples[split]] == data.labels[split].tolist()
    turned = data_from_arrays(given[::-1], holdout=0.25)
    assert {one.tobytes() for one in turned.samples["holdout"]} == held


@pytest.mark.parametrize(
    ("given", "bounds", "kept", "told"),
    [
        (draw.integers(0, 10_000, (40, 5, 10, 10), dtype=np.uint16), (100, 9_000), np.uint16, (100, 9_000)),
        (draw.integers(0, 10_000, (40, 10, 12, 2)).astype(">u2"), None, np.uint16, (0, 65_535)),
        (draw.normal(size=(40, 10, 10)), None, np.float32, None),
    ],
    ids=["bands", "channels last", "floats"],
)
def test_deep_images_and_bands_are_kept_trained_on_and_drawn(
    given: Array, bounds: tuple[float, float] | None, kept: type, told: tuple[float, float] | None, tmp_path: Path
) -> None:
    data = data_from_arrays(given, range=bounds)
    spec = Images.of(data.spec)
    low, high = told or (np.float32(given.min()), np.float32(given.max()))
    assert (spec.dtype, spec.bounds) == (kept, (low, high))
    first = given.transpose(0, 3, 1, 2) if given.shape[3:] == (2,) else given.reshape(40, -1, 10, 10)
    packed = np.concatenate([data.samples["train"], data.samples["holdout"]])
    clipped = {one.tobytes() for one in first.clip(low, high).astype(kept)}
    assert {one.tobytes() for one in packed} == clipped
    train(GanParams(images=64, batch=16, generator={"network": "mlp"}, discriminator={"network": "mlp"}), data, tmp_path / "run")
    generator = Generator.load(tmp_path / "run" / "generator")
    drawn = generator.sample(8, seed=0).samples
    assert (drawn.dtype, drawn.shape[1:]) == (kept, data.spec.shape)
    assert low <= drawn.min() <= drawn.max() <= high
    assert fid(generator, data) > 0


def test_equal_samples_stay_on_one_side() -> None:
    data = data_from_arrays(np.repeat(IMAGES[:10], 8, axis=0), holdout=0.1)
    held = {one.tobytes() for one in data.samples["holdout"]}
    assert held
    assert not held & {one.tobytes() for one in data.samples["train"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": IMAGES.astype(np.int64)}, r"images uint8, uint16 or floats; these are int64 \(40, 3, 8, 8\)"),
        ({"samples": np.where(IMAGES == 7, np.nan, IMAGES)}, "samples: not all are finite"),
        ({"samples": np.zeros((40, 8, 8))}, "samples: all values are 0"),
        ({"samples": IMAGES / 255, "range": (1, 0)}, "range: 1 is not below 0"),
        ({"samples": IMAGES, "range": (0, 1)}, "range: of uint8 images black is 0 and white 255"),
        ({"samples": IMAGES.astype(np.uint16), "range": (-1, 255)}, "range: -1 to 255 is not within 0 to 65,535"),
        ({"samples": np.repeat(IMAGES, 2, axis=1)}, r"C of 1 or 3, .* and these are \(40, 6, 8, 8\)"),
        ({"samples": IMAGES[:3]}, "3 are too few"),
        ({"samples": np.repeat(IMAGES[:1], 9, axis=0)}, "equal ones count as one"),
        ({"samples": IMAGES, "labels": np.arange(39)}, r"expected 40 whole numbers from 0, one a sample, and got int64 \(39,\)"),
        ({"samples": IMAGES, "labels": np.arange(40), "classes": ["a", "b"]}, "39 has no name; there are 2 classes"),
        ({"samples": IMAGES, "classes": ["a"]}, "names of labels, and there are none"),
        ({"samples": IMAGES, "holdout": 1.0}, "is not between 0 and 1"),
        ({"samples": draw.normal(size=(9, 2)), "labels": np.zeros(9, dtype=int)}, "labels: points have none"),
        ({"samples": draw.normal(size=(9, 2)), "range": (0, 1)}, "range: points have none"),
        ({"samples": np.array([[0.0, np.nan]] * 9)}, "not all are finite"),
    ],
)
def test_arrays_that_make_no_data_set_are_refused(arguments: dict[str, Array], message: str) -> None:
    with pytest.raises(GantryError, match=message):
        data_from_arrays(**arguments)  # type: ignore[arg-type]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """As people have them: of several sizes, one on its side by EXIF, one transparent, one cut off, and what is no picture."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(5):
        Image.fromarray(draw.integers(0, 256, (40 + number, 60, 3), dtype=np.uint8)).save(folder / f"{number}.JPG", format="jpeg")
    upper = np.zeros((40, 40, 3), dtype=np.uint8)
    upper[:20] = 255
    exif = Image.Exif()
    exif[0x112] = 6  # to be turned to the right by 90 degrees
    Image.fromarray(upper).save(folder / "side.png", exif=exif)
    Image.new("RGBA", (30, 30), (200, 0, 0, 0)).save(folder / "clear.png")
    Image.fromarray(np.full((30, 30), 4_000, dtype=np.uint16)).save(folder / "deep.png")
    (folder / "cut.jpg").write_bytes((folder / "0.JPG").read_bytes()[:500])
    (folder / "notes.txt").write_text("a trip")
    (folder / ".thumb.png").write_bytes((folder / "clear.png").read_bytes())
    return folder


def all_of(data: Dataset) -> list[Array]:
    return [*data.samples["train"], *data.samples["holdout"]]


def test_photos_become_upright_squares_and_what_cannot_be_read_is_named(photos: Path) -> None:
    with pytest.warns(UserWarning, match=r"left out, since they cannot be read: cut\.jpg \(.*\), deep\.png \(more than 8 bits"):
        data = data_from_folder(photos, size=16)
    assert (data.spec.shape, data.spec.classes, sum(data.spec.counts.values())) == ((3, 16, 16), None, 7)
    assert any((one == 255).all() for one in all_of(data))  # transparent is white, whatever colour lies below
    turned = np.zeros((3, 16, 16), dtype=np.uint8)
    turned[:, :, 8:] = 255  # what was above is to the right
    assert min(np.abs(one.astype(int) - turned).mean() for one in all_of(data)) < 10


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GantryError, match="0 pictures can be read; at least 4"):
        data_from_folder(tmp_path)
    with pytest.raises(GantryError, match="no folder"):
        data_from_folder(tmp_path / "other")


class Copying(torch.nn.Module):
    """Draws the very images that it was given, uint8 (N, C, H, W)."""

    def __init__(self, images: Array) -> None:
        super().__init__()
        self.images = torch.nn.Parameter(torch.from_numpy(images / 127.5 - 1).float(), requires_grad=False)

    def forward(self, latents: torch.Tensor, labels: None) -> torch.Tensor:
        return self.images[: len(latents)]


def test_the_distance_tells_a_generator_of_real_images_from_one_of_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    side = np.linspace(0, 255, 8).astype(np.uint8)
    ramps = np.stack([np.roll(np.broadcast_to(side, (8, 8)), shift, axis=1) for shift in draw.integers(0, 8, 300)])
    ramps = ramps ^ draw.integers(0, 4, ramps.shape, dtype=np.uint8)
    data = data_from_arrays(ramps, holdout=0.3)
    mlp = {"network": "mlp"}
    assert train(GanParams(images=64, batch=16, generator=mlp, discriminator=mlp), data, tmp_path)
    generator = Generator.load(tmp_path / "generator")
    untrained = fid(generator, data)
    assert untrained == fid(generator, data)
    real = data.samples["train"]
    monkeypatch.setattr(generator, "network", Copying(real))
    assert 10 * fid(generator, data, samples=len(real)) < untrained
    with pytest.raises(GantryError, match="has points"):
        fid(generator, data_from_arrays(draw.normal(size=(50, 2))))


def test_the_live_picture_grows_a_curve_beside_the_newest_preview(tmp_path: Path) -> None:
    live = Live(tmp_path)
    assert live.picture().shape == (400, 640, 3)
    data = data_from_arrays(draw.normal(size=(200, 2)))
    assert train(GanParams(images=1_000, batch=100), data, tmp_path)
    picture = live.picture()
    newest = max((tmp_path / "samples").glob("*.png"))
    assert (picture[:512, :512] == np.asarray(Image.open(newest))).all()
    coloured = (picture[:, 520:].max(axis=2) - picture[:, 520:].min(axis=2) > 100).sum()
    assert coloured > 500  # two lines and their names
