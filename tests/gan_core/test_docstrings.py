"""The examples in the docstrings of gan_core run, and every formula has one: losses, penalties, metrics, pictures."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import gan_core

PACKAGE = Path(gan_core.__file__).parent
FORMULAS = [*(f"metrics.{name}" for name in ("inception", "modes", "pairs", "points")), "losses", "penalties", "pictures"]


def test_all_examples_run_and_give_what_they_say() -> None:
    """Those of `gan_core.__all__` run in test_notebook.py, in a folder of their own."""
    written = [file for file in PACKAGE.rglob("*.py") if file.stem != "__init__" and ">>> " in file.read_text()]
    modules = [import_module(".".join(("gan_core", *file.relative_to(PACKAGE).with_suffix("").parts))) for file in written]
    found = [examples for module in modules for examples in doctest.DocTestFinder().find(module)]
    runner, said = doctest.DocTestRunner(verbose=False), list[str]()
    for examples in found:
        if examples.name.rpartition(".")[2] not in gan_core.__all__:
            runner.run(examples, out=said.append)
    assert runner.failures == 0, "".join(said)
    assert runner.tries > 50


@pytest.mark.parametrize("name", FORMULAS)
def test_every_formula_says_by_an_example_what_it_gives(name: str) -> None:
    module = import_module(f"gan_core.{name}")
    public = [it for _, it in inspect.getmembers(module, inspect.isfunction) if it.__module__ == module.__name__ and it.__name__[0] != "_"]
    of_columns = {"histograms", "profiles"}  # of pictures: a table's columns take more lines than they would tell
    assert [it.__name__ for it in public if ">>> " not in (it.__doc__ or "")] == sorted(of_columns if name == "pictures" else ())
