"""What drew a picture or a sound, in the file's own metadata; and whether drawing it again gives it.

PNG has it in text chunks, JPEG and WebP in EXIF (`Software`, `ImageDescription`), TIFF, which only pictures translated whole are written
as, in its `ImageDescription`, WAV (RIFF INFO) and FLAC (Vorbis comments) as their comment. Beside it stands in pictures but TIFF, as XMP,
what the IPTC has for those by a trained model (Photo Metadata Standard 2023.1, Digital Source Type), which other programs look for.
"""

from __future__ import annotations

import json
import logging
import math
import re
import struct
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_core.errors import ConfigError, DataError
from gan_core.kinds.pixels import Pixels
from tasks import kinds
from tasks.params import NAME
from tasks.sources.raw import safe_path

if TYPE_CHECKING:
    from soundfile import SoundFile

    from gan_core.generator import Generator, Order
    from tasks.inputs import Inputs

STAMPED = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
"""Forms of pictures that hold it, by their suffix, as Pillow names them."""
HEARD = {".wav": "wav", ".flac": "flac"}
"""Forms of sounds that hold it, by their suffix, as libsndfile names them."""
FAITHFUL: Mapping[str, Mapping[str, Any]] = {"png": {}, "jpeg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}
"""How Pillow writes each of these forms."""
TOLERANCE = 12.0
"""Mean difference, of 255 levels, in any block of 8 x 8 pixels, up to which a picture that was compressed with losses is the same."""
_ROUNDING = 1  # level that other numbers of threads may make
_ROUNDING_HEARD = 16  # the same of a sound's 32,768; weights changed by a millionth make 2
_KEY = "gantry"
_MOST_TEXT = 16 * 2**10
_MOST_COMMENT = 2_000  # bytes; libsndfile reads no longer one of a WAV
_MOST_BYTES = 64 * 2**20
_MOST_PIXELS = 50_000_000  # and values of a sound
_MOST_TILE = 4096  # pixels; a file's word alone makes no larger ones, which might take more memory than there is
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SHA256 = re.compile("[0-9a-f]{64}")
_SOFTWARE, _DESCRIPTION = 0x0131, 0x010E
BY_A_MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""The IPTC's word for what a trained model made."""
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    f' Iptc4xmpExt:DigitalSourceType="{BY_A_MODEL}"/></rdf:RDF></x:xmpmeta>'
)


