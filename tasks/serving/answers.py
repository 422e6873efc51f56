"""Samples in the form that a request takes: its Accept header chooses among the forms that a kind of data has."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_core.generator import Generator, Samples
from gan_core.kinds.pixels import Pixels
from tasks import kinds
from tasks.provenance import STAMPED, stamped
from tasks.sample_files import write_arrays, write_samples
from tasks.samples import encode_png, encoded_as

if TYPE_CHECKING:
    from pandas import DataFrame

    from tasks.credentials import Signer
    from tasks.inputs import Inputs
    from tasks.provenance import Origin

JSON = "application/json"
_NPZ = "application/x-npz"
_SUFFIXES = {
    _NPZ: ".npz",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/tiff": ".tif",
    "audio/wav": ".wav",
    "audio/flac": ".flac",
    "model/stl": ".stl",
    "model/obj": ".obj",
    "text/csv": ".csv",
    "text/plain": ".txt",
    "application/x-ndjson": ".jsonl",
    "application/vnd.apache.parquet": ".parquet",
}
"""What `gantry sample` writes, by its type on the web."""
_ZIP = "application/zip"
_MEMORY = "/dev/shm"  # noqa: S108  Linux's files in memory: to a disk, making a small one and removing it again costs more than what is in it
_SMALL = 2**20  # bytes of samples whose files stand there meanwhile; it may have no more than 64 MiB


def forms(samples: Samples) -> tuple[str, ...]:
    """The types in which samples such as these are answered; the first is for who takes anything."""
    there = {".npz", *kinds.of(samples.kind).written(samples, None, None).files}
    there |= set(STAMPED) if ".png" in there else set()
    return (JSON, *(form for form, suffix in _SUFFIXES.items() if suffix in there), _ZIP)


@lru_cache(maxsize=64)
def chosen(accept: str, offered: tuple[str, ...]) -> str | None:
    """The type that an Accept header likes best (RFC 9110, 12.5.1), the earlier one of equals; None where it takes none.

    >>> chosen("image/*;q=0.5, text/csv", ("application/json", "image/png"))
    'image/png'
    """
    if not accept.strip():
        return offered[0]
    wanted: dict[str, float] = {}
    for part in accept.split(","):
        form, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((value for key, _, value in (one.partition("=") for one in parameters) if key.strip() == "q"), "1")
        try:
            wanted[form] = float(quality)
        except ValueError:
            wanted[form] = 0.0

    def liked(form: str) -> float:
        return next((wanted[one] for one in (form, f"{form.partition('/')[0]}/*", "*/*") if one in wanted), 0.0)

    best = max(offered, key=liked)
    return best if liked(best) > 0 else None


def encoded(
    generator: Generator,
    version: int,
    samples: Samples,
    form: str,
    given: Inputs | None = None,
    origin: Origin | None = None,
    signer: Signer | None = None,
) -> bytes:
    """Samples as the bytes of one of their `forms`: those of the file that `gantry sample` writes, where it writes such a one.

    A single image is that image as PNG, WebP or JPEG, as far as these can hold it, otherwise what is seen of it; several are a grid, with
    what each was made from on its left. A picture says in its metadata what drew it, where `origin` is given; files that hold a
    signature get one of `signer`.
    """
    if form == JSON:
        rows = kinds.of(samples.kind).records(samples, generator.config.classes)
        told = _of_prompts(generator, samples)
        rows = [row | {key: values[i] for key, values in told.items()} for i, row in enumerate(rows)] if told else rows
        return json.dumps({"version": version, "samples": rows}, ensure_ascii=False, default=_plain).encode()
    suffix = _SUFFIXES.get(form, "")
    if suffix in STAMPED and samples.samples.ndim == 4 and len(samples.samples) == 1:
        (image,) = samples.samples
        if suffix != ".png" or encoded_as(image) != "png":
            image = Pixels.of(generator.config.data).pictured(image)
        text = None if origin is None else origin.text(0)
        single = stamped(encode_png(image), STAMPED[suffix], text)
        return single if signer is None else signer.signed(single, form, text)
    if form == _NPZ:
        buffer = BytesIO()
        classes = generator.config.classes
        write_arrays(samples, kinds.of(samples.kind).written(samples, classes, given).arrays, classes, buffer)
        return buffer.getvalue()
    in_memory = samples.samples.nbytes <= _SMALL and os.access(_MEMORY, os.W_OK)
    with tempfile.TemporaryDirectory(prefix="gantry-serve-", dir=_MEMORY if in_memory else None) as folder:
        out = Path(folder) / f"samples{suffix}"
        write_samples(samples, out, generator.config.classes, given, origin)
        if signer is not None:
            signer.sign_files(out, origin)
        return out.read_bytes() if form != _ZIP else _zipped(out)


def frame_of(generator: Generator, samples: Samples) -> DataFrame:
    """A row for each sample, as MLflow's model answers: what it is, and its label, or its prompt and the words that were not known."""
    return kinds.of(samples.kind).answer(samples, generator.config.classes).assign(**_of_prompts(generator, samples))


def _of_prompts(generator: Generator, samples: Samples) -> dict[str, Sequence[str]]:
    if samples.prompts is None:
        return {}
    return {"prompt": samples.prompts, "unknown_words": [" ".join(generator.unknown_words([prompt])) for prompt in samples.prompts]}


def _plain(value: Any) -> Any:
    """What JSON has no word for: NumPy's numbers, days and moments."""
    return value.item() if hasattr(value, "item") else value.isoformat()


def _zipped(folder: Path) -> bytes:
    """A folder's files in an archive, by name; the same files give the same bytes."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
