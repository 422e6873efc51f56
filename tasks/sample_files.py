"""Generated samples as files: a picture to look at, an array to compute with, a table, or a folder of single files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import ConfigError
from gan_core.files import replacing
from tasks import kinds
from tasks.provenance import HEARD, STAMPED, stamp_sound, stamped
from tasks.samples import tiff_pages, write_tiff

if TYPE_CHECKING:
    from gan_core.generator import Samples
    from tasks.inputs import Inputs
    from tasks.provenance import Origin


def write_samples(
    samples: Samples, out: Path, classes: tuple[str, ...] | None = None, given: Inputs | None = None, origin: Origin | None = None
) -> None:
    """Write samples in the form that `out` asks for; whole or not at all, and the same samples give the same bytes.

    * `.png`: one picture, a grid of the images, with what each was made from on its left, or a scatter of the points.
    * `.jpg`, `.jpeg`, `.webp`: the same picture, as JPEG, or as WebP without loss.
    * `.gif`: the images one after another, as an endless film.
    * `.tif`, `.tiff`: the images as pages, their values as they are, of any depth and number of channels.
    * `.npz`: `images` (N, C, H, W), uint8 or as their data are kept, or `points`, float32 (N, D); and `labels`, int64 (N,), with
      `classes`, which they are indices into, or `prompts`, text (N,), where there are any.
    * `.csv` of points: one a line, below the names of the coordinates.
    * `.csv`, `.parquet`: rows of a table under its columns' names, the label's last. They are written as the columns are, texts too:
      `formulas` says where a spreadsheet that opens the file would compute.
    * `.npz` of a table: `rows`, float64 (N, D), with the index of each category, and `columns`, their names.
    * `.wav`, `.flac`: sounds one after another, a pause between; `.png`: their spectrograms; `.npz`: `sounds`, int16 (N, T), and `rate`.
    * `.ply`, `.stl`, `.obj`: the surfaces of volumes, one behind the other; `.binvox`: a single volume; `.png`: what is seen of them;
      `.npz`: `volumes`, bool (N, X, Y, Z).
    * `.gif`, `.webp` of clips: all playing beside each other; `.png`: their frames, a row each; `.npz`: `clips`, uint8 (N, F, C, H, W).
    * no suffix: a new folder with a PNG for each image (a TIFF where PNG would lose something of it), a WAV for each sound, a PLY for each
      volume, or a WebP for each clip, its name made of number and class, prompt, or the name of what it was made from; or with
      `points.csv` or `rows.csv`.

    Args:
        out: replaced if it is a file; a folder must be new or empty.
        classes: names of the labels, for the files' names.
        given: what the samples were made from, one for each.
        origin: what drew them, which a picture or sound then says in its metadata (`tasks.provenance`).

    Raises:
        ConfigError: another suffix, a folder that holds something, or a place that cannot be written.
    """
    kind = kinds.of(samples.kind)
    written = kind.written(samples, classes, given)
    writers: dict[str, Callable[[Path], None]] = {".npz": partial(write_arrays, samples, written.arrays, classes), **written.files}
    if ".png" in writers:
        stills = {suffix: partial(_write_stamped, writers[".png"], form, origin) for suffix, form in STAMPED.items()}
        writers = {**stills, **writers, ".png": stills[".png"]}
    if ".tif" in writers:
        text = None if origin is None else origin.text(None)
        writers |= dict.fromkeys((".tif", ".tiff"), partial(write_tiff, samples.samples, text=text))
    is_folder = out.is_dir() or not out.suffix
    if not is_folder and out.suffix.lower() not in writers:
        forms = ", ".join(sorted(writers, reverse=True))
        raise ConfigError(
            f"{out}: {out.suffix} is no form that {kind.called} are written in; use {forms}, or a folder's name without a dot"
        )
    try:
        if is_folder:
            _write_folder(out, written.each, origin)
        else:
            out.parent.mkdir(parents=True, exist_ok=True)
            with replacing(out) as temporary:
                writers[out.suffix.lower()](temporary)
                if origin is not None and (form := HEARD.get(out.suffix.lower())) is not None:
                    stamp_sound(temporary, form, origin, None)
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror or error})") from None


def write_arrays(samples: Samples, of_kind: Mapping[str, NDArray[Any]], classes: tuple[str, ...] | None, to: Path | BinaryIO) -> None:
    """Write arrays as `.npz`, and labels, the names that they are indices into, and prompts, where there are any."""
    arrays = dict(of_kind)
    if samples.labels is not None:
        arrays["labels"] = samples.labels
        if classes is not None:
            arrays["classes"] = np.array(classes)
    if samples.prompts is not None:
        arrays["prompts"] = np.array(samples.prompts)
    with to.open("wb") if isinstance(to, Path) else nullcontext(to) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _write_stamped(write: Callable[[Path], None], form: str, origin: Origin | None, out: Path) -> None:
    write(out)  # as PNG
    out.write_bytes(stamped(out.read_bytes(), form, None if origin is None else origin.text(None)))


def _write_folder(out: Path, write: Callable[[Path], None], origin: Origin | None) -> None:
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out}: holds files already; name a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        temporary.chmod(0o755)
        write(temporary)
        if origin is not None:
            for index, path in enumerate(sorted(temporary.glob("*.png"))):
                path.write_bytes(stamped(path.read_bytes(), "png", origin.text(index)))
            for index, path in enumerate(sorted(temporary.glob("*.wav"))):
                stamp_sound(path, "wav", origin, index)
            for index, path in enumerate(sorted(temporary.glob("*.tif"))):
                write_tiff(tiff_pages(path.read_bytes()), path, origin.text(index))
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
