"""Pictures of any size, translated whole: read as they are, and written back as they came.

Size, shape, bits, colour profile and EXIF data stay; a picture that EXIF turns is turned for the generator, and back. What cannot be kept
is said: transparency goes on white, and CMYK and LAB become RGB, without their profile.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_core.errors import ConfigError, GantryError
from gan_core.files import replacing
from gan_core.kinds.pixels import LUMA, Pixels
from tasks.provenance import FAITHFUL, STAMPED, Identified, drawn_by_others, in_exif, same_pixels, stamped
from tasks.validation.formats import Format, UnusableImageError, format_of
from tasks.validation.images import MAX_PIXELS, Bounds, on_white, tags_of, turned, values_of

if TYPE_CHECKING:
    from torch import Tensor

    from gan_core.generator import Generator
    from tasks.credentials import Signer
    from tasks.provenance import Origin

MOST_PIXELS = 2 * MAX_PIXELS
"""Of a picture that a person names, twice as many as of one that comes with others."""
_SUFFIX: dict[Format, str] = {"JPEG": ".jpg", "TIFF": ".tif", "WebP": ".webp"}
"""What a file of these formats is written back as; all others as PNG."""
_TIFF = (".tif", ".tiff")
_ROWS = 256
_TURNED_BACK = {6: 8, 8: 6}
"""Orientations that others undo; the rest undo themselves."""
_COLOUR_MODES = ("CMYK", "LAB", "YCbCr")

OnTile = Callable[[str, int, int], None]
"""Told of which picture how many tiles are done, of how many."""


@dataclass(frozen=True)
class Whole:
    """A picture as its file has it."""

    values: NDArray[Any]
    """(H, W, C), upright."""
    bounds: Bounds
    """The values that are black and white."""
    form: Format
    icc: bytes | None
    exif: bytes | None
    orientation: int
    """That the file's pixels lie in."""
    notes: Sequence[str]
    """What of the file is not kept."""

    @property
    def suffix(self) -> str:
        """Of the file that it is written back as."""
        is_usual = self.values.dtype in (np.uint8, np.uint16) and self.values.shape[2] in (1, 3)
        return _SUFFIX.get(self.form, ".png") if is_usual else ".tif"


def read_whole(data: bytes, spec: Pixels, where: str) -> Whole:
    """The picture in a file's bytes.

    Raises:
        ConfigError: it is no picture, broken, too large, has no size, or does not say what is black and white; begins with `where`.
    """
    try:
        channels = (spec.inputs or spec.shape)[0]
        form, raster = format_of(data), values_of(data, _check, channels)
    except UnusableImageError as reason:
        raise ConfigError(f"{where}: {reason}") from None
    if channels not in (1, 3, found := np.atleast_3d(raster.values).shape[2]):
        raise ConfigError(f"{where}: has {found} channel{'s' if found > 1 else ''}, and this generator takes {channels}")
    bounds = spec.range or (None if raster.top is None else (0.0, float(raster.top)))
    if bounds is None:
        raise ConfigError(f"{where}: float or signed pixels, of which the file does not say what is black and white; see data.range")
    icc, exif = tags_of(data)
    notes = []
    if raster.alpha is not None:
        notes.append("its transparent parts are on white now")
    if raster.mode in _COLOUR_MODES:
        notes.append(f"{raster.mode} has become RGB" + (", without its colour profile" if icc and raster.mode != "YCbCr" else ""))
        icc = icc if raster.mode == "YCbCr" else None
    values = np.atleast_3d(on_white(raster, bounds))
    return Whole(np.ascontiguousarray(turned(values, raster.orientation)), bounds, form, icc, exif, raster.orientation, notes)


def _check(width: int, height: int) -> None:
    if width < 2 or height < 2:
        raise UnusableImageError(f"too small: {width} x {height} pixels; there is nothing in it to translate")
    if width * height > MOST_PIXELS:
        raise UnusableImageError(f"too large: {width} x {height} pixels, more than {MOST_PIXELS:,} in all")