@dataclass(frozen=True)
class Origin:
    """What drew samples, and what it was asked for."""

    name: str
    version: int | None
    """None: it is not registered."""
    sha256: str
    """Of the generator's weights."""
    asked: Mapping[str, Any] | None
    """As a request to `gantry serve` says it; of a picture that was translated `{"label": "dark"}`, where that was asked, and of one that
    was translated whole `{"tile": 512}`, in pixels. None where nothing was asked, or it is too long to be kept."""
    index: int | None = None
    """Of the sample that the file shows; None: it shows all of them."""
    gantry: str = ""

    @classmethod
    def read(cls, text: str) -> Self:
        """What a file claims.

        Raises:
            DataError: it is of another form.
        """
        try:
            found = cls(**json.loads(text if len(text) <= _MOST_TEXT else ""))
            texts = isinstance(found.name, str) and isinstance(found.sha256, str) and isinstance(found.gantry, str)
            valid = (
                texts
                and len(found.name) <= 128
                and (found.version is None or NAME.fullmatch(found.name))
                and _SHA256.fullmatch(found.sha256)
                and len(found.gantry) <= 40
            )
            valid = valid and all(value is None or (type(value) is int and 0 <= value < 10**9) for value in (found.version, found.index))
            valid = valid and isinstance(found.asked, dict | None)
        except (ValueError, TypeError, RecursionError):
            valid = None
        if not valid:
            raise DataError("its metadata are not as Gantry writes them, so they say nothing of where it came from")
        return found

    @property
    def tile(self) -> int | None:
        """Pixels of the tiles in which the picture was translated whole; None where it does not say that it was."""
        tile = None if self.asked is None or not {*self.asked} <= {"tile", "label"} else self.asked.get("tile")
        return tile if type(tile) is int and tile > 0 else None

    @property
    def label(self) -> str | None:
        """The label that was asked for; None where it does not say."""
        label = None if self.asked is None else self.asked.get("label")
        return label if isinstance(label, str) else None

    def text(self, index: int | None, most: int = _MOST_TEXT) -> str:
        """The same of one of the samples, as JSON in ASCII; without what was asked, where that makes it longer than `most`."""
        facts = {**vars(self), "index": index, "gantry": installed()}
        text = json.dumps(facts, sort_keys=True)
        return text if len(text) <= most else json.dumps({**facts, "asked": None}, sort_keys=True)

    @property
    def in_words(self) -> str:
        """For people; nothing in it is more than a line of printable text."""
        who = safe_path(self.name) if self.version is None else f"{self.name}, version {self.version}"
        what = "all that was asked for" if self.index is None else f"sample {self.index}"
        asked = "what was asked is not kept" if self.asked is None else safe_path(json.dumps(self.asked, ensure_ascii=False))[:400]
        to = "" if self.label is None else f", to {safe_path(self.label)[:100]}"
        said = f"{what}; {asked}" if self.tile is None else f"a picture translated whole{to}, in tiles of {self.tile} pixels"
        return f"drawn by {who} (sha256 {self.sha256[:12]}...): {said}; Gantry {safe_path(self.gantry)}"

    def order(self, generator: Generator) -> Order:
        """What the generator was asked for.

        Raises:
            ConfigError: it cannot be asked that, or it is not kept.
        """
        if self.tile is not None or generator.config.targets is not None:
            raise ConfigError("a translation cannot be drawn again without what it was made from; give that picture as --input")
        if self.asked is None:
            raise ConfigError("what was asked is not in the file, so it cannot be drawn again; of a translation, give --input too")
        from tasks.serving.asked import Asked

        told, ask = dict(self.asked), kinds.of(generator.config.kind).ask
        each = told.pop(ask) if isinstance(told.get(ask), list) else None
        return Asked.of({} if each is None else {ask: each}, len(each or ()), told, ask).order(generator)


def stamped(png: bytes, form: str, text: str | None) -> bytes:
    """A picture in another form, with what an origin says in its metadata.

    Args:
        png: the picture, whose pixels stay as they are compressed where `form` is png.
        form: of the values of `STAMPED`; WebP is without loss, JPEG of quality 95.
        text: from `Origin.text`; None: nothing is said.
    """
    if form == "png":
        if text is None:
            return png
        chunks = _chunk(b"tEXt", f"Software\0Gantry {installed()}".encode("latin-1")), _chunk(b"tEXt", f"{_KEY}\0{text}".encode("latin-1"))
        xmp = _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _XMP.encode())
        head = 8 + 25  # the signature and IHDR
        return png[:head] + b"".join([*chunks, xmp]) + png[head:]
    told = {**FAITHFUL[form], **({} if text is None else in_exif(Image.Exif(), text))}
    buffer = BytesIO()
    Image.open(BytesIO(png)).save(buffer, format=form, **told)
    return buffer.getvalue()


def in_exif(exif: Image.Exif, text: str) -> dict[str, Any]:
    """How Pillow is told to write what an origin says into JPEG or WebP, beside other EXIF data."""
    exif[_SOFTWARE], exif[_DESCRIPTION] = f"Gantry {installed()}", text
    return {"exif": exif, "xmp": _XMP.encode()}


def stamp_sound(path: Path, form: str, origin: Origin, index: int | None) -> None:
    """Write into a sound's metadata what drew it; its values stay as they are.

    Args:
        path: of 16 bits and one channel.
        form: of the values of `HEARD`.
        origin: what drew it.
        index: as of `Origin`.
    """
    import soundfile

    wave, rate = soundfile.read(path, dtype="int16")
    with soundfile.SoundFile(path, "w", samplerate=rate, channels=1, subtype="PCM_16", format=form) as file:
        file.software, file.comment = f"Gantry {installed()}", origin.text(index, _MOST_COMMENT)
        file.write(wave)


