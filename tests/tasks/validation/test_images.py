"""Each rule of tasks/validation/images.py, against pixels worked out by hand or by another decoder's documented result."""

from __future__ import annotations

import csv
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile

from gan_core.kinds.pixels import with_channels
from tasks.params import ValidateParams
from tasks.validation.formats import UnusableImageError
from tasks.validation.images import MAX_PIXELS, Shape, _open, decode, fit, statistics

LIMITS = ValidateParams()
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000")
"""Those of `tasks.validation.formats` that Pillow writes."""


def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def ramp(height: int = 16, width: int = 16) -> NDArray[np.uint8]:
    """Grey values that differ everywhere, so that a turned or mirrored picture is told from the upright one."""
    return np.arange(height * width, dtype=np.uint8).reshape(height, width)


def colours(size: int = 16) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:size, 0:size] * (255 // (size - 1))
    return np.stack([rows, columns, 255 - rows], axis=2).astype(np.uint8)


def pixels(data: bytes, size: int = 16) -> NDArray[np.uint8]:
    return decode(data, size, LIMITS).pixels


class TestModes:
    def test_grey_of_the_asked_size_is_passed_on_bit_for_bit(self) -> None:
        picture = decode(encode(Image.fromarray(ramp())), 16, LIMITS)
        np.testing.assert_array_equal(picture.pixels, ramp()[None])
        assert (picture.width, picture.height, picture.mode) == (16, 16, "L")
        assert picture.mean == pytest.approx(ramp().mean())
        assert picture.std == pytest.approx(ramp().std())

    def test_black_and_white_is_grey(self) -> None:
        bits = ramp() % 3 == 0
        picture = decode(encode(Image.fromarray(bits)), 16, LIMITS)
        np.testing.assert_array_equal(picture.pixels[0], bits * np.uint8(255))
        assert picture.mode == "1"

    def test_rgb(self) -> None:
        picture = decode(encode(Image.fromarray(colours())), 16, LIMITS)
        np.testing.assert_array_equal(picture.pixels, colours().transpose(2, 0, 1))
        assert picture.mean == pytest.approx(colours().mean())
        assert picture.std == pytest.approx(np.sqrt(colours().reshape(-1, 3).var(axis=0).mean()))

    def test_palette_becomes_the_colours_it_stands_for(self) -> None:
        image = Image.fromarray(ramp() % 3)
        image.putpalette([255, 0, 0, 0, 255, 0, 10, 20, 30])
        expected = np.array([[255, 0, 0], [0, 255, 0], [10, 20, 30]], dtype=np.uint8)[ramp() % 3]
        np.testing.assert_array_equal(pixels(encode(image)), expected.transpose(2, 0, 1))

    @pytest.mark.parametrize("transparent", [0, b"\x00\xff\xff"])
    def test_transparent_palette_entry_is_white(self, transparent: int | bytes) -> None:
        image = Image.fromarray(ramp() % 3)
        image.putpalette([255, 0, 0, 0, 255, 0, 10, 20, 30])
        data = encode(image, transparency=transparent)
        expected = np.array([[255, 255, 255], [0, 255, 0], [10, 20, 30]], dtype=np.uint8)[ramp() % 3]
        np.testing.assert_array_equal(pixels(data), expected.transpose(2, 0, 1))

    def test_alpha_is_composited_on_white(self) -> None:
        alpha = ramp()
        data = encode(Image.fromarray(np.dstack([colours(), alpha])))
        share = alpha[..., None] / 255
        expected = colours() * share + 255 * (1 - share)
        np.testing.assert_allclose(pixels(data).transpose(1, 2, 0), expected, atol=0.51)
        assert decode(data, 16, LIMITS).mode == "RGBA"

    def test_alpha_is_composited_before_resizing(self) -> None:
        # Invisible black must not darken the edge of a visible white shape: all is white, so there is nothing to see.
        picture = np.zeros((32, 32, 4), dtype=np.uint8)
        picture[:, 10:] = 255
        with pytest.raises(UnusableImageError, match="blank"):
            decode(encode(Image.fromarray(picture)), 16, LIMITS)

    def test_grey_with_alpha_stays_grey(self) -> None:
        alpha = np.where(ramp() % 2, 255, 0).astype(np.uint8)
        picture = decode(encode(Image.merge("LA", [Image.fromarray(ramp()), Image.fromarray(alpha)])), 16, LIMITS)
        np.testing.assert_array_equal(picture.pixels[0], np.where(ramp() % 2, ramp(), 255))
        assert picture.mode == "LA"

    def test_transparent_colours_are_white(self) -> None:
        grey = encode(Image.fromarray(ramp()), transparency=7)
        np.testing.assert_array_equal(pixels(grey)[0], np.where(ramp() == 7, 255, ramp()))
        colour = encode(Image.fromarray(colours()), transparency=tuple(map(int, colours()[3, 5])))
        expected = colours()
        expected[3, 5] = 255
        np.testing.assert_array_equal(pixels(colour), expected.transpose(2, 0, 1))

    @pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
    def test_16_bit_grey_is_scaled(self, format: str) -> None:
        values = (ramp().astype(np.uint16) * 257) + 100
        values[0, :3] = 0, 65_535, 128
        expected = np.round(values / 257).astype(np.uint8)
        picture = decode(encode(Image.fromarray(values), format), 16, LIMITS)
        np.testing.assert_array_equal(picture.pixels[0], expected)
        assert picture.mean == pytest.approx(expected.mean())

    def test_transparent_grey_of_16_bits_is_white(self) -> None:
        values = ramp().astype(np.uint16) * 200
        header = struct.pack(">IIBBBBB", 16, 16, 16, 0, 0, 0, 0)
        rows = b"".join(b"\0" + row.tobytes() for row in values.astype(">u2"))
        chunks = [(b"IHDR", header), (b"tRNS", struct.pack(">H", 1_000)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
        expected = np.where(values == 1_000, 255, np.round(values / 257)).astype(np.uint8)
        np.testing.assert_array_equal(pixels(png(chunks))[0], expected)

    def test_cmyk(self) -> None:
        cmyk = np.zeros((16, 16, 4), dtype=np.uint8)
        cmyk[:8, :, 0] = 255  # cyan above, yellow below
        cmyk[8:, :, 2] = 255
        image = Image.frombytes("CMYK", (16, 16), cmyk.tobytes())
        picture = decode(encode(image, "TIFF"), 16, LIMITS)
        assert picture.mode == "CMYK"
        assert picture.pixels[:, 2, 2].tolist() == [0, 255, 255]
        assert picture.pixels[:, 12, 2].tolist() == [255, 255, 0]

    def test_cmyk_jpeg(self) -> None:
        image = Image.fromarray(colours()).convert("CMYK")
        picture = decode(encode(image, "JPEG", quality=100), 16, LIMITS)
        assert picture.mode == "CMYK"
        np.testing.assert_allclose(picture.pixels.transpose(1, 2, 0).astype(int), colours(), atol=12)

    def test_lab(self) -> None:
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(Image.fromarray(colours()), srgb, lab, outputMode="LAB")
        assert image is not None
        picture = decode(encode(image, "TIFF"), 16, LIMITS)
        assert picture.mode == "LAB"
        assert picture.pixels.shape == (3, 16, 16)

    @pytest.mark.parametrize("values", [ramp().astype(np.float32), ramp().astype(np.int32) - 5, ramp().astype(np.int32) * 1_000])
    def test_values_without_a_range_are_refused(self, values: NDArray[Any]) -> None:
        with pytest.raises(UnusableImageError, match="whose range the file does not state"):
            decode(encode(Image.fromarray(values), "TIFF"), 16, LIMITS)

    @pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
    def test_the_first_frame_counts(self, format: str) -> None:
        frames = [Image.fromarray(np.roll(colours(), 5 * i, axis=0)) for i in range(3)]
        options: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
        if format == "WEBP":
            options["lossless"] = True
        first = pixels(encode(frames[0], format, **options))
        np.testing.assert_allclose(first.transpose(1, 2, 0).astype(int), colours(), atol=30 if format == "GIF" else 0)

    def test_a_picture_of_several_in_one_jpeg_is_the_first(self) -> None:
        frames = [Image.fromarray(colours()), Image.fromarray(255 - colours())]
        data = encode(frames[0], "MPO", save_all=True, append_images=frames[1:], quality=100)
        np.testing.assert_allclose(pixels(data).transpose(1, 2, 0).astype(int), colours(), atol=20)

    @pytest.mark.parametrize("format", FORMATS)
    def test_every_allowed_format_is_read(self, format: str) -> None:
        picture = decode(encode(Image.fromarray(colours()), format), 16, LIMITS)
        np.testing.assert_allclose(picture.pixels.transpose(1, 2, 0).astype(int), colours(), atol=40)


class TestOrientation:
    """The eight EXIF orientations, against what the standard says the first row and column are."""

    @pytest.mark.parametrize(
        ("orientation", "undo"),
        [
            (1, lambda a: a),
            (2, lambda a: a[:, ::-1]),
            (3, lambda a: a[::-1, ::-1]),
            (4, lambda a: a[::-1]),
            (5, lambda a: a.T),
            (6, lambda a: np.rot90(a, -1)),
            (7, lambda a: a[::-1, ::-1].T),
            (8, lambda a: np.rot90(a)),
        ],
    )
    @pytest.mark.parametrize("format", ["PNG", "TIFF"])
    def test_is_applied(self, format: str, orientation: int, undo: Any) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encode(Image.fromarray(ramp()), format, exif=exif)
        np.testing.assert_array_equal(pixels(data)[0], undo(ramp()))

    def test_keeps_the_header_s_size(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        picture = decode(encode(Image.fromarray(ramp(8, 16)), exif=exif), 8, LIMITS)
        assert (picture.width, picture.height) == (16, 8)
        np.testing.assert_array_equal(picture.pixels[0], np.rot90(ramp(8, 16), -1)[4:12])

    @pytest.mark.parametrize("value", [0, 9, 200])
    def test_unknown_values_count_as_upright(self, value: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = value
        np.testing.assert_array_equal(pixels(encode(Image.fromarray(ramp()), exif=exif))[0], ramp())

    def test_unreadable_metadata_counts_as_upright(self) -> None:
        data = encode(Image.fromarray(ramp()), exif=b"Exif\0\0MM\0*\xff\xff\xff\xffgarbage")
        np.testing.assert_array_equal(pixels(data)[0], ramp())


class TestShapes:
    @pytest.mark.parametrize(("height", "width"), [(16, 24), (24, 16), (17, 16), (16, 16)])
    def test_the_central_square_is_kept(self, height: int, width: int) -> None:
        values = ramp(height, width)
        top, left = (height - 16) // 2, (width - 16) // 2
        np.testing.assert_array_equal(pixels(encode(Image.fromarray(values)))[0], values[top : top + 16, left : left + 16])

    def test_smaller_is_antialiased(self) -> None:
        # A fine chequerboard must become even grey, not moire.
        board = np.indices((512, 512)).sum(axis=0) % 2 * np.uint8(255)
        board = board.astype(np.uint8)
        inner = pixels(encode(Image.fromarray(board)), 60)[0][2:-2, 2:-2].astype(int)
        assert np.abs(inner - 127).max() <= 3

    @pytest.mark.parametrize("side", [40, 100, 500])
    def test_smaller_keeps_the_mean(self, side: int) -> None:
        values = np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(values).resize((side, side), box=(0, 0, 6, 6)))
        assert pixels(encode(Image.fromarray(smooth)), 32).mean() == pytest.approx(smooth.mean(), abs=1)

    def test_larger_is_bicubic(self) -> None:
        values = ramp(8, 8) * 4
        expected = np.asarray(Image.fromarray(values).resize((16, 16), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(pixels(encode(Image.fromarray(values)))[0], expected)

    def test_fit_returns_the_same_picture_where_nothing_is_to_do(self) -> None:
        image = Image.fromarray(ramp())
        assert fit(image, Shape((16, 16))) is image

    def test_channels(self) -> None:
        colour = colours().transpose(2, 0, 1)
        np.testing.assert_array_equal(with_channels(ramp()[None], 3), np.stack([ramp()] * 3))
        luma = (colours() @ np.array([0.299, 0.587, 0.114])).round()
        np.testing.assert_allclose(with_channels(colour, 1)[0], luma, atol=1)
        assert with_channels(colour, 3) is colour

    def test_statistics_of_one_plain_colour(self) -> None:
        assert statistics(Image.new("RGB", (5, 5), (255, 0, 0))) == (85.0, 0.0)


class TestLargeJpegs:
    """Photos that are decoded at a part of their size, since far less is asked for."""

    @staticmethod
    def photo(height: int = 960, width: int = 1_280, mode: str = "RGB") -> Image.Image:
        """Something smooth, with an edge in it."""
        coarse = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
        coarse[:4, :3] = 255
        return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)

    @pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
    @pytest.mark.parametrize(("height", "width", "mean", "most"), [(960, 1_280, 0.5, 5), (905, 1_203, 5, 30)])
    def test_come_out_as_if_decoded_whole(self, mode: str, height: int, width: int, mean: float, most: int) -> None:
        """Sides that are no multiples of 8 shift what is far off by a fraction of a pixel."""
        photo = self.photo(height, width, mode)
        picture = decode(encode(photo, "JPEG", quality=95), 32, LIMITS)
        assert (picture.width, picture.height, picture.mode) == (width, height, mode)
        left = (width - height) // 2
        whole = (
            photo.crop((left, 0, left + height, height)).convert("L" if mode == "L" else "RGB").resize((32, 32), Image.Resampling.LANCZOS)
        )
        apart = np.abs(picture.pixels.astype(int) - np.atleast_3d(np.asarray(whole, dtype=int)).transpose(2, 0, 1))
        assert apart.mean() < mean
        assert apart.max() < most

    @pytest.mark.parametrize(("size", "decoded"), [(32, (160, 120)), (64, (320, 240)), (161, (1_280, 960))])
    def test_are_decoded_at_no_less_than_three_times_the_size(self, size: int, decoded: tuple[int, int]) -> None:
        assert _open(encode(self.photo(), "JPEG"), LIMITS, least=3 * size).image.size == decoded

    def test_are_turned_upright(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        turned = decode(encode(self.photo(), "JPEG", exif=exif), 32, LIMITS).pixels
        apart = np.abs(turned.astype(int) - np.rot90(decode(encode(self.photo(), "JPEG"), 32, LIMITS).pixels, -1, axes=(1, 2)))
        assert apart.mean() < 1

    def test_that_are_truncated_are_refused(self) -> None:
        data = encode(self.photo(), "JPEG")
        with pytest.raises(UnusableImageError, match="truncated"):
            decode(data[: len(data) // 2], 32, LIMITS)


def png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG file from its chunks, checksums included, so that it may claim what no encoder would write."""
    parts = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def giant_png(width: int, height: int) -> bytes:
    """A few bytes that declare a picture of any size."""
    return png([(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")])


class TestRefused:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "empty file"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
            (b"\n<!DOCTYPE html><html>404</html>", "a web page"),
            (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "a PostScript file"),
            (b"\x89PNG\r\n\x1a\n", "begins like a PNG file"),
            (b"hello, world", "none of PNG, JPEG"),
            (bytes(1000), "none of PNG, JPEG"),
        ],
    )
    def test_what_is_no_image(self, data: bytes, reason: str) -> None:
        with pytest.raises(UnusableImageError, match=reason):
            decode(data, 16, LIMITS)

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "PPM", "WEBP"])
    def test_truncated_files(self, format: str) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        data = encode(Image.fromarray(noise), format)
        with pytest.raises(UnusableImageError):
            decode(data[: len(data) // 2], 16, LIMITS)

    def test_reason_of_a_truncated_file(self) -> None:
        data = encode(Image.fromarray(ramp(64, 64)), "JPEG")
        with pytest.raises(UnusableImageError, match=r"^truncated: the file ends before the picture does$"):
            decode(data[:-40], 16, LIMITS)

    def test_a_damaged_checksum(self) -> None:
        data = bytearray(encode(Image.fromarray(ramp())))
        data[29] ^= 1
        with pytest.raises(UnusableImageError, match="broken"):
            decode(bytes(data), 16, LIMITS)

    def test_sizes_outside_the_limits(self) -> None:
        limits = ValidateParams(min_side=10, max_side=20)
        with pytest.raises(UnusableImageError, match=r"too small: 16 x 9 pixels \(validate.min_side is 10\)"):
            decode(encode(Image.fromarray(ramp(9, 16))), 16, limits)
        with pytest.raises(UnusableImageError, match=r"too large: 21 x 16 pixels \(validate.max_side is 20\)"):
            decode(encode(Image.fromarray(ramp(16, 21))), 16, limits)

    @pytest.mark.parametrize(
        ("width", "height", "reason"),
        [(60_000, 60_000, "too large|decompression bomb"), (16_000, 16_000, "decompression bomb"), (9_500, 9_500, "decompression bomb")],
    )
    def test_bombs_are_refused_before_they_are_decoded(
        self, width: int, height: int, reason: str, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
    ) -> None:
        assert width * height > MAX_PIXELS
        monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
        with pytest.raises(UnusableImageError, match=reason):
            decode(giant_png(width, height), 16, LIMITS)
        assert not recwarn.list

    def test_blank_pictures(self) -> None:
        with pytest.raises(UnusableImageError, match=r"blank: standard deviation 0.00 .*validate.min_std is 0.5"):
            decode(encode(Image.new("RGB", (16, 16), (200, 10, 10))), 16, LIMITS)

    def test_blank_pictures_are_fine_where_nothing_is_asked(self) -> None:
        assert decode(encode(Image.new("L", (16, 16), 9)), 16, ValidateParams(min_std=0)).std == 0

    def test_endless_directories_of_a_tiff_file(self) -> None:
        data = bytearray(encode(Image.fromarray(ramp()), "TIFF"))
        entries = int.from_bytes(data[8:10], "little")
        data[10 + 12 * entries : 14 + 12 * entries] = (8).to_bytes(4, "little")  # the next directory is the first again
        np.testing.assert_array_equal(pixels(bytes(data))[0], ramp())

    @pytest.mark.parametrize("format", FORMATS)
    def test_flipped_bits_never_crash(self, format: str) -> None:
        generator = np.random.default_rng(7)
        whole = np.frombuffer(encode(Image.fromarray(colours(32)), format), dtype=np.uint8)
        refused = []
        for _ in range(100):
            data = whole.copy()
            places = generator.integers(0, len(data), 4)
            data[places] ^= generator.integers(1, 256, 4, dtype=np.uint8)
            try:
                assert decode(data.tobytes(), 16, LIMITS).pixels.shape in ((1, 16, 16), (3, 16, 16))
            except UnusableImageError as reason:
                refused.append(str(reason))
        assert refused
        assert all(refused)


QUARANTINED = {
    "mnist_bad/html_saved_as_train-images-idx3-ubyte.gz": "a web page",
    "lfs_pointer/maps_train_1.jpg": "a Git LFS pointer",
    "lfs_pointer/maps_train_3.jpg": "a Git LFS pointer",
    "pillow/truncated_image.png": "truncated",
    "pillow/broken_data_stream.png": "broken",
    "pillow/decompression_bomb.ico": "an ICO file",
    "pillow/bad_palette_entry.gpl": "none of PNG",
    "pillow/hopper.psd": "a Photoshop file",
}


def test_every_odd_file_is_accepted_or_refused_by_rule(gantry_data: Path) -> None:
    folder = gantry_data / "odd"
    with (folder / "INDEX.csv").open(newline="") as file:
        odd = {row["file"]: row for row in csv.DictReader(file)}
    assert odd
    assert set(QUARANTINED) <= set(odd)
    for name in odd:
        data = (folder / name).read_bytes()
        if name in QUARANTINED:
            with pytest.raises(UnusableImageError, match=QUARANTINED[name]):
                decode(data, 64, LIMITS)
        else:
            picture = decode(data, 64, LIMITS)
            assert picture.pixels.shape == ((1 if picture.mode in ("L", "1", "LA") else 3), 64, 64), name


def test_orientations_of_a_real_photo_agree(gantry_data: Path) -> None:
    upright = [decode((gantry_data / f"odd/pillow/hopper_orientation_{i}.jpg").read_bytes(), 64, LIMITS).pixels for i in (2, 4, 6, 8)]
    for other in upright[1:]:
        assert np.abs(upright[0].astype(int) - other).mean() < 3
