"""Pictures say what drew them, and drawing again gives them."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from real_mlflow import tiny_generator
from typer.testing import CliRunner

from flows.cli import app
from gan_core.errors import ConfigError, DataError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.unpaired import Unpaired
from gan_core.networks import build_generator
from gan_core.params.networks import GENERATORS
from tasks.inputs import Inputs
from tasks.provenance import Origin, claim, compare
from tasks.sample_files import write_samples

ASKED = {"n": 5, "seed": 7, "label": "dog", "truncation": 1.5}


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return tiny_generator().save(tmp_path_factory.mktemp("provenance") / "generator")


def origin(generator: Generator, asked: dict[str, object] | None = None) -> Origin:
    return Origin("digits", 2, generator.config.sha256, ASKED if asked is None else asked)


def write(generator: Generator, path: Path) -> None:
    write_samples(generator.sample(5, 7, "dog", truncation=1.5), path, generator.config.classes, None, origin(generator))


@pytest.mark.parametrize(("suffix", "words"), [(".png", "to the pixel"), (".webp", "to the pixel"), (".jpg", "but for compression")])
def test_a_picture_says_what_drew_it_and_drawing_again_gives_it(suffix: str, words: str, generator: Generator, tmp_path: Path) -> None:
    file = tmp_path / f"samples{suffix}"
    write(generator, file)
    said = claim(file)
    assert (said.name, said.version, said.sha256, said.asked, said.index) == ("digits", 2, generator.config.sha256, ASKED, None)
    found = compare(file, said, generator)
    assert found.same
    assert words in found.in_words
    assert b"trainedAlgorithmicMedia" in file.read_bytes()


def test_the_metadata_change_no_pixel_and_the_same_gives_the_same_bytes(generator: Generator, tmp_path: Path) -> None:
    write(generator, tmp_path / "a.png")
    write(generator, tmp_path / "b.png")
    write_samples(generator.sample(5, 7, "dog", truncation=1.5), tmp_path / "plain.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as one, Image.open(tmp_path / "plain.png") as other:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        assert (one.info["Software"].split()[0], other.info) == ("Gantry", {})


def test_each_of_a_folder_says_which_one_it_is(generator: Generator, tmp_path: Path) -> None:
    write_samples(generator.sample(12, 1), tmp_path / "some", generator.config.classes, None, origin(generator, {"n": 12, "seed": 1}))
    files = sorted((tmp_path / "some").iterdir())
    assert [claim(file).index for file in files] == list(range(12))
    assert compare(files[10], claim(files[10]), generator).same
    one = claim(files[10])
    assert not compare(files[10], Origin(**{**vars(one), "index": 1}), generator).same


def test_what_was_changed_is_found_out(generator: Generator, tmp_path: Path) -> None:
    file = tmp_path / "samples.jpg"
    write(generator, file)
    with Image.open(file) as image:
        exif, pixels = image.getexif(), np.array(image)
    pixels[10:30, 10:30] = 255 - pixels[10:30, 10:30]
    Image.fromarray(pixels).save(file, exif=exif, quality=95)
    found = compare(file, claim(file), generator)
    assert (found.same, "another picture" in found.in_words) == (False, True)
    others = tiny_generator(seed=1).save(tmp_path / "others")
    assert "weights are others" in compare(file, claim(file), others).in_words


def test_compressed_once_more_it_is_still_known(generator: Generator, tmp_path: Path) -> None:
    write(generator, tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x010E] = origin(generator).text(None)
    with Image.open(tmp_path / "a.png") as image:
        image.save(tmp_path / "a.jpg", quality=90, subsampling=0, exif=exif)
    assert "but for compression" in compare(tmp_path / "a.jpg", claim(tmp_path / "a.jpg"), generator).in_words


def test_a_translation_is_known_beside_what_it_was_made_from(tmp_path: Path) -> None:
    data, params = Unpaired((3, 16, 16), inputs=(3, 16, 16)), GENERATORS["round-trip"].model_validate({"width": 4, "blocks": 1})
    made = Generator(GeneratorConfig("cyclegan", data, 0, params, 640, 3, "d" * 64), build_generator(params, data, 0))
    made = made.save(tmp_path / "generator")
    given = Inputs(np.random.default_rng(1).integers(0, 256, (2, 3, 16, 16), dtype=np.uint8), ("a", "b"))
    file = tmp_path / "photos.png"
    write_samples(made.translate(given.images), file, None, given, Origin("photos", 1, made.config.sha256, None))
    assert compare(file, claim(file), made, given).same
    assert not compare(file, claim(file), made, Inputs(given.images[::-1].copy(), ("b", "a"))).same
    with pytest.raises(ConfigError, match="of a translation, give --input too"):
        compare(file, claim(file), made)


def told(path: Path, text: str) -> Path:
    info = PngImagePlugin.PngInfo()
    info.add_text("gantry", text)
    Image.new("L", (40, 40)).save(path, pnginfo=info)
    return path


SHA = "0" * 64


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[" * 5_000,
        "[1]",
        json.dumps({"name": "../x", "version": 1, "sha256": SHA, "asked": None}),
        json.dumps({"name": "digits", "version": 1, "sha256": "\x1b[2J", "asked": None}),
        json.dumps({"name": "digits", "version": True, "sha256": SHA, "asked": None}),
        json.dumps({"name": "digits", "version": 1, "sha256": SHA, "asked": "rm"}),
        json.dumps({"name": "digits", "version": 1, "sha256": SHA, "asked": {"label": "x" * 20_000}}),
        json.dumps({"name": "digits", "version": 1, "sha256": SHA, "asked": None, "more": 1}),
    ],
)  # fmt: skip
def test_metadata_of_another_form_say_nothing(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not as Gantry writes them"):
        claim(told(tmp_path / "a.png", text))


def test_what_metadata_say_is_a_line_of_printable_text(tmp_path: Path) -> None:
    asked = {"label": "\x1b[2J\n" + "x" * 5_000}
    words = claim(told(tmp_path / "a.png", json.dumps({"name": "digits", "version": 1, "sha256": SHA, "asked": asked}))).in_words
    assert words.isprintable()
    assert len(words) < 600


@pytest.mark.parametrize(
    ("asked", "index", "said"),
    [
        ({"n": 10_001}, None, "n: 10001 is not in 1 to 10,000"),
        ({"n": 9_000}, None, "too few pixels"),
        ({"n": 4}, 4, "sample 4 of 4"),
        ({"n": 4, "sed": 1}, None, "did you mean seed"),
        ({"n": 4, "label": "horse"}, None, "no class 'horse'"),
        ({"n": "4"}, None, "is no whole number"),
    ],
)
def test_a_claim_that_cannot_be_drawn_is_refused_before(
    asked: dict[str, object], index: int | None, said: str, generator: Generator, tmp_path: Path
) -> None:
    file = told(tmp_path / "a.png", Origin("digits", 1, generator.config.sha256, asked).text(index))
    with pytest.raises(ConfigError, match=said):
        compare(file, claim(file), generator)


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 60)
    Image.new("L", (4, 4)).save(tmp_path / "plain.png")
    Image.new("1", (10_000, 6_000)).save(tmp_path / "large.png")
    for name, said in (("a.png", "no PNG, JPEG or WebP"), ("plain.png", "says nothing"), ("large.png", "at most 50,000,000")):
        with pytest.raises(DataError, match=said):
            claim(tmp_path / name)
    with pytest.raises(ConfigError, match="not there"):
        claim(tmp_path / "b.png")


def test_the_command_line(generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models" / "digits" / "generator"
    tiny_generator().save(folder)
    monkeypatch.chdir(tmp_path)

    def gantry(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["sample", *words])
        return done.exit_code, done.output if done.exception is None or isinstance(done.exception, SystemExit) else str(done.exception)

    assert gantry("--from", "models/digits", "--count", "4", "--label", "dog", "--out", "a.webp")[0] == 0
    code, said = gantry("--identify", "a.webp", "--from", "models/digits")
    assert (code, "to the pixel" in said, '{"label": "dog", "n": 4, "seed": 0}' in said) == (0, True, True)
    assert "say where it is, with --from" in gantry("--identify", "a.webp")[1]
    assert gantry("--from", "models/digits", "--out", "b.png", "--no-provenance")[0] == 0
    assert "says nothing of what drew it" in gantry("--identify", "b.png")[1]
    assert "leave all but" in gantry("--identify", "b.png", "--seed", "1")[1]
    assert Image.open(BytesIO(Path("b.png").read_bytes())).info == {}
