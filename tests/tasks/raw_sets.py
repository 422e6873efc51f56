"""Small raw data sets of each kind, as the fetch stage would leave them."""

from __future__ import annotations

import gzip
import io
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks import kinds
from tasks.params import DataParams, Entry, ValidateParams, parse
from tasks.sources.raw import About, RawReader, write_raw
from tasks.validation.inspection import Inspection, OnRow


def entry(data: Mapping[str, Any], validate: Mapping[str, Any] | None = None) -> Entry:
    recipe = "tabular" if data["source"].startswith("table://") else "gan"
    sections = {"data": dict(data), "validate": dict(validate or {}), "train": {"recipe": recipe, "images": 100}}
    return parse({"generators": {"sets": {**sections, "evaluate": {}, "register": {}}}})["sets"]


def inspect(raw: RawReader, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow = lambda done, total: None) -> Inspection:
    """A look at every sample, as the validate stage takes it."""
    return kinds.of(data.kind).inspect(raw, data, limits, spool, on_row)


def png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def noise(number: int, *shape: int) -> NDArray[np.uint8]:
    """A picture that is like no other."""
    return np.random.default_rng(number).integers(0, 256, shape or (8, 8, 3), dtype=np.uint8)


def npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def idx(values: NDArray[np.uint8]) -> bytes:
    return gzip.compress(struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes(), mtime=0)


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    write_raw(folder, About("files", "folder:///pictures", len(contents)), contents)


def write_arrays(folder: Path, images: NDArray[Any], labels: NDArray[Any], classes: object) -> None:
    contents = {"images.npy": npy(images), "labels.npy": npy(labels), "classes.json": json.dumps(classes).encode()}
    write_raw(folder, About("arrays", "sklearn://digits", len(images)), contents)


def write_idx(folder: Path, parts: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]], source: str = "torchvision://MNIST") -> None:
    contents = {}
    for part, (images, labels) in parts.items():
        contents[f"{part}-images-idx3-ubyte.gz"] = idx(images)
        contents[f"{part}-labels-idx1-ubyte.gz"] = idx(labels)
    write_raw(folder, About("idx", source, sum(len(images) for images, _ in parts.values())), contents)


def write_points(folder: Path, points: NDArray[Any], truth: Mapping[str, Any] | None = None) -> None:
    write_raw(folder, About("points", "points://circle", len(points), truth), {"points.npy": npy(points)})


def write_table(folder: Path, data: bytes, suffix: str = ".csv") -> None:
    write_raw(folder, About("table", f"table:///rows{suffix}", 1), {f"table{suffix}": data})
