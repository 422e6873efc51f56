"""Generated samples as files: a picture to look at, an array to compute with, a table, or a folder of single files."""

from __future__ import annotations

import math
import re
import shutil
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import ConfigError
from gan_core.files import replacing
from gan_core.kinds.schema import GAP
from gan_core.written import NumberForm

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from gan_core.generator import Samples
    from gan_core.kinds.schema import Column, DType
    from tasks.inputs import Inputs


_FILM_SIDE = 256  # pixels to which a film's images are enlarged, by whole factors
_FRAME_MS = 80
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_samples(samples: Samples, out: Path, classes: tuple[str, ...] | None = None, given: Inputs | None = None) -> None:
    """Write samples in the form that `out` asks for; whole or not at all, and the same samples give the same bytes.

    * `.png`: one picture, a grid of the images, with what each was made from on its left, or a scatter of the points.
    * `.gif`: the images one after another, as an endless film.
    * `.npz`: `images`, uint8 (N, C, H, W), or `points`, float32 (N, D); and `labels`, int64 (N,), or `prompts`, text (N,), where there
      are any.
    * `.csv`, `.parquet`: rows of a table under its columns' names, the label's last. They are written as the columns are, texts too:
      `formulas` says where a spreadsheet that opens the file would compute.
    * `.npz` of a table: `rows`, float64 (N, D), with the index of each category, and `columns`, their names.
    * no suffix: a new folder with a PNG for each image, its name made of number and class, prompt, or the name of what it was made from;
      or with `points.csv` or `rows.csv`.

    Args:
        out: replaced if it is a file; a folder must be new or empty.
        classes: names of the labels, for the files' names.
        given: what the samples were made from, one for each.

    Raises:
        ConfigError: another suffix, a folder that holds something, or a place that cannot be written.
    """
    writers: dict[str, Callable[[Path], None]] = {".npz": lambda path: _write_arrays(samples, path)}
    if samples.schema is None:
        writers[".png"] = lambda path: _write_picture(samples, path, given)
        if is_images(samples):
            writers[".gif"] = lambda path: _write_film(samples.samples, path)
    else:
        writers[".csv"] = lambda path: table_frame(samples, classes).to_csv(path, index=False, lineterminator="\n")
        writers[".parquet"] = lambda path: table_frame(samples, classes).to_parquet(path, index=False)
    is_folder = out.is_dir() or not out.suffix
    if not is_folder and out.suffix.lower() not in writers:
        forms = ", ".join(sorted(writers, reverse=True))
        what = "samples are" if samples.schema is None else "rows of a table are"
        raise ConfigError(f"{out}: {out.suffix} is no form that {what} written in; use {forms}, or a folder's name without a dot")
    try:
        if is_folder:
            _write_folder(samples, out, classes, given)
        else:
            out.parent.mkdir(parents=True, exist_ok=True)
            with replacing(out) as temporary:
                writers[out.suffix.lower()](temporary)
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror or error})") from None


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """An image, uint8 (C, H, W) with C of 1 or 3, as the bytes of a PNG file."""
    from PIL import Image

    buffer = BytesIO()
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="png")
    return buffer.getvalue()


def is_images(samples: Samples) -> bool:
    """Whether they are images, not points or rows of a table."""
    return samples.samples.ndim == 4


def table_frame(samples: Samples, classes: tuple[str, ...] | None) -> DataFrame:
    """Rows of a table as they are in its source: columns by name and type, categories as their text, and the label's column last."""
    import pandas as pd

    assert samples.schema is not None, "only for tables"  # noqa: S101
    columns = {
        column.name: _numbers(values, column) if column.categories is None else _texts(values, column.dtype, column.categories)
        for column, values in zip(samples.schema.columns, samples.samples.T, strict=True)
    }
    if samples.labels is not None and samples.schema.label is not None:
        columns[samples.schema.label] = _texts(samples.labels, samples.schema.label_dtype, classes or ())
    return pd.DataFrame(columns)


def formulas(samples: Samples, classes: tuple[str, ...] | None) -> list[str]:
    """The columns of rows whose name, or one of whose texts, a spreadsheet takes for a formula (CWE-1236), in order.

    They are not changed: a quote before them, as is the custom, would be other data to every program that is no spreadsheet.
    """
    if samples.schema is None:
        return []
    texts = {column.name: column.categories or () for column in samples.schema.columns if column.dtype == "string"}
    if samples.schema.label is not None and samples.schema.label_dtype == "string":
        texts[samples.schema.label] = classes or ()
    names = [column.name for column in samples.schema.columns] + ([samples.schema.label] if samples.schema.label else [])
    return [name for name in names if any(text.startswith(_FORMULA) for text in (name, *texts.get(name, ())))]