def translate_whole(
    generator: Generator, whole: Whole, tile: int | None, on_tile: Callable[[int, int], None], label: str | None = None
) -> Whole:
    """What a generator makes of a picture, with a label where it translates by label; of as many channels as it makes, and otherwise as the
    picture was.

    Its values may be written over those of the picture, so that memory holds one of them.
    """
    from gan_core.tiling import Tiling, translated

    inputs, (low, high) = generator.config.inputs, whole.bounds
    tiling = Tiling.of(generator, tile)
    assert inputs is not None  # noqa: S101  a tiling is for what translates
    channels, kind = generator.config.shape[0], whole.values.dtype

    def scaled(rows: NDArray[Any]) -> Tensor:
        import torch

        given = torch.from_numpy(rows.transpose(2, 0, 1).astype(np.float32))
        given = given.sub_(low).mul_(2 / (high - low)).sub_(1).clamp_(-1, 1)
        if len(given) == inputs[0]:
            return given
        luma = torch.tensor(LUMA)[:, None, None]
        return given.expand(3, -1, -1) if len(given) == 1 else (given * luma).sum(dim=0, keepdim=True)

    def stored(made: Tensor) -> NDArray[Any]:
        values = made.clamp(-1, 1).add_(1).mul_((high - low) / 2).add_(low)
        return np.asarray((values.round_() if kind.kind in "iu" else values).permute(1, 2, 0).numpy().astype(kind))

    into = whole.values if whole.values.shape[2] == channels else np.empty((*whole.values.shape[:2], channels), dtype=kind)
    translated(generator, whole.values, tiling, scaled, stored, into, on_tile, label)
    kept = whole.icc if into is whole.values else None
    lost = [] if kept == whole.icc else ["its colour profile is left out, since the number of channels is another now"]
    return replace(whole, values=into, icc=kept, notes=[*whole.notes, *lost])


def write_whole(whole: Whole, out: Path, text: str | None) -> None:
    """Write a picture, whole or not at all.

    Args:
        out: `.png`, `.jpg`, `.webp` or `.tif`.
        text: what drew it, for its metadata; None: nothing is said.

    Raises:
        ConfigError: the form cannot hold such values, or the place cannot be written.
    """
    suffix, kind = out.suffix.lower(), whole.values.dtype
    if suffix not in (*STAMPED, *_TIFF):
        raise ConfigError(f"{out}: a whole picture is written as .png, .jpg, .webp or .tif")
    deep = {".png": (np.uint8, np.uint16), **dict.fromkeys(_TIFF, (kind,))}.get(suffix, (np.uint8,))
    if kind not in deep:
        fits = ".png or .tif" if kind == np.uint16 else ".tif"
        raise ConfigError(f"{out}: {suffix} holds no {kind.name} pixels, as the picture has; name it {fits}")
    if whole.values.shape[2] not in (1, 3) and suffix not in _TIFF:
        raise ConfigError(f"{out}: {suffix} holds no {whole.values.shape[2]} channels, as the picture has; name it .tif")
    keeps_turn = whole.orientation != 1 and (suffix in _TIFF or whole.exif is not None)
    values = turned(whole.values, _TURNED_BACK.get(whole.orientation, whole.orientation)) if keeps_turn else whole.values
    values = np.ascontiguousarray(values[..., 0] if values.shape[2] == 1 else values)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as temporary:
            if suffix in _TIFF:
                _write_tiff(values, whole, temporary, whole.orientation if keeps_turn else 1, text)
            elif kind == np.uint16:
                _write_deep_png(values, whole, temporary, text)
            else:
                _write_by_pillow(values, whole, temporary, STAMPED[suffix], text)
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror or error})") from None


def _write_by_pillow(values: NDArray[np.uint8], whole: Whole, out: Path, form: str, text: str | None) -> None:
    told: dict[str, Any] = {**FAITHFUL[form], **({} if whole.icc is None else {"icc_profile": whole.icc})}
    exif = Image.Exif()
    if whole.exif is not None:
        exif.load(whole.exif)
        told["exif"] = exif
    if text is not None and form != "png":
        told |= in_exif(exif, text)
    Image.fromarray(values).save(out, format=form, **told)
    if form == "png" and text is not None:
        out.write_bytes(stamped(out.read_bytes(), "png", text))


def _write_deep_png(values: NDArray[np.uint16], whole: Whole, out: Path, text: str | None) -> None:
    import imagecodecs

    png = bytes(imagecodecs.png_encode(values))
    head = 8 + 25  # the signature and IHDR
    chunks = b"" if whole.icc is None else _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(whole.icc))
    if whole.exif is not None:
        chunks += _chunk(b"eXIf", whole.exif.removeprefix(b"Exif\0\0"))
    out.write_bytes(stamped(png[:head] + chunks + png[head:], "png", text))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _write_tiff(values: NDArray[Any], whole: Whole, out: Path, orientation: int, text: str | None) -> None:
    import tifffile

    tifffile.imwrite(
        out,
        values,
        photometric="rgb" if values.shape[2:] == (3,) else "minisblack",
        planarconfig="contig" if values.ndim == 3 else None,
        compression="adobe_deflate",
        rowsperstrip=_ROWS,
        iccprofile=whole.icc,
        description=text,
        metadata=None,
        extratags=[(274, "H", 1, orientation, True)],
    )