@dataclass(frozen=True)
class Identified:
    """A file beside what is drawn again by what it names."""

    same: bool
    in_words: str


def claim(path: Path) -> Origin:
    """What a file's metadata claim; not a pixel or sound is decoded.

    Raises:
        ConfigError: it is not there.
        DataError: it is too large, no PNG, JPEG, WebP, TIFF, WAV or FLAC, or claims nothing.
    """
    if _is_sound(path):
        with _opened_sound(path) as file:
            text = file.comment or None
    else:
        text = _of_tiff(path) if _is_tiff(path) else _opened(path)[1]
    if text is None:
        raise DataError(f"{path}: says nothing of what drew it")
    try:
        return Origin.read(text)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def compare(path: Path, origin: Origin, generator: Generator, given: Inputs | None = None) -> Identified:
    """Draw again what `origin` says, and compare the pixels, or the values of a sound, with those of the file.

    Args:
        given: what was translated.

    Raises:
        ConfigError: it cannot be drawn again.
        DataError: the file is broken.
    """
    if (others := drawn_by_others(origin, generator)) is not None:
        return others
    sound = _is_sound(path)
    if sound and generator.config.kind != "sounds":
        raise ConfigError(f"{path}: is a sound, and this generator draws {generator.config.kind}")
    image = None if sound or _is_tiff(path) else _opened(path)[0]
    order = origin.order(generator) if given is None else generator.order_of(given.images, origin.label)
    if origin.index is not None:
        if origin.index >= len(order):
            raise ConfigError(f"{path}: says that it is sample {origin.index} of {len(order)}, and there is none of that number")
        order = _only(order, origin.index)
    if sound:
        return _same_sound(path, generator, order)
    if image is None:
        return _same_values(path, generator, order)
    if isinstance(generator.config.data, Pixels) and len(order) * math.prod(generator.config.shape[1:]) > image.width * image.height:
        raise ConfigError(f"{path}: says that it shows {len(order):,} samples, for which it has too few pixels")
    if origin.index is not None and image.format == "PNG" and generator.config.data.dtype == np.uint16:
        return _same_values(path, generator, order)
    try:
        found = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path}: is broken ({error})") from None
    again = np.asarray(Image.open(BytesIO(_drawn(generator, order, origin.index, given))).convert("RGB"))
    if found.shape != again.shape:
        sizes = [f"{picture.shape[1]} x {picture.shape[0]}" for picture in (again, found)]
        whole = "" if given is None else "; if it was translated whole, say in tiles of how many pixels, with --tile (512 unless told)"
        return Identified(False, f"drawn again it has {sizes[0]} pixels, and the file has {sizes[1]}{whole}")
    return same_pixels(found, again, 255, lossy=image.format != "PNG")


def drawn_by_others(origin: Origin, generator: Generator) -> Identified | None:
    """What there is to say where a generator is not the one of `origin`."""
    if generator.config.sha256 == origin.sha256:
        return None
    return Identified(False, f"its weights are others (sha256 {generator.config.sha256[:12]}...), so this did not draw it")


def tile_of(origin: Origin, told: int | None) -> int | None:
    """In tiles of how many pixels a picture is translated again; None: it was not translated whole, as far as is known.

    Args:
        told: by a person, who is believed before the file.

    Raises:
        ConfigError: the file says more than is taken on its word.
    """
    if told is None and origin.tile is not None and origin.tile > _MOST_TILE:
        raise ConfigError(
            f"it says that it was translated in tiles of {origin.tile} pixels, for which there may be too little memory, and no more than "
            f"{_MOST_TILE} are taken on a file's word; where you made it so, say --tile {origin.tile} too"
        )
    return origin.tile if told is None else told


