"""What a file is by its bytes: what is read, by whom, and what the others are called."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tasks.params import ValidateParams
from tasks.validation import formats
from tasks.validation.formats import FORMATS, UnusableImageError, format_of, readable
from tasks.validation.images import decode

LIMITS = ValidateParams()
ROWS, COLUMNS = np.mgrid[0:16, 0:16] * 17
COLOURS = np.stack([ROWS, COLUMNS, 255 - ROWS], axis=2).astype(np.uint8)


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def tiff(array: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def pixels(data: bytes, size: int = 16) -> NDArray[np.int64]:
    return decode(data, size, LIMITS).pixels.transpose(1, 2, 0).astype(int)


class TestNamed:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (bytes(128) + b"DICM" + bytes(20), "a DICOM file, which is not read here; save its pictures as PNG or TIFF of 16 bits"),
            (b"\0\0\0\x14ftypisom\0\0\0\0mp42", "a video"),
            (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "a video"),
            (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "a Canon raw file"),
            (b"\x1a\x45\xdf\xa3" + bytes(20), "a video"),
            (b"RIFF\0\0\0\0WAVEfmt ", "a sound"),
            (b"RIFF\0\0\0\0AVI LIST", "a video"),
            (b"II\xbc\x01" + bytes(20), "a JPEG XR file"),
            (b"v/1\x01" + bytes(20), "an OpenEXR file"),
            (b"#?RADIANCE\n", "a Radiance HDR file"),
            (b"qoif" + bytes(20), "a QOI file"),
            (b"P7\nWIDTH 2\n", "a PAM file"),
            (b"gimp xcf v011", "a GIMP file"),
            (b"SIMPLE  =                    T", "a FITS file"),
            (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
            (b"Rar!\x1a\x07\0", "a RAR archive"),
            (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        ],
    )
    def test_what_is_no_picture_or_not_read(self, data: bytes, reason: str) -> None:
        with pytest.raises(UnusableImageError, match=reason) as refused:
            decode(data, 16, LIMITS)
        assert "broken" not in str(refused.value)

    @pytest.mark.parametrize(
        ("array", "options", "reason"),
        [
            (np.dstack([COLOURS, COLOURS[..., :1]]).astype(np.uint16), {"photometric": "separated"}, "a TIFF file of 16-bit CMYK, which"),
            (np.dstack([COLOURS] * 2), {"photometric": "minisblack", "planarconfig": "contig"}, "a TIFF file of 6 channels, which"),
            (COLOURS[..., 0], {"photometric": "cfa"}, "a TIFF file of CFA pixels, which"),
            (COLOURS, {"photometric": "rgb", "compression": "lerc"}, "a TIFF file compressed by LERC, which"),
            (COLOURS.astype(np.complex64)[..., 0], {}, "a TIFF file of 64-bit pixels, which"),
            (np.stack([ROWS.astype(np.uint8)] * 16), {"volumetric": True, "tile": (16, 16, 16)}, "a TIFF file that holds a volume, which"),
        ],
    )
    def test_tiff_files_that_are_not_read_are_not_called_broken(self, array: NDArray[Any], options: dict[str, Any], reason: str) -> None:
        with pytest.raises(UnusableImageError, match=reason):
            decode(tiff(array, **options), 16, LIMITS)

    def test_signed_jpeg_2000(self) -> None:
        data = imagecodecs.jpeg2k_encode((ROWS - 128).astype(np.int16), level=0, codecformat="j2k")
        with pytest.raises(UnusableImageError, match="a JPEG 2000 file of signed pixels, which is not read here"):
            decode(data, 16, LIMITS)

    @pytest.mark.parametrize("kind", ["AVIF", "HEIC"])
    def test_what_this_machine_cannot_read_says_what_reads_it(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(formats.features, "check", lambda feature: False)
        monkeypatch.setattr(formats, "find_spec", lambda module: None)
        brand = b"avif" if kind == "AVIF" else b"heic"
        with pytest.raises(UnusableImageError, match=r"this build of Pillow does not read" if kind == "AVIF" else r"gantry-gan\[heic\]"):
            format_of(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1" + brand)
        read, missing = readable()
        assert set(missing) == {"AVIF", "HEIC"}
        assert set(read) | set(missing) == set(FORMATS)


class TestJpeg:
    """Small files do not go through Pillow, and come out the same bit for bit."""

    @pytest.mark.parametrize("mode", ["RGB", "L"])
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"progressive": True},
            {"subsampling": 0},
            {"subsampling": 2, "optimize": True},
            {"restart_marker_rows": 1},
            {"comment": b"x"},
        ],
    )
    def test_as_pillow_reads_it(self, mode: str, options: dict[str, Any]) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (33, 33, 3), dtype=np.uint8)
        data = encode(Image.fromarray(noise).convert(mode), "JPEG", **options)
        with Image.open(io.BytesIO(data)) as image:
            expected = np.atleast_3d(np.asarray(image))
        np.testing.assert_array_equal(pixels(data, 33), expected)
        np.testing.assert_array_equal(pixels(data + b"anything behind it", 33), expected)

    @pytest.mark.parametrize("precision", [8, 12])
    def test_is_turned_upright(self, precision: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        coded = encode(Image.fromarray(COLOURS), "JPEG", exif=exif, quality=98, subsampling=0)
        if precision == 12:
            plain = imagecodecs.jpeg8_encode(COLOURS.astype(np.uint16) * 16, level=98, bitspersample=12)
            start = coded.index(b"\xff\xe1")
            coded = plain[:2] + coded[start : start + 2 + int.from_bytes(coded[start + 2 : start + 4], "big")] + plain[2:]
        assert np.abs(pixels(coded) - np.rot90(COLOURS, -1).astype(int)).max() < 30

    def test_a_thumbnail_s_end_is_not_the_picture_s(self) -> None:
        inner = encode(Image.fromarray(COLOURS[:8, :8]), "JPEG")
        whole = encode(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)), "JPEG")
        with_thumbnail = whole[:2] + b"\xff\xec" + struct.pack(">H", len(inner) + 2) + inner + whole[2:]
        np.testing.assert_array_equal(pixels(with_thumbnail), pixels(whole))
        with pytest.raises(UnusableImageError, match="truncated"):
            decode(with_thumbnail[:-200], 16, LIMITS)

    def test_sizes_are_checked_before_it_is_decoded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = bytearray(encode(Image.fromarray(COLOURS), "JPEG"))
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", 16_000, 16_000)
        monkeypatch.setattr(imagecodecs, "jpeg8_decode", lambda data: pytest.fail("decoded"))
        with pytest.raises(UnusableImageError, match="decompression bomb"):
            decode(bytes(data), 6_000, LIMITS)


class TestOthers:
    def test_heic(self) -> None:
        pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
        import pillow_heif

        file = io.BytesIO()
        smooth = Image.fromarray(COLOURS).resize((64, 64), Image.Resampling.BICUBIC)
        pillow_heif.from_pillow(smooth).save(file, quality=95)
        assert format_of(file.getvalue()) == "HEIC"
        assert np.abs(pixels(file.getvalue(), 64) - np.asarray(smooth).astype(int)).mean() < 4

    @pytest.mark.parametrize("orientation", [3, 6])
    def test_avif_is_turned_upright(self, orientation: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encode(Image.fromarray(COLOURS), "AVIF", quality=100, subsampling="4:4:4", exif=exif)
        turned = np.rot90(COLOURS, 2 if orientation == 3 else -1).astype(int)
        assert np.abs(pixels(data) - turned).max() < 12

    @pytest.mark.parametrize("shape", [(16, 16), (300, 200), (90, 120), (64, 64), (1_080, 1_920)])
    @pytest.mark.parametrize("container", [False, True])
    def test_the_header_of_jpeg_xl(self, shape: tuple[int, int], container: bool) -> None:
        values = np.zeros((*shape, 3), dtype=np.uint16)
        values[..., 0] = np.linspace(0, 4_095, shape[1])
        data = imagecodecs.jpegxl_encode(values, lossless=True, bitspersample=12, effort=1, usecontainer=container)
        assert data.startswith(b"\0\0\0\x0cJXL ") == container
        picture = decode(data, 16, LIMITS)
        assert (picture.width, picture.height, picture.mode, picture.extent.top) == (shape[1], shape[0], "RGB;16", 4_095)
        too_small = ValidateParams(min_side=min(shape) + 1)
        with pytest.raises(UnusableImageError, match=f"too small: {shape[1]} x {shape[0]}"):
            decode(data, 16, too_small)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_float_jpeg_xl_needs_a_range(self, channels: int) -> None:
        values = (COLOURS[..., :channels] / 255).astype(np.float32)
        data = imagecodecs.jpegxl_encode(values if channels == 3 else values[..., 0], lossless=True)
        with pytest.raises(UnusableImageError, match="whose range the file does not state"):
            decode(data, 16, LIMITS)
        np.testing.assert_array_equal(decode(data, 16, LIMITS, (0, 1)).pixels.transpose(1, 2, 0), COLOURS[..., :channels])

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_deep_tiff_and_png_are_turned_upright(self, orientation: int) -> None:
        upright = pixels(tiff(COLOURS.astype(np.uint16) * 257, photometric="rgb", extratags=[(274, 3, 1, orientation, True)]))
        plain = encode(Image.fromarray(COLOURS), "TIFF", tiffinfo={274: orientation})
        np.testing.assert_array_equal(upright, pixels(plain))

    @pytest.mark.parametrize("kind", ["png", "tiff", "jpeg xl", "jpeg"])
    def test_that_end_too_early_are_called_truncated(self, kind: str) -> None:
        noise = np.random.default_rng(0).integers(0, 4_096, (64, 64)).astype(np.uint16)
        data = {
            "png": lambda: imagecodecs.png_encode(noise),
            "tiff": lambda: tiff(noise),
            "jpeg xl": lambda: imagecodecs.jpegxl_encode(noise, lossless=True),
            "jpeg": lambda: imagecodecs.jpeg8_encode(noise, bitspersample=12),
        }[kind]()
        for share in (0.5, 0.9, 0.99):
            with pytest.raises(UnusableImageError, match=r"^truncated: the file ends before the picture does$"):
                decode(data[: int(len(data) * share)], 16, LIMITS)

    def test_not_a_number_is_no_pixel(self) -> None:
        values = ROWS.astype(np.float32)
        values[3, 3] = np.nan
        with pytest.raises(UnusableImageError, match="some pixels are no numbers, or infinite"):
            decode(tiff(values), 16, LIMITS, (0, 255))


def test_the_cases_that_went_wrong_are_right(gantry_data: Path) -> None:
    folder = gantry_data.parent / "cases/pictures"
    if not folder.is_dir():
        pytest.skip("beside GANTRY_DATA lies no folder cases/pictures")
    colour, grey = (np.asarray(Image.open(folder / name)).astype(int) for name in ("00_ref.png", "00_refgrey.png"))
    by_range = {"grey12in16.png": (0, 4_095), "float64.tif": (0, 1), "rgbfloat.tif": (0, 1)}
    lossy = {"avif.avif": 4, "heic_named.jpg": 4, "jxl.jxl": 4, "jpeg12.jpg": 2}
    seen = 0
    for path in folder.iterdir():
        data, reference = path.read_bytes(), grey if "grey" in path.name or path.name == "float64.tif" else colour
        if path.name in ("dicom.jpg", "grey8_signed.tif"):
            with pytest.raises(UnusableImageError, match=r"a DICOM file, which is not read here|8-bit signed pixels, whose range"):
                decode(data, 256, LIMITS)
        elif path.name not in ("grey2_trns1.png", "la16_raw.png"):
            picture = decode(data, 256, LIMITS, by_range.get(path.name)).pixels.transpose(1, 2, 0)  # type: ignore[arg-type]
            assert np.abs(np.squeeze(picture) - reference).mean() <= lossy.get(path.name, 0.01), path.name
        else:
            assert decode(data, 256, LIMITS).pixels.shape[0] == 1, path.name
        seen += 1
    assert seen == 18