def translate_files(
    generator: Generator,
    given: Path,
    out: Path,
    tile: int | None,
    origin: Origin | None = None,
    on_note: Callable[[str], None] = lambda note: None,
    on_tile: OnTile = lambda name, done, total: None,
    label: str | None = None,
    signer: Signer | None = None,
) -> int:
    """Translate a picture, or all in a folder, one after another; returns how many.

    Args:
        given: a file or a folder.
        out: a file for a file; a new or empty folder for a folder (or for a file, without a suffix), in which files keep their paths.
        tile: as of `Tiling.of`.
        origin: what translates, which each picture then says in its metadata, with the tile.
        on_note: told what is not kept.
        label: that all are to get, as of `Generator.translate`.
        signer: of each picture, where they are signed.

    Raises:
        ConfigError: there is no such label, or something cannot be read or written. Of several, what can be is done first, and the message
            names the others.
    """
    from gan_core.tiling import Tiling
    from tasks.inputs import input_files

    tiling = Tiling.of(generator, tile)
    generator.asked_of(1, label)  # before anything is read
    files = input_files(given, on_note)
    into_folder = given.is_dir() or not out.suffix
    if given.is_dir() and out.suffix and not out.is_dir():
        raise ConfigError(f"{out}: --input is a folder, and so is what becomes of it; name a folder without a dot")
    if into_folder and out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out}: holds files already; name a new folder")
    asked = {"tile": tiling.tile} | ({} if label is None else {"label": label})
    text = None if origin is None else replace(origin, asked=asked).text(None)
    problems, done, taken = list[str](), 0, set[Path]()
    for name, opened in files:
        where = f"--input {given / name if given.is_dir() else given}"
        try:
            whole = _read_opened(opened, Pixels.of(generator.config.data), where)
            place = out / PurePosixPath(name).with_suffix(whole.suffix) if into_folder else out
            place = place if place not in taken else place.with_name(f"{PurePosixPath(name).name}{whole.suffix}")
            taken.add(place)
            told = lambda at, total, name=name: on_tile(name, at, total)  # noqa: E731
            made = translate_whole(generator, whole, tile, told, label)
            for note in made.notes:
                on_note(f"{name}: {note}")
            del whole
            write_whole(made, place, text)
            if signer is not None:
                signer.sign_file(place, text)
            done += 1
        except ConfigError as error:
            problems.append(str(error))
        except GantryError as error:
            problems.append(f"--input {error}")
    if problems:
        raise ConfigError("\n".join([*problems, *([f"{done} of {len(files)} are in {out}"] if done else [])]))
    return done


def compare_whole(path: Path, origin: Origin, generator: Generator, given: Path, tile: int) -> Identified:
    """Translate a picture again, and compare what comes of it, written in the form of a file, with that file.

    Args:
        path: the file; `tasks.provenance.claim` has looked at its size.
        origin: what it claims.
        given: the picture that it was made from.
        tile: as of `Tiling.of`.

    Raises:
        ConfigError: one of the two cannot be read, or the generator does not translate so.
    """
    from gan_core.tiling import Tiling
    from tasks.inputs import input_files

    if (others := drawn_by_others(origin, generator)) is not None:
        return others
    Tiling.of(generator, tile)
    if given.is_dir():
        raise ConfigError(f"--input {given}: is a folder; name the picture in it that {path.name} was made from")
    spec = Pixels.of(generator.config.data)
    ((_, opened),) = input_files(given, lambda note: None)
    original, found = _read_opened(opened, spec, f"--input {given}"), read_whole(path.read_bytes(), spec, str(path))
    if found.values.shape[:2] != original.values.shape[:2]:
        sizes = [f"{one.values.shape[1]} x {one.values.shape[0]}" for one in (found, original)]
        return Identified(False, f"it has {sizes[0]} pixels, and --input has {sizes[1]}; what is translated whole keeps its size")
    if found.values.dtype != original.values.dtype:
        return Identified(False, f"its pixels are {found.values.dtype}, and those of --input {original.values.dtype}, which would be kept")
    made = translate_whole(generator, original, tile, lambda done, total: None, origin.label)
    with tempfile.TemporaryDirectory(prefix="gantry-") as folder:
        written = Path(folder) / f"again{found.suffix}"
        write_whole(made, written, None)
        again = read_whole(written.read_bytes(), spec, str(written))
    if again.values.shape != found.values.shape:
        channels = [one.values.shape[2] for one in (again, found)]
        return Identified(False, f"translated again it has {channels[0]} channels, and the file has {channels[1]}")
    low, high = again.bounds
    return same_pixels(found.values, again.values, high - low, lossy=found.form in ("JPEG", "WebP"))


def _read_opened(opened: Callable[[], BinaryIO], spec: Pixels, where: str) -> Whole:
    with opened() as file:
        return read_whole(file.read(), spec, where)