def _only(order: Order, index: int) -> Order:
    """What one sample of an order is drawn from."""
    one = slice(index, index + 1)
    labels = None if order.labels is None else order.labels[one]
    prompts = None if order.prompts is None else order.prompts[one]
    return replace(order, first=order.first[one], given=None if order.given is None else order.given[one], labels=labels, prompts=prompts)


def _same_values(path: Path, generator: Generator, order: Order) -> Identified:
    """Whether a file that keeps the values of samples as they are has those of an order."""
    import imagecodecs

    from tasks.samples import tiff_pages

    try:
        if _is_tiff(path):
            found = tiff_pages(path.read_bytes())
        else:
            found = np.atleast_3d(imagecodecs.png_decode(path.read_bytes())).transpose(2, 0, 1)[None]
    except Exception:  # Broken files raise anything.
        raise DataError(f"{path}: is broken") from None
    if len(found) != len(order) or found.shape[1:] != generator.config.shape or found.dtype != generator.config.data.dtype:
        shapes = [f"{dtype} {' x '.join(map(str, shape))}" for dtype, shape in (
            (np.dtype(generator.config.data.dtype), (len(order), *generator.config.shape)), (found.dtype, found.shape)
        )]  # fmt: skip
        return Identified(False, f"drawn again it is {shapes[0]}, and the file has {shapes[1]}")
    low, high = Pixels.of(generator.config.data).bounds
    (again,) = generator.draw([order])
    laid = [np.concatenate(list(images), axis=1).transpose(1, 2, 0) for images in (found, again.samples)]
    return same_pixels(laid[0], laid[1], high - low, lossy=False)


def _drawn(generator: Generator, order: Order, index: int | None, given: Inputs | None) -> bytes:
    """The picture as PNG, as it is written of all samples, or of one alone."""
    from tasks.samples import encode_png

    (samples,) = generator.draw([order])
    if index is not None:
        return encode_png(Pixels.of(generator.config.data).pictured(samples.samples[0]))
    with tempfile.TemporaryDirectory(prefix="gantry-") as folder:
        path = Path(folder) / "again.png"
        kinds.of(samples.kind).written(samples, None, given).files[".png"](path)
        return path.read_bytes()


def same_pixels(found: NDArray[Any], again: NDArray[Any], span: float, lossy: bool) -> Identified:
    """Whether a picture is that which was drawn again.

    Args:
        found: of a file, (H, W, C).
        again: of the same shape.
        span: from black to white, in their values.
        lossy: the file was compressed with losses.
    """
    apart = found.astype(np.float32)
    apart -= again
    np.abs(apart, out=apart)
    apart *= 255 / span
    difference, largest = apart.mean(axis=2), float(apart.max())
    if largest == 0:
        return Identified(True, "drawn again it is the same, to the pixel")
    if largest <= _ROUNDING:
        return Identified(True, "drawn again it is the same but for rounding: no value differs by more than 1 of 255")
    rows, columns = (np.arange(0, side, 8) for side in difference.shape)
    sums = np.add.reduceat(np.add.reduceat(difference, rows, axis=0), columns, axis=1)
    in_block = float(
        (sums / np.outer(*(np.diff([*starts, side]) for starts, side in zip((rows, columns), difference.shape, strict=True)))).max()
    )
    said = f"values differ by up to {largest:.0f} of 255, in a block of 8 x 8 pixels by up to {in_block:.1f} on average"
    if lossy and in_block <= TOLERANCE:
        return Identified(True, f"drawn again it is the same but for compression: {said}")
    return Identified(False, f"drawn again it is another picture: {said}")


