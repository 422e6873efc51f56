"""A network as a chart of boxes, one below the other in the order of their calls, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from gan_core.layers import Layer


def chart(layers: Sequence[Layer]) -> list[str]:
    """The lines of a chart: a box for each layer that multiplies or embeds, with those that follow it, what it gives, and its weights.

    The first line has the name of the first of them. Layers that no move called are left out; of branches one box stands below
    the other.
    """
    called = sorted((layer for layer in layers if layer.turn is not None), key=lambda layer: layer.turn or 0)
    boxes: list[list[Layer]] = []
    for layer in called:
        if layer.multiply_adds or layer.kind.endswith("Embedding") or not boxes:
            boxes.append([])
        boxes[-1].append(layer)
    texts = [(f"{box[0].name}: {_kinds(box)}", f"gives {'x'.join(map(str, box[-1].shape or ()))}, {_weights(box)}") for box in boxes]
    width = max((len(line) for text in texts for line in text), default=0)
    left, right = "─" * (width // 2 + 1), "─" * (width - width // 2)
    lines: list[str] = []
    for number, text in enumerate(texts):
        above, below = "┴" if number else "─", "─" if number == len(texts) - 1 else "┬"
        lines += [f"  ┌{left}{above}{right}┐", *(f"  │ {line.ljust(width)} │" for line in text), f"  └{left}{below}{right}┘"]
    return lines


def _kinds(box: Sequence[Layer]) -> str:
    """The layers' classes; those of no effect only where there is no other."""
    return ", ".join(layer.kind for layer in box if layer.kind != "Identity") or "Identity"


def _weights(box: Sequence[Layer]) -> str:
    return f"{sum(layer.parameters for layer in box):,} parameters"
