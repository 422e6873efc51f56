"""Networks as charts of boxes, one below the other in the order of their calls: for a terminal, and as a drawing in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from gan_core.errors import ConfigError
from gan_core.files import replacing
from gan_core.layers import Layer

Players = Mapping[str, Sequence[Layer]]
ORDER = "in the order of their calls; branches stand one below the other"

_FONT, _LETTER, _LINE, _GAP = 13, 8, 20, 24
"""Of a drawing, in pixels: the font, the most that a letter of it takes, a line, and what lies between boxes and players."""
_INK, _PALE = "#1f2933", "#eef2f7"


def heading(player: str, layers: Sequence[Layer]) -> str:
    """What a network has and costs, in one line."""
    parameters, operations = sum(layer.parameters for layer in layers), sum(layer.multiply_adds for layer in layers)
    return f"{player}: {parameters:,} parameters, {operations:,} multiply-adds a sample"


def chart(layers: Sequence[Layer]) -> list[str]:
    """The lines of a chart: a box for each layer that multiplies or embeds, with those that follow it, what it gives, and its weights.

    The first line has the name of the first of them. Layers that no move called are left out; of branches one box stands below
    the other.
    """
    texts = _texts(layers)
    width = max((len(line) for text in texts for line in text), default=0)
    left, right = "─" * (width // 2 + 1), "─" * (width - width // 2)
    lines: list[str] = []
    for number, text in enumerate(texts):
        above, below = "┴" if number else "─", "─" if number == len(texts) - 1 else "┬"
        lines += [f"  ┌{left}{above}{right}┐", *(f"  │ {line.ljust(width)} │" for line in text), f"  └{left}{below}{right}┘"]
    return lines


def drawing_to(out: Path) -> Callable[[Players], None]:
    """Take the networks of a game to a drawing in a file: the players side by side, each as in `chart` below its heading.

    Args:
        out: .svg or .png; replaced if it is there.

    Raises:
        ConfigError: another suffix; and by what is returned, where the file cannot be written.
    """
    forms = {".svg": _svg, ".png": _png}
    form = forms.get(out.suffix.lower())
    if form is None:
        raise ConfigError(f"{out}: a drawing of networks is written as {' or '.join(forms)}; name a file that ends so")

    def draw(players: Players) -> None:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with replacing(out) as unfinished:
                form(_drawing(players), unfinished)
        except OSError as error:
            raise ConfigError(f"{out}: cannot be written ({error.strerror or error})") from None

    return draw


class _Box(NamedTuple):
    """A rectangle with lines of text; pixels from the left and the top."""

    x: int
    y: int
    width: int
    texts: Sequence[str]

    @property
    def bottom(self) -> int:
        return self.y + _LINE * len(self.texts) + 10


class _Drawing(NamedTuple):
    size: tuple[int, int]
    texts: Sequence[tuple[int, int, str]]
    """Left end, middle of the line, and what stands there."""
    boxes: Sequence[_Box]
    lines: Sequence[tuple[int, int, int]]
    """From box to box: where they are from the left, and their ends from the top."""


def _texts(layers: Sequence[Layer]) -> list[tuple[str, str]]:
    """Two lines for each box of a chart."""
    called = sorted((layer for layer in layers if layer.turn is not None), key=lambda layer: layer.turn or 0)
    boxes: list[list[Layer]] = []
    for layer in called:
        if layer.multiply_adds or layer.kind.endswith("Embedding") or not boxes:
            boxes.append([])
        boxes[-1].append(layer)
    return [(f"{box[0].name}: {_kinds(box)}", f"gives {'x'.join(map(str, box[-1].shape or ()))}, {_weights(box)}") for box in boxes]


def _drawing(players: Players) -> _Drawing:
    """Where everything is."""
    texts: list[tuple[int, int, str]] = []
    boxes: list[_Box] = []
    lines: list[tuple[int, int, int]] = []
    x = _GAP
    for player, layers in players.items():
        inside, above = _texts(layers), heading(player, layers)
        width = _LETTER * max(len(line) for line in (above, *(line for text in inside for line in text))) + 20
        texts.append((x, _GAP, above))
        y = _GAP + _LINE
        for number, text in enumerate(inside):
            box = _Box(x, y, width, text)
            if number:
                lines.append((x + width // 2, boxes[-1].bottom, y))
            boxes.append(box)
            y = box.bottom + _GAP
        x += width + _GAP
    bottom = max((box.bottom for box in boxes), default=_GAP) + _GAP
    texts.append((_GAP, bottom, ORDER))
    return _Drawing((max(x, 2 * _GAP + _LETTER * len(ORDER)), bottom + _GAP), texts, boxes, lines)


def _svg(drawing: _Drawing, to: Path) -> None:
    width, height = drawing.size

    def parts() -> Iterator[str]:
        yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        yield f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
        yield f'<g stroke="{_INK}" fill="{_PALE}">'
        yield from (f'<line x1="{x}" y1="{top}" x2="{x}" y2="{bottom}"/>' for x, top, bottom in drawing.lines)
        yield from (f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.bottom - box.y}" rx="4"/>' for box in drawing.boxes)
        yield f'</g><g fill="{_INK}" font-family="monospace" font-size="{_FONT}" dominant-baseline="central">'
        yield from (f'<text x="{x}" y="{y}">{escape(text)}</text>' for x, y, text in _placed(drawing))
        yield "</g></svg>"

    to.write_text("\n".join([*parts(), ""]), encoding="utf-8")


def _png(drawing: _Drawing, to: Path) -> None:
    sheet = Image.new("RGB", drawing.size, "#ffffff")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=_FONT)
    for x, top, bottom in drawing.lines:
        draw.line([(x, top), (x, bottom)], fill=_INK)
    for box in drawing.boxes:
        draw.rounded_rectangle((box.x, box.y, box.x + box.width, box.bottom), 4, fill=_PALE, outline=_INK)
    for x, y, text in _placed(drawing):
        draw.text((x, y), text, fill=_INK, font=font, anchor="lm")
    sheet.save(to, format="png")


def _placed(drawing: _Drawing) -> Iterator[tuple[int, int, str]]:
    """All texts, those in boxes too."""
    yield from drawing.texts
    for box in drawing.boxes:
        for number, text in enumerate(box.texts):
            yield box.x + 10, box.y + 5 + _LINE * number + _LINE // 2, text


def _kinds(box: Sequence[Layer]) -> str:
    """The layers' classes; those of no effect only where there is no other."""
    return ", ".join(layer.kind for layer in box if layer.kind != "Identity") or "Identity"


def _weights(box: Sequence[Layer]) -> str:
    return f"{sum(layer.parameters for layer in box):,} parameters"