def _same_sound(path: Path, generator: Generator, order: Order) -> Identified:
    """Whether a file has the sounds of an order, one after another."""
    from gan_core.kinds.sounds import Sounds
    from tasks.sounds import one_after_another, pause

    rate = Sounds.of(generator.config.data).rate
    length = len(order) * (generator.config.shape[1] + pause(rate)) - pause(rate)
    with _opened_sound(path) as file:
        if (file.frames, file.samplerate, file.channels) != (length, rate, 1):  # told before it is decoded, or anything drawn
            has = f"{file.frames:,} values at {file.samplerate:,} Hz in {file.channels} channel{'s' if file.channels > 1 else ''}"
            return Identified(False, f"drawn again it has {length:,} values at {rate:,} Hz in 1 channel, and the file has {has}")
        if length > _MOST_PIXELS:
            raise DataError(f"{path}: has {length:,} values; at most {_MOST_PIXELS:,} are looked at")
        try:
            found = file.read(dtype="int16")
        except RuntimeError as error:
            raise DataError(f"{path}: is broken ({error})") from None
    if len(found) != length:
        raise DataError(f"{path}: is broken: it ends early")
    (again,) = generator.draw([order])
    apart = np.subtract(found, one_after_another(again.samples, rate)[0], dtype=np.int32)
    largest = int(np.abs(apart).max())
    if largest == 0:
        return Identified(True, "drawn again it is the same, to the value")
    said = f"values differ by up to {largest:,} of 32,768"
    if largest <= _ROUNDING_HEARD:
        return Identified(True, f"drawn again it is the same but for rounding: {said}")
    return Identified(False, f"drawn again it is another sound: {said}")


def _opened_sound(path: Path) -> SoundFile:
    """A sound of which nothing is decoded yet."""
    import soundfile

    _check_bytes(path)
    try:
        file = soundfile.SoundFile(path)
    except RuntimeError:
        raise DataError(f"{path}: is no WAV or FLAC that can be read") from None
    if file.format.lower() not in HEARD.values():
        file.close()
        raise DataError(f"{path}: is no WAV or FLAC, but {file.format}")
    return file


def _is_sound(path: Path) -> bool:
    head = _head(path)
    return head.startswith((b"fLaC", b"ID3")) or (head[:4] == b"RIFF" and head[8:] == b"WAVE")  # a signed FLAC begins with an ID3 tag


def _is_tiff(path: Path) -> bool:
    return _head(path)[:4] in _TIFF


def _head(path: Path) -> bytes:
    """The bytes by which its form is told; none where there is no file."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(12)


def _of_tiff(path: Path) -> str | None:
    """What a TIFF's description says, where it is Gantry's; not a pixel is decoded."""
    import tifffile

    _check_bytes(path)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            width, height, text = int(page.imagewidth), int(page.imagelength), str(page.description)
    except Exception:  # Broken metadata raise anything.
        raise DataError(f"{path}: is no TIFF that can be read") from None
    _check_pixels(path, width, height)
    return text if f'"{_KEY}"' in text else None  # other programs describe pictures too


def _check_bytes(path: Path) -> None:
    if path.stat().st_size > _MOST_BYTES:
        raise DataError(f"{path}: has more than {_MOST_BYTES // 2**20} MiB; no file that is looked at has")


def _check_pixels(path: Path, width: int, height: int) -> None:
    if width * height > _MOST_PIXELS:
        raise DataError(f"{path}: has {width} x {height} pixels; at most {_MOST_PIXELS:,} are looked at")


def _opened(path: Path) -> tuple[Image.Image, str | None]:
    """A picture of which not a pixel is decoded yet, and what its metadata say under Gantry's key."""
    try:
        _check_bytes(path)
        image = Image.open(BytesIO(path.read_bytes()), formats=("PNG", "JPEG", "WEBP"))
    except FileNotFoundError:
        raise ConfigError(f"--identify {path}: not there") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise DataError(f"{path}: is no PNG, JPEG, WebP, WAV or FLAC that can be read") from None
    _check_pixels(path, image.width, image.height)
    try:
        text = image.info.get(_KEY) if image.format == "PNG" else image.getexif().get(_DESCRIPTION)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, struct.error):
        text = None
    return image, text if isinstance(text, str) else None


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@cache
def installed() -> str:
    """The version of Gantry that is."""
    return version("gantry-gan")
