"""Pictures for people: grids of images, scatters of points, histograms of columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gan_core.files import replacing
from gan_core.kinds.schema import Column

_PAPER = 255
_REAL = np.array([170, 178, 189])
_GENERATED = np.array([208, 62, 41])


def grid(images: NDArray[np.uint8], columns: int | None = None, gap: int = 2, min_side: int = 32) -> NDArray[np.uint8]:
    """Images side by side on white.

    Args:
        images: uint8 (N, C, H, W) with C of 1 or 3.
        columns: how many in a row; None makes the grid about square.
        gap: white pixels between images.
        min_side: smaller images are enlarged by whole factors (no smoothing) until they are at least this wide.

    Returns:
        uint8 (rows, columns, 3).

    >>> import numpy as np
    >>> from gan_core import grid
    >>> grid(np.zeros((4, 1, 32, 32), dtype=np.uint8)).shape
    (70, 70, 3)
    """
    factor = math.ceil(min_side / images.shape[-1])
    tiles = images.repeat(factor, axis=2).repeat(factor, axis=3).transpose(0, 2, 3, 1)
    n, height, width, _ = tiles.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), _PAPER, dtype=np.uint8)
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * (height + gap) + gap, (i % columns) * (width + gap) + gap
        sheet[top : top + height, left : left + width] = tile
    return sheet


def rows(*columns: NDArray[np.uint8], gap: int = 2, min_side: int = 32) -> NDArray[np.uint8]:
    """Images that belong together side by side, a row each: uint8 (N, C, H, W) for each column, with C of 1 or 3, to (rows, columns, 3).

    >>> import numpy as np
    >>> from gan_core.pictures import rows
    >>> before, after = np.zeros((4, 1, 32, 32), dtype=np.uint8), np.zeros((4, 3, 32, 32), dtype=np.uint8)
    >>> rows(before, after).shape
    (138, 70, 3)
    """
    coloured = [np.broadcast_to(column, (len(column), 3, *column.shape[2:])) for column in columns]
    return grid(np.stack(coloured, axis=1).reshape(-1, *coloured[0].shape[1:]), columns=len(columns), gap=gap, min_side=min_side)


def strips(clips: NDArray[np.uint8], frames: int = 6) -> NDArray[np.uint8]:
    """Some frames of each clip side by side, the first and the last among them: uint8 (N, C, F, H, W) to (N, C, H, frames * W).

    >>> import numpy as np
    >>> from gan_core.pictures import strips
    >>> strips(np.zeros((2, 3, 16, 32, 32), dtype=np.uint8)).shape
    (2, 3, 32, 192)
    """
    n, channels, count, height, _ = clips.shape
    chosen = clips[:, :, np.linspace(0, count - 1, min(frames, count)).round().astype(np.int64)]
    return chosen.transpose(0, 1, 3, 2, 4).reshape(n, channels, height, -1)


def film(clips: NDArray[np.uint8], columns: int | None = None, min_side: int = 32) -> NDArray[np.uint8]:
    """Clips (N, C, F, H, W) playing beside each other: a `grid` of each moment, uint8 (F, rows, columns, 3).

    >>> import numpy as np
    >>> from gan_core.pictures import film
    >>> film(np.zeros((4, 3, 16, 32, 32), dtype=np.uint8)).shape
    (16, 70, 70, 3)
    """
    return np.stack([grid(frame, columns, min_side=min_side) for frame in np.moveaxis(clips, 2, 0)])


def scatter(points: NDArray[np.float32], real: NDArray[np.float32] | None = None, size: int = 512) -> NDArray[np.uint8]:
    """Generated points (N, 2) in red over real ones (M, 2) in grey: uint8 (size, size, 3). More columns than two are left out.

    >>> import numpy as np
    >>> from gan_core import scatter
    >>> scatter(np.array([[0.0, 1.0]], dtype=np.float32), size=256).shape
    (256, 256, 3)
    """
    clouds = [(cloud, colour) for cloud, colour in ((real, _REAL), (points, _GENERATED)) if cloud is not None]
    extent = 1.15 * max(float(np.abs(clouds[0][0][:, :2]).max()), 1e-6)
    sheet = np.full((size, size, 3), _PAPER, dtype=np.uint8)
    for cloud, colour in clouds:
        pixels = np.rint((cloud[:, :2] / extent * [1, -1] + 1) * (size - 1) / 2).astype(np.int64)
        for shift in ((0, 0), (0, 1), (1, 0), (1, 1)):
            at = pixels + shift
            inside = ((at >= 0) & (at < size)).all(axis=1)
            sheet[at[inside, 1], at[inside, 0]] = colour
    return sheet


def curves(series: Mapping[str, Sequence[tuple[float, float]]], width: int = 640, height: int = 400) -> NDArray[np.uint8]:
    """Lines over common axes, with their names and the ends of both axes.

    Args:
        series: points (x, y) of each line, by its name.
        width: of the picture, pixels.
        height: of the picture, pixels.

    Returns:
        uint8 (height, width, 3).

    >>> from gan_core import curves
    >>> curves({"generator_loss": [(0, 2.0), (100, 1.0)], "discriminator_loss": [(0, 0.5), (100, 0.7)]}).shape
    (400, 640, 3)
    """
    sheet = Image.new("RGB", (width, height), (_PAPER,) * 3)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    points = np.array([point for line in series.values() for point in line if math.isfinite(point[1])]).reshape(-1, 2)
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (np.zeros(2), np.ones(2))
    span = np.where(high > low, high - low, 1.0)
    left, top, right, bottom = 64, 40, width - 16, height - 32
    draw.line([(left, top), (left, bottom), (right, bottom)], fill=_INK)
    for value, y in ((high[1], top), (low[1], bottom)):
        draw.text((left - 6, y), f"{value:.3g}", fill=_INK, font=font, anchor="rm")
    for value, x, anchor in ((low[0], left, "lt"), (high[0], right, "rt")):
        draw.text((x, bottom + 8), f"{value:,.0f}", fill=_INK, font=font, anchor=anchor)
    at = float(left)
    for number, (name, line) in enumerate(series.items()):
        colour = _LINES[number % len(_LINES)]
        draw.text((at, 10), name.replace("_", " "), fill=colour, font=font)
        at += font.getlength(name) + 24
        pixels = [
            (left + (x - low[0]) / span[0] * (right - left), bottom - (y - low[1]) / span[1] * (bottom - top))
            for x, y in line
            if math.isfinite(y)
        ]
        if len(pixels) > 1:
            draw.line(pixels, fill=colour, width=2)
    return np.asarray(sheet)


def lines(texts: Sequence[str], size: int = 16, most: int = 96) -> NDArray[np.uint8]:
    """Texts below each other, one a line: uint8 (H, W, 3).

    Args:
        texts: at least one. Letters that Pillow's own font lacks become boxes.
        size: of the letters, pixels.
        most: characters of a line; the rest of a longer one is left out.

    >>> from gan_core.pictures import lines
    >>> lines(["a man on a horse.", "a bowl of fruit."]).shape[0] > 2 * 16
    True
    """
    font, step = ImageFont.load_default(size=size), round(1.6 * size)
    shown = [text if len(text) <= most else f"{text[: most - 1]}\u2026" for text in texts]
    width = math.ceil(max(font.getlength(text) for text in shown)) + 2 * size
    sheet = Image.new("RGB", (width, len(shown) * step + size), (_PAPER,) * 3)
    draw = ImageDraw.Draw(sheet)
    for number, text in enumerate(shown):
        draw.text((size, size // 2 + step // 2 + number * step), text, fill=_INK, font=font, anchor="lm")
    return np.asarray(sheet)


_PANEL = (220, 120)  # width and height, pixels
_TITLE, _MARGIN, _BINS, _MOST_BARS = 18, 8, 24, 24
_LINE, _MOST_LINES = 15, 8  # of a picture's key
_INK = (31, 35, 40)
_LINES = ((208, 62, 41), (9, 105, 218), (26, 127, 55), (130, 80, 223), (191, 135, 0))
"""Of curves, one after the other."""


def histograms(real: NDArray[np.float64], generated: NDArray[np.float64], columns: Sequence[Column]) -> NDArray[np.uint8]:
    """Each column's values, generated ones as red steps over real ones as grey bars, both as shares; 6 panels in a row.

    Args:
        real: (N, D), as rows of a table are packed.
        generated: (M, D).
        columns: D of them. Of a category with more than 24 values, the 23 that are most frequent among the real ones have a bar, the most
            frequent first, and all others the last one, as the title says; of a number with gaps, they are the last bar.

    Returns:
        uint8 (H, W, 3).
    """
    across = min(6, max(len(columns), 1))
    width, height = _PANEL
    down = math.ceil(len(columns) / across)
    sheet = Image.new("RGB", (across * width + _MARGIN, down * height + _MARGIN), (_PAPER,) * 3)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=11)
    for i, column in enumerate(columns):
        left, top = (i % across) * width + _MARGIN, (i // across) * height + _MARGIN
        shares, rest = _shares(real[:, i], generated[:, i], column)
        right, bottom = left + width - _MARGIN, top + height - _MARGIN
        more = f" (last bar: {rest:,} others)" if rest else ""
        draw.text((left, top), _shortened(column.name, right - left - font.getlength(more), font) + more, fill=_INK, font=font)
        tallest = max(shares[0].max(), shares[1].max(), 1e-12)
        edges = np.linspace(left, right, len(shares[0]) + 1).round().astype(int)
        tops = [bottom - np.rint(one / tallest * (bottom - top - _TITLE)).astype(int) for one in shares]
        for start, end, height_of_real in zip(edges, edges[1:], tops[0], strict=False):
            if height_of_real < bottom:
                draw.rectangle((start, height_of_real, end - 1, bottom), fill=tuple(_REAL.tolist()))
        steps = [(x, y) for start, end, y in zip(edges, edges[1:], tops[1], strict=False) for x in (start, end)]
        draw.line([(left, bottom), *steps, (right, bottom)], fill=tuple(_GENERATED.tolist()), width=2)
    return np.asarray(sheet)


def below(*sheets: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Sheets uint8 (H, W, 3) of any widths one below the other, flush left.

    >>> below(np.zeros((2, 8, 3), np.uint8), np.zeros((3, 5, 3), np.uint8)).shape
    (5, 8, 3)
    """
    width = max(sheet.shape[1] for sheet in sheets)
    return np.concatenate([np.pad(one, ((0, 0), (0, width - one.shape[1]), (0, 0)), constant_values=_PAPER) for one in sheets])


