"""Pictures say what drew them, and drawing again gives them."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image, PngImagePlugin
from real_mlflow import tiny_generator
from signing import write_certificate
from typer.testing import CliRunner

from flows.cli import app
from gan_core.errors import ConfigError, DataError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.sounds import Sounds
from gan_core.kinds.unpaired import Unpaired
from gan_core.networks import build_generator
from gan_core.params.networks import GENERATORS
from tasks.credentials import CERTIFICATE, KEY, Signer, checked
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
    for name, said in (("a.png", "no PNG, JPEG, WebP, WAV or FLAC"), ("plain.png", "says nothing"), ("large.png", "at most 50,000,000")):
        with pytest.raises(DataError, match=said):
            claim(tmp_path / name)
    with pytest.raises(ConfigError, match="not there"):
        claim(tmp_path / "b.png")


@pytest.fixture(scope="module")
def sounding(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    """An untrained generator of sounds of a quarter of a second, which differ by more than rounding."""
    data, params = Sounds((1, 500), classes=("low", "high"), rate=2_000, bands=16), GENERATORS["dcgan"].model_validate({"width": 4})
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        network = build_generator(params, data, 8)
        for weights in network.parameters():
            weights *= 3
    made = Generator(GeneratorConfig("gan", data, 8, params, 640, 3, "d" * 64), network)
    return made.save(tmp_path_factory.mktemp("sounding") / "generator")


class TestSounds:
    ASKED: ClassVar = {"n": 3, "seed": 7, "label": "low"}

    def written(self, sounding: Generator, path: Path, asked: dict[str, object] | None = None) -> Path:
        write_samples(sounding.sample(3, 7, "low"), path, sounding.config.classes, None, origin(sounding, asked or self.ASKED))
        return path

    @pytest.mark.parametrize("suffix", [".wav", ".flac"])
    def test_a_sound_says_what_drew_it_and_drawing_again_gives_it(self, suffix: str, sounding: Generator, tmp_path: Path) -> None:
        file, same = (self.written(sounding, tmp_path / f"{name}{suffix}") for name in "ab")
        assert file.read_bytes() == same.read_bytes()
        said = claim(file)
        assert (said.name, said.version, said.sha256, said.asked, said.index) == ("digits", 2, sounding.config.sha256, self.ASKED, None)
        found = compare(file, said, sounding)
        assert (found.same, "to the value" in found.in_words) == (True, True)
        with soundfile.SoundFile(file) as opened:
            assert opened.software.startswith("Gantry")
        write_samples(sounding.sample(3, 7, "low"), tmp_path / f"plain{suffix}")
        for one, other in zip(soundfile.read(file), soundfile.read(tmp_path / f"plain{suffix}"), strict=True):
            np.testing.assert_array_equal(one, other)
        with pytest.raises(DataError, match="says nothing of what drew it"):
            claim(tmp_path / f"plain{suffix}")

    def test_each_of_a_folder_says_which_one_it_is(self, sounding: Generator, tmp_path: Path) -> None:
        files = sorted(self.written(sounding, tmp_path / "some").iterdir())
        assert [claim(file).index for file in files] == [0, 1, 2]
        assert compare(files[2], claim(files[2]), sounding).same
        other = compare(files[2], Origin(**{**vars(claim(files[2])), "index": 1}), sounding)
        assert (other.same, "another sound" in other.in_words) == (False, True)

    def test_what_was_changed_is_found_out(self, sounding: Generator, tmp_path: Path) -> None:
        file = self.written(sounding, tmp_path / "a.wav")
        data = bytearray(file.read_bytes())
        data[-1] ^= 0x7F  # the last value's upper byte
        file.write_bytes(data)
        assert "another sound" in compare(file, claim(file), sounding).in_words
        (tmp_path / "short.wav").write_bytes(data[:-100])
        found = compare(tmp_path / "short.wav", claim(file), sounding)
        assert (found.same, "and the file has 2,450 values" in found.in_words) == (False, True)

    def test_what_is_too_long_for_a_comment_is_left_out(self, sounding: Generator, tmp_path: Path) -> None:
        for suffix in (".wav", ".flac"):
            said = claim(self.written(sounding, tmp_path / f"a{suffix}", {"label": ["low"] * 1_000}))
            assert (said.version, said.asked) == (2, None)

    def test_broken_files_and_other_generators(self, sounding: Generator, generator: Generator, tmp_path: Path) -> None:
        for name, head in (("a.wav", b"RIFF\0\0\0\0WAVE"), ("a.flac", b"fLaC")):
            (tmp_path / name).write_bytes(head + bytes(60))
            with pytest.raises(DataError, match="is no WAV or FLAC that can be read"):
                claim(tmp_path / name)
        soundfile.write(tmp_path / "a.mp3", np.zeros(4_000), 8_000)
        (tmp_path / "a.mp3").write_bytes(b"ID3\4\0\0\0\0\0\0" + (tmp_path / "a.mp3").read_bytes())
        with pytest.raises(DataError, match="is no WAV or FLAC, but M"):
            claim(tmp_path / "a.mp3")
        file = self.written(sounding, tmp_path / "b.wav")
        with pytest.raises(ConfigError, match="is a sound, and this generator draws images"):
            compare(file, origin(generator), generator)

    @pytest.mark.parametrize("suffix", [".wav", ".flac"])
    def test_a_signed_sound_says_it_too(self, suffix: str, sounding: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for variable, path in zip((CERTIFICATE, KEY), write_certificate(tmp_path), strict=True):
            monkeypatch.setenv(variable, str(path))
        file = self.written(sounding, tmp_path / f"a{suffix}")
        Signer.from_environment().sign_files(file, origin(sounding, self.ASKED))
        assert "signed by Ada" in str(checked(file))
        assert compare(file, claim(file), sounding).same

    def test_a_picture_of_sounds_is_still_a_picture(self, sounding: Generator, tmp_path: Path) -> None:
        file = self.written(sounding, tmp_path / "a.png")
        assert "to the pixel" in compare(file, claim(file), sounding).in_words

    def test_the_command_line(self, sounding: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        folder = tmp_path / "models" / "tones" / "generator"
        sounding.save(folder)
        drawn = ["sample", "--from", "models/tones", "--count", "2"]
        assert CliRunner().invoke(app, [*drawn, "--out", "a.wav"]).exit_code == 0
        done = CliRunner().invoke(app, ["sample", "--identify", "a.wav", "--from", "models/tones"])
        assert (done.exit_code, "the same, to the value" in done.output) == (0, True)
        assert CliRunner().invoke(app, [*drawn, "--out", "b.wav", "--no-provenance"]).exit_code == 0
        assert "says nothing" in str(CliRunner().invoke(app, ["sample", "--identify", "b.wav"]).exception)


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
