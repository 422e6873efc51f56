"""Generated samples as pictures and as the rows of a table."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gan_core.kinds.schema import GAP
from gan_core.written import NumberForm
from tasks.invented import drawn

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from gan_core.generator import Samples
    from gan_core.kinds.schema import Column, DType, Invented
    from tasks.inputs import Inputs


_FILM_SIDE = 256  # pixels to which a film's images are enlarged, by whole factors
FRAME_MS = 80
"""How long a frame of a film is shown."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def encode_png(image: NDArray[Any]) -> bytes:
    """An image, uint8 or uint16 (C, H, W) with C of 1 or 3, as the bytes of a PNG file."""
    import imagecodecs

    return bytes(imagecodecs.png_encode(np.ascontiguousarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))))


def write_film(images: NDArray[np.uint8], path: Path) -> None:
    """Images, uint8 (N, C, H, W), one after another as an endless film: a GIF."""
    from PIL import Image

    factor = max(1, _FILM_SIDE // images.shape[-1])
    enlarged = images.repeat(factor, axis=2).repeat(factor, axis=3).transpose(0, 2, 3, 1)
    first, *others = (Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image) for image in enlarged)
    first.save(path, format="gif", save_all=True, append_images=others, duration=FRAME_MS, loop=0)


def encoded_as(image: NDArray[Any]) -> str:
    """In which form a single image (C, H, W) loses nothing: `png` where that holds it, otherwise `tif`."""
    return "png" if len(image) in (1, 3) and image.dtype in (np.uint8, np.uint16) else "tif"


def encoded_image(image: NDArray[Any]) -> bytes:
    """An image (C, H, W) as the bytes of a file in that form."""
    if encoded_as(image) == "png":
        return encode_png(image)
    buffer = BytesIO()
    write_tiff(image[None], buffer)
    return buffer.getvalue()


def write_tiff(images: NDArray[Any], to: Path | BytesIO, text: str | None = None) -> None:
    """Images (N, C, H, W) as the pages of a TIFF file, their values as they are; `text` stands in its description."""
    import tifffile

    colour = images.shape[1] == 3
    with tifffile.TiffWriter(to) as file:
        for number, image in enumerate(images):
            file.write(
                np.ascontiguousarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)),
                photometric="rgb" if colour else "minisblack",
                planarconfig="contig" if len(image) > 1 else None,
                compression="adobe_deflate",
                description=text if number == 0 else None,
                metadata=None,
                software=False,
            )


def tiff_pages(data: bytes) -> NDArray[Any]:
    """The images (N, C, H, W) of a file that `write_tiff` has written."""
    import tifffile

    with tifffile.TiffFile(BytesIO(data)) as file:
        pages = [np.atleast_3d(page.asarray()).transpose(2, 0, 1) for page in file.pages]
    return np.stack(pages)


def write_each(samples: Samples, folder: Path, classes: tuple[str, ...] | None, given: Inputs | None) -> None:
    """A file for each image: PNG where that holds it, otherwise TIFF."""
    for image, name in zip(samples.samples, file_names(samples, classes, given), strict=True):
        (folder / f"{name}.{encoded_as(image)}").write_bytes(encoded_image(image))


def file_names(samples: Samples, classes: tuple[str, ...] | None, given: Inputs | None = None) -> list[str]:
    """Of each sample, without suffix: its number and its class, its prompt, or the name of what it was made from."""
    names = _names(samples, classes, given)
    digits = len(str(len(names) - 1))
    return [f"{index:0{digits}}{name and f'-{_safe(name)}'}" for index, name in enumerate(names)]


def table_frame(samples: Samples, classes: tuple[str, ...] | None) -> DataFrame:
    """Rows of a table as they are in its source, without their children: columns by name and type, categories as their text, and labels
    last."""
    schema = samples.schema
    assert schema is not None, "only for tables"  # noqa: S101
    columns = _columns(schema.own, samples.samples[:, : len(schema.own)])
    if samples.labels is not None:
        columns |= _columns(schema.label_columns(classes), schema.label_cells(samples.labels))
    return _with_invented(columns, len(samples.samples), schema.invented, samples.seed)


def children_frame(samples: Samples, parents: DataFrame) -> DataFrame:
    """The children of rows as they are in their source, each with the key of the row that it belongs to.

    Args:
        parents: those rows, as `table_frame` has them.
    """
    children = None if samples.schema is None else samples.schema.children
    assert children is not None, "only for rows with children"  # noqa: S101
    rows, owners = children.pooled(samples.samples)
    frame = _with_invented(_columns(children.columns, rows), len(rows), children.invented, samples.seed)
    frame.insert(children.place, children.foreign, parents[children.key].iloc[owners].reset_index(drop=True))
    return frame


def whole_frame(samples: Samples, classes: tuple[str, ...] | None) -> DataFrame:
    """`table_frame`; where rows have children, with a column more, which holds those of each as a list in JSON."""
    frame = table_frame(samples, classes)
    if samples.schema is not None and (children := samples.schema.children) is not None:
        below = children_frame(samples, frame).groupby(children.foreign)
        lists = {key: of_one.drop(columns=children.foreign).to_json(orient="records", date_format="iso") for key, of_one in below}
        frame[children.name] = [lists.get(key, "[]") for key in frame[children.key]]
    return frame


def _columns(columns: Sequence[Column], values: NDArray[Any]) -> dict[str, Series[Any]]:
    """Values (N, D) of columns as they are in their source, by name."""
    return {
        column.name: _numbers(cells, column) if column.categories is None else _texts(cells, column.dtype, column.categories)
        for column, cells in zip(columns, values.T, strict=True)
    }


def _with_invented(columns: Mapping[str, Series[Any]], count: int, invented: Sequence[Invented], seed: int) -> DataFrame:
    """A frame of `count` rows, in which invented columns stand at their places."""
    import pandas as pd

    frame = pd.DataFrame(columns)
    for one in invented:
        frame.insert(one.place, one.name, pd.Series(drawn(one, count, seed), dtype="int64" if one.dtype == "int64" else "str"))
    return frame


def formulas(samples: Samples, classes: tuple[str, ...] | None) -> list[str]:
    """The columns of rows whose name, or one of whose texts, a spreadsheet takes for a formula (CWE-1236), in order.

    They are not changed: a quote before them, as is the custom, would be other data to every program that is no spreadsheet.
    """
    if samples.schema is None:
        return []
    children = samples.schema.children
    columns = (*samples.schema.own, *(() if children is None else children.columns))
    inventions = (*samples.schema.invented, *(() if children is None else children.invented))
    labels = samples.schema.label_columns(classes)
    texts = {column.name: column.categories or () for column in (*columns, *labels) if column.dtype == "string"}
    for one in inventions:
        # Of a counter, what stands before its number; otherwise all that the first place may hold.
        begins = one.pattern[0] if one.pattern else ""
        texts[one.name] = tuple(begins) if one.first is None else (begins,)
    names = [*(column.name for column in columns), *(one.name for one in inventions), *(column.name for column in labels)]
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


def _names(samples: Samples, classes: tuple[str, ...] | None, given: Inputs | None) -> list[str]:
    """What stands in each file's name beside its number."""
    if given is not None:
        return list(given.names)
    if samples.labels is None:
        return list(samples.prompts or [""] * len(samples.samples))
    return [f"{label:g}" if isinstance(label, float) else label for label in samples.label_names(classes) or map(str, samples.labels)]


def _safe(name: str) -> str:
    """A name with nothing in it that a file's name must not have."""
    return re.sub(r"[^\w.-]+", "_", name)[:80]
