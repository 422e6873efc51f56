"""Pictures of any size, translated whole by `gantry sample --tile`, and written back as they came."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin
from raw_sets import png
from signing import write_certificate

from flows import cli
from gan_core.errors import ConfigError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.pairs import Pairs
from gan_core.networks import build_generator
from gan_core.params.common import Fit
from gan_core.params.networks import UnetParams
from tasks.credentials import CERTIFICATE, KEY, SIGNED, Signer, checked
from tasks.inputs import read_inputs
from tasks.provenance import Origin, claim
from tasks.validation import formats
from tasks.whole import translate_files

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def generator_of(channels: int = 3, inputs: int = 3, fit: Fit | None = None) -> Generator:
    """One that hardly changes what it is given, so that what went wrong on the way would be seen."""
    params = UnetParams(widths=(4,), normalization="none", skip=True)
    data = Pairs(shape=(channels, 16, 16), inputs=(inputs, 16, 16), fit=fit)
    torch.manual_seed(0)
    network = build_generator(params, data, 1)
    return Generator(GeneratorConfig("pix2pix", data, 1, params, 1, 0, ""), network)


def photo(height: int, width: int, top: int = 255) -> NDArray[Any]:
    rows, columns = np.mgrid[0:height, 0:width]
    parts = [rows / height, columns / width, (rows + columns) / (height + width)]
    return (np.stack(parts, axis=2) * top).astype(np.uint8 if top == 255 else np.uint16)


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def exif(orientation: int) -> Image.Exif:
    told = Image.Exif()
    told[0x0112], told[0x010F] = orientation, "a camera"
    return told


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("orientation", [1, 2, 6, 7])
def test_size_profile_and_turn_are_kept(tmp_path: Path, suffix: str, orientation: int) -> None:
    image = Image.fromarray(photo(70, 110))
    given = saved(tmp_path / f"given{suffix}", image, exif=exif(orientation), icc_profile=SRGB, quality=95)
    out = tmp_path / f"made{suffix}"
    assert translate_files(generator_of(), given, out, 64) == 1
    made = Image.open(out)
    assert (made.size, made.mode, made.info["icc_profile"]) == (image.size, "RGB", SRGB)
    assert (made.getexif()[0x0112], made.getexif()[0x010F]) == (orientation, "a camera")
    assert np.abs(np.asarray(made).astype(int) - np.asarray(image)).mean() < 6


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_signature_says_what_the_metadata_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    for variable, path in zip((CERTIFICATE, KEY), write_certificate(tmp_path), strict=True):
        monkeypatch.setenv(variable, str(path))
    (given := tmp_path / "given").mkdir()
    for name in ("a", "b"):
        saved(given / f"{name}{suffix}", Image.fromarray(photo(70, 110)))
    origin, signer = Origin("photos", 1, "a" * 64, None), Signer.from_environment()
    assert translate_files(generator_of(), given, tmp_path / "made", 64, origin, signer=signer) == 2
    for file in (tmp_path / "made").iterdir():
        said = claim(file)
        assert (said.asked, said.index) == ({"tile": 64}, None)
        with c2pa.Reader(SIGNED[suffix], BytesIO(file.read_bytes())) as reader:
            manifest = json.loads(reader.json())
            signed = {one["label"]: one["data"] for one in manifest["manifests"][manifest["active_manifest"]]["assertions"]}
        assert Origin(**signed["io.gantry.origin"]) == said
        assert "signed by Ada" in str(checked(file))


def test_a_picture_that_is_turned_goes_upright_through_the_generator(tmp_path: Path) -> None:
    lying = saved(tmp_path / "lying.png", Image.fromarray(np.rot90(photo(70, 110), 1).copy()), exif=exif(6))
    upright = saved(tmp_path / "upright.png", Image.fromarray(photo(70, 110)))
    for given in (lying, upright):
        translate_files(generator_of(), given, tmp_path / f"made-{given.name}", 64)
    turned = np.asarray(Image.open(tmp_path / "made-lying.png"))
    np.testing.assert_array_equal(np.rot90(turned, -1), np.asarray(Image.open(tmp_path / "made-upright.png")))


def test_sixteen_bits_stay_sixteen_bits(tmp_path: Path) -> None:
    deep = photo(60, 90, 65_535)
    (tmp_path / "deep.png").write_bytes(formats_png(deep))
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb", iccprofile=SRGB, extratags=[(274, "H", 1, 8, True)])
    translate_files(generator_of(), tmp_path / "deep.png", tmp_path / "made.png", 64)
    translate_files(generator_of(), tmp_path / "deep.tif", tmp_path / "made.tif", 64)
    by_png = formats.read("PNG", (tmp_path / "made.png").read_bytes(), lambda width, height: None, None)
    assert by_png is not None
    with tifffile.TiffFile(tmp_path / "made.tif") as file:
        page = file.pages.first
        by_tiff = page.asarray()
        assert (page.tags[274].value, page.tags[34_675].value) == (8, SRGB)
    for made in (by_png.values, by_tiff):
        assert (made.dtype, made.shape) == (np.uint16, deep.shape)
        assert len(np.unique(made & 0xFF)) > 200  # the low bytes hold something
        assert np.abs(made.astype(int) - deep).mean() < 6 * 257
    for suffix, message in ((".jpg", "name it .png or .tif"), (".bmp", "written as .png, .jpg, .webp or .tif")):
        with pytest.raises(ConfigError, match=message):
            translate_files(generator_of(), tmp_path / "deep.png", tmp_path / f"made{suffix}", 64)


def formats_png(values: NDArray[np.uint16]) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.png_encode(values))


def test_float_pixels_come_back_as_float_within_the_range_of_the_data(tmp_path: Path) -> None:
    generator = generator_of()
    ranged = Generator(replace(generator.config, data=replace(Pairs.of(generator.config.data), range=(200.0, 300.0))), generator.network)
    kelvin = (photo(40, 50, 65_535) / 65_535 * 100 + 200).astype(np.float32)
    tifffile.imwrite(tmp_path / "kelvin.tif", kelvin, photometric="rgb")
    translate_files(ranged, tmp_path / "kelvin.tif", tmp_path / "made.tif", 64)
    made = tifffile.imread(tmp_path / "made.tif")
    assert made.dtype == np.float32
    assert np.abs(made - kelvin).mean() < 3
    with pytest.raises(ConfigError, match=r"kelvin\.tif: float or signed pixels.*data\.range"):
        translate_files(generator, tmp_path / "kelvin.tif", tmp_path / "again.tif", 64)


def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "given"
    (folder / "deeper").mkdir(parents=True)
    image = Image.fromarray(photo(40, 50))
    image.convert("CMYK").save(folder / "print.tif", icc_profile=SRGB)
    see_through = image.convert("RGBA")
    see_through.putalpha(Image.new("L", image.size, 0))
    see_through.save(folder / "deeper" / "glass.png")
    image.convert("L").save(folder / "grey.jpg", icc_profile=SRGB)
    notes: list[str] = []
    assert translate_files(generator_of(), folder, tmp_path / "made", 64, on_note=notes.append) == 3
    assert sorted(notes) == [
        "deeper/glass.png: its transparent parts are on white now",
        "grey.jpg: its colour profile is left out, since the number of channels is another now",
        "print.tif: CMYK has become RGB, without its colour profile",
    ]
    assert {str(path.relative_to(tmp_path / "made")) for path in (tmp_path / "made").rglob("*.*")} == {
        "print.tif", "deeper/glass.png", "grey.jpg",
    }  # fmt: skip
    assert np.asarray(Image.open(tmp_path / "made" / "deeper" / "glass.png")).min() > 230


def test_what_is_wrong_with_a_file_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    Image.fromarray(photo(40, 50)).save(folder / "good.png")
    (folder / "dot.png").write_bytes(png(np.zeros((1, 1, 3), dtype=np.uint8)))
    (folder / "torn.png").write_bytes(png(photo(40, 50))[:200])
    with pytest.raises(ConfigError) as raised:
        translate_files(generator_of(), folder, tmp_path / "made", 64)
    told = str(raised.value).split("\n")
    assert "dot.png: too small: 1 x 1 pixels" in told[0]
    assert "torn.png: truncated" in told[1]
    assert told[2].startswith("1 of 3 are in")
    assert (tmp_path / "made" / "good.png").exists()
    for out, message in ((tmp_path / "one.png", "name a folder without a dot"), (tmp_path / "made", "holds files already")):
        with pytest.raises(ConfigError, match=message):
            translate_files(generator_of(), folder, out, 64)
    with pytest.raises(ConfigError, match="tile: 8 is too small"):
        translate_files(generator_of(), folder, tmp_path / "other", 8)


def test_the_command_keeps_the_size_with_tile_and_for_generators_of_crops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given = saved(tmp_path / "scan.png", Image.fromarray(photo(90, 130)))
    for name, fit in (("plain", None), ("crops", "random-crop")):
        generator_of(fit=fit).save(tmp_path / "models" / name / "generator")  # type: ignore[arg-type]
    sizes = {}
    for name, tile in (("plain", []), ("plain", ["--tile", "64"]), ("crops", [])):
        out = f"{name}{''.join(tile)}.png"
        monkeypatch.setattr("sys.argv", ["gantry", "sample", "--from", f"models/{name}", "--input", str(given), "--out", out, *tile])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code in (0, None), capsys.readouterr()
        sizes[out] = Image.open(out).size
    assert sizes["plain--tile64.png"] == sizes["crops.png"] == (130, 90)
    assert sizes["plain.png"] == (32 * 2 + 6, 32 + 4)  # a grid: given, made
    assert claim(tmp_path / "crops.png").name == "crops"
    told = capsys.readouterr()
    assert "1 whole picture in crops.png" in told.out
    assert told.err.count("note: the picture is larger than 16 x 16 and brought to that size; --tile 512 keeps size and shape") == 1
    # As `--input` did before, a square of the size that it was trained on.
    assert read_inputs(given, Pairs(shape=(3, 16, 16), inputs=(3, 16, 16))).images.shape == (1, 3, 16, 16)
    # One crop, from the middle, where it is asked for as such: by the served model, and to be identified.
    crop = read_inputs(given, Pairs(shape=(3, 16, 16), inputs=(3, 16, 16), fit="random-crop")).images[0]
    np.testing.assert_array_equal(crop, photo(90, 130)[37:53, 57:73].transpose(2, 0, 1))


class TestDrawnAgain:
    """`gantry sample --identify` of what was translated whole."""

    @pytest.fixture
    def ask(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
        monkeypatch.chdir(tmp_path)
        generator_of().save(tmp_path / "models" / "scans" / "generator")

        def asked(*words: str) -> tuple[int, str]:
            monkeypatch.setattr("sys.argv", ["gantry", "sample", "--from", "models/scans", *words])
            with pytest.raises(SystemExit) as ended:
                cli.main()
            told = capsys.readouterr()
            return int(ended.value.code or 0), told.out + told.err

        return asked

    @pytest.mark.parametrize(
        ("given", "made"),
        [("a.png", "b.png"), ("turned.jpg", "b.jpg"), ("a.png", "b.webp"), ("deep.png", "b.png"), ("deep.tif", "b.tif")],
    )
    def test_in_the_forms_that_it_is_written_in(self, given: str, made: str, ask: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
        if given == "deep.png":
            (tmp_path / given).write_bytes(formats_png(photo(70, 110, 65_535)))
        elif given == "deep.tif":
            tifffile.imwrite(given, photo(70, 110, 65_535), photometric="rgb")
        else:
            saved(tmp_path / given, Image.fromarray(photo(70, 110)), exif=exif(6 if "turned" in given else 1))
        assert ask("--input", given, "--tile", "64", "--out", made)[0] == 0
        assert claim(tmp_path / made).tile == 64
        code, said = ask("--identify", made, "--input", given)
        assert (code, "to the pixel" in said, "translated whole, in tiles of 64 pixels" in said) == (0, True, True), said

    def test_what_is_another_picture_and_what_cannot_be_drawn(self, ask: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
        saved(tmp_path / "a.png", Image.fromarray(photo(70, 110)))
        saved(tmp_path / "dark.png", Image.fromarray(photo(70, 110) // 2))
        saved(tmp_path / "small.png", Image.fromarray(photo(60, 110)))
        (tmp_path / "deep.png").write_bytes(formats_png(photo(70, 110, 65_535)))
        ask("--input", "a.png", "--tile", "64", "--out", "b.png")
        for given, said in (
            ("dark.png", "it is another picture"),
            ("small.png", "it has 110 x 70 pixels, and --input has 110 x 60"),
            ("deep.png", "its pixels are uint8, and those of --input uint16"),
        ):
            code, told = ask("--identify", "b.png", "--input", given)
            assert (code, said in told, "Traceback" in told) == (1, True, False), told
        for words, said in (
            ([], "without what it was made from"),
            (["--tile", "64"], "give what it was made from too, as --input"),
            (["--input", "."], "name the picture in it that b.png was made from"),
            (["--input", "nothing.png"], "nothing.png: not there"),
            (["--input", "a.png", "--tile", "8"], "tile: 8 is too small"),
        ):
            code, told = ask("--identify", "b.png", *words)
            assert (code != 0, said in told, "Traceback" in told) == (True, True, False), told

    def test_what_a_file_does_not_say_is_told(self, ask: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
        kept = generator_of().save(tmp_path / "kept")
        saved(tmp_path / "a.png", Image.fromarray(photo(70, 110)))
        ask("--input", "a.png", "--tile", "64", "--out", "b.tif")
        for name, asked in (("before.tif", None), ("large.tif", {"tile": 10**6})):
            text = Origin("scans", None, kept.config.sha256, asked).text(None)
            tifffile.imwrite(tmp_path / name, tifffile.imread("b.tif"), photometric="rgb", description=text, metadata=None)
        assert "say --tile 1000000 too" in ask("--identify", "large.tif", "--input", "a.png")[1]
        assert "to the pixel" in ask("--identify", "large.tif", "--input", "a.png", "--tile", "64")[1]
        assert "to the pixel" in ask("--identify", "before.tif", "--input", "a.png", "--tile", "64")[1]
        ask("--input", "a.png", "--tile", "64", "--out", "b.png")
        with Image.open("b.png") as image:
            info = PngImagePlugin.PngInfo()
            info.add_text("gantry", Origin("scans", None, kept.config.sha256, None).text(None))
            image.save("before.png", pnginfo=info)
        assert "if it was translated whole, say in tiles of how many pixels" in ask("--identify", "before.png", "--input", "a.png")[1]
        (tmp_path / "torn.tif").write_bytes((tmp_path / "b.tif").read_bytes()[:40])
        assert "is no TIFF that can be read" in ask("--identify", "torn.tif")[1]
        tifffile.imwrite("plain.tif", photo(8, 8))
        assert "says nothing of what drew it" in ask("--identify", "plain.tif")[1]
