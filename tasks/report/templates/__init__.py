"""The templates of page and card, and what they are filled in with."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def environment(folder: Path = Path(__file__).parent) -> Environment:
    """Jinja for the templates of a folder, with everything escaped, and an error for whatever a template misspells."""
    made = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters.update(number=number, count=count, capitalize_first=capitalize_first)
    return made


def number(value: Any) -> str:
    """To four significant digits; a dash for nothing, words as they are."""
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if math.isfinite(value) else str(value)


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.4 h`."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"


def memory(amount: float) -> str:
    """Of bytes: `512 MB`, `3.4 GB`."""
    return f"{amount / 1e6:,.0f} MB" if amount < 1e9 else f"{amount / 1e9:.1f} GB"


def capitalize_first(text: str) -> str:
    """A phrase as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def count(value: int) -> str:
    """`1,797`."""
    return f"{value:,}"