def _numbers(values: NDArray[np.float64], column: Column) -> Series[Any]:
    """A column of numbers, days or moments as it is in its source; texts where they were written in a form of their own."""
    import pandas as pd

    gaps = np.isnan(values)
    if column.dtype in ("date", "datetime"):
        days = column.dtype == "date"
        moments = pd.Series(pd.to_datetime(np.where(gaps, 0.0, values), unit="D" if days else "s").as_unit("us"))
        written = moments.dt.strftime(column.format) if column.format else moments.dt.date if days else moments
        return written.astype(object).where(~gaps, None) if column.format or days else written.mask(gaps)
    if column.format is not None:
        form = NumberForm.of_example(column.format)
        return pd.Series([None if math.isnan(value) else form.write(value, column.decimals) for value in values.tolist()], dtype="str")
    if column.dtype == "int64" and gaps.any():
        return pd.Series(pd.array(np.where(gaps, 0, values).astype("int64"), dtype="Int64")).mask(gaps)
    return pd.Series(values.astype(column.dtype))


def _texts(values: NDArray[Any], dtype: DType, categories: tuple[str, ...]) -> Series[Any]:
    """A column of categories, of their own type; None for a gap."""
    import pandas as pd

    texts = [None if categories[int(value)] == GAP else categories[int(value)] for value in values]
    if dtype not in ("bool", "int64"):
        return pd.Series(texts, dtype="str")
    known = [None if text is None else text == "True" if dtype == "bool" else int(text) for text in texts]
    return pd.Series(known, dtype={"bool": "boolean", "int64": "Int64"}[dtype] if None in known else dtype)


def _write_picture(samples: Samples, path: Path, given: Inputs | None) -> None:
    from gan_core.pictures import grid, rows, save_png, scatter

    if given is not None:
        save_png(rows(given.images, samples.samples), path)
        return
    save_png(grid(samples.samples) if is_images(samples) else scatter(samples.samples), path)


def _write_film(images: NDArray[np.uint8], path: Path) -> None:
    from PIL import Image

    factor = max(1, _FILM_SIDE // images.shape[-1])
    enlarged = images.repeat(factor, axis=2).repeat(factor, axis=3).transpose(0, 2, 3, 1)
    first, *others = (Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image) for image in enlarged)
    first.save(path, format="gif", save_all=True, append_images=others, duration=_FRAME_MS, loop=0)


def _write_arrays(samples: Samples, path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {"images" if is_images(samples) else "points": samples.samples}
    if samples.schema is not None:
        arrays = {"rows": samples.samples, "columns": np.array([column.name for column in samples.schema.columns])}
    if samples.labels is not None:
        arrays["labels"] = samples.labels
    if samples.prompts is not None:
        arrays["prompts"] = np.array(samples.prompts)
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _write_folder(samples: Samples, out: Path, classes: tuple[str, ...] | None, given: Inputs | None) -> None:
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out}: holds files already; name a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        temporary.chmod(0o755)
        if is_images(samples):
            names = _names(samples, classes, given)
            digits = len(str(len(names) - 1))
            for index, (image, name) in enumerate(zip(samples.samples, names, strict=True)):
                (temporary / f"{index:0{digits}}{name and f'-{_safe(name)}'}.png").write_bytes(encode_png(image))
        elif samples.schema is not None:
            table_frame(samples, classes).to_csv(temporary / "rows.csv", index=False, lineterminator="\n")
        else:
            header = ",".join(f"x{column}" for column in range(samples.samples.shape[1]))
            np.savetxt(temporary / "points.csv", samples.samples, fmt="%.9g", delimiter=",", header=header, comments="")
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _names(samples: Samples, classes: tuple[str, ...] | None, given: Inputs | None) -> list[str]:
    """What stands in each file's name beside its number."""
    if given is not None:
        return list(given.names)
    if samples.labels is None:
        return list(samples.prompts or [""] * len(samples.samples))
    return [classes[label] if classes is not None else str(label) for label in samples.labels.tolist()]


def _safe(name: str) -> str:
    """A name with nothing in it that a file's name must not have."""
    return re.sub(r"[^\w.-]+", "_", name)[:80]
