"""A training's record, metrics.jsonl, as curves."""

from __future__ import annotations

import json
from pathlib import Path

from gan_core.errors import DataError

Curves = dict[str, list[tuple[int, float]]]
"""Each number of a record by name: (images, value), a point a line."""


def read_curves(record: Path) -> Curves:
    """The curves in a metrics.jsonl.

    Raises:
        DataError: it is missing or damaged.
    """
    curves: Curves = {}
    try:
        for line in record.read_text(encoding="utf-8").splitlines():
            numbers = json.loads(line)
            images = int(numbers.pop("images"))
            for key, value in numbers.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    curves.setdefault(key, []).append((images, value))
    except OSError as error:
        raise DataError(f"{record}: cannot be read ({error.strerror}); run the train stage first") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{record}: damaged ({error}); run the train stage again") from None
    return curves
