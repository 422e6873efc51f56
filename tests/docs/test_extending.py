"""The code of docs/extending.md, run from top to bottom as a reader would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gan_core.networks import GENERATORS
from gan_core.params import RECIPE_PARAMS
from gan_core.recipes import RECIPES

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


def test_the_worked_example_works(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in (GENERATORS, RECIPE_PARAMS, RECIPES):
        for name in ("wave", "moments"):
            monkeypatch.setitem(registry, name, None)  # so that both are gone again afterwards
    text = PAGE.read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": "extending"}
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))
    assert len(blocks) >= 6
    for block in blocks:
        line = text.count("\n", 0, block.start()) + 1
        code = "\n" * line + block.group(1)  # so that an error names the line of the page
        exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102  our own page