def profiles(generated: NDArray[np.float64], others: NDArray[np.float64], columns: Sequence[Column]) -> NDArray[np.uint8]:
    """Pairs of rows, each pair a panel: a row's values from left to right, a generated one's as a red line over the other's grey bars.

    Args:
        generated: (N, D), as rows of a table are packed.
        others: (N, D).
        columns: D of them, each drawn within its own extent.

    Returns:
        uint8 (H, W, 3), 6 numbered panels in a row, and below them the columns' names, in the order of the bars.
    """
    across = min(6, max(len(generated), 1))
    width, height = _PANEL
    font = ImageFont.load_default(size=11)
    named = f"grey: the training row; red: the generated one; from left to right: {', '.join(column.name for column in columns)}"
    key = _wrapped(named, across * width - _MARGIN, font)
    panels = math.ceil(len(generated) / across) * height + _MARGIN
    sheet = Image.new("RGB", (across * width + _MARGIN, panels + len(key) * _LINE + _MARGIN), (_PAPER,) * 3)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(key):
        draw.text((_MARGIN, panels + number * _LINE), line, fill=_INK, font=font)
    edges = np.linspace(0, width - _MARGIN, len(columns) + 1).round().astype(int)
    for i, (row, other) in enumerate(zip(generated, others, strict=True)):
        left, bottom = (i % across) * width + _MARGIN, (i // across + 1) * height
        draw.text((left, bottom - height + _MARGIN), f"pair {i + 1}", fill=_INK, font=font)
        tops = [bottom - np.rint(_within(one, columns) * (height - _TITLE - _MARGIN)).astype(int) for one in (row, other)]
        for start, end, top in zip(edges, edges[1:], tops[1], strict=False):
            draw.rectangle((left + start, top, left + max(start, end - 1), bottom), fill=tuple(_REAL.tolist()))
        steps = [(left + x, y) for start, end, y in zip(edges, edges[1:], tops[0], strict=False) for x in (start, end)]
        draw.line(steps, fill=tuple(_GENERATED.tolist()), width=2)
    return np.asarray(sheet)


def _within(row: NDArray[np.float64], columns: Sequence[Column]) -> NDArray[np.float64]:
    """A row's values within their columns' extents: 0 to 1."""
    extents = np.array([(0, len(column.categories) - 1) if column.categories is not None else column.extent for column in columns])
    low, high = extents.T
    row = np.where(np.isnan(row), low, row)
    return np.asarray(np.clip((row - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0))


def _shares(
    real: NDArray[np.float64], generated: NDArray[np.float64], column: Column
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], int]:
    """The share of both columns' values in each bin of the range, and of gaps where there are any, or in each category; and how many
    categories have the last bar together."""
    if column.categories is None:
        return (_in_bins(real, column), _in_bins(generated, column)), 0
    counts = [np.bincount(values.astype(np.int64), minlength=len(column.categories)) for values in (real, generated)]
    rest = 0
    if len(column.categories) > _MOST_BARS:
        frequent, others = np.split(np.argsort(-counts[0], kind="stable"), [_MOST_BARS - 1])
        counts = [np.append(one[frequent], one[others].sum()) for one in counts]
        rest = len(others)
    return (counts[0] / len(real), counts[1] / len(generated)), rest


def _in_bins(values: NDArray[np.float64], column: Column) -> NDArray[np.float64]:
    low, high = column.extent
    gaps = np.isnan(values)
    bounds = (low, high) if low < high else (low - 0.5, low + 0.5)
    counts, _ = np.histogram(values[~gaps].clip(low, high), bins=_BINS, range=bounds)
    if column.missing:
        counts = np.append(counts, gaps.sum())
    return np.asarray(counts / len(values))


def _wrapped(text: str, width: float, font: Any) -> list[str]:
    """A text as lines that fit, cut after some."""
    lines = [""]
    for word in _printable(text[:2_000]).split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(_shortened(word, width, font))
    if len(lines) > _MOST_LINES:
        return [*lines[: _MOST_LINES - 1], _shortened(f"{lines[_MOST_LINES - 1]} and others", width, font)]
    return lines


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _shortened(text: str, width: float, font: Any) -> str:
    """As much of a text as fits."""
    text = _printable(text[:80])
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."


def save_png(picture: NDArray[Any], path: Path) -> None:
    """Write uint8 (H, W, 3) as PNG, whole or not at all; the same picture gives the same bytes.

    >>> import numpy as np
    >>> from gan_core import save_png
    >>> save_png(np.zeros((8, 8, 3), dtype=np.uint8), Path("pictures/black.png"))
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        Image.fromarray(picture).save(unfinished, format="png")
