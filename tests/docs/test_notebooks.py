"""The notebooks run from their first cell to the last, with smaller budgets, and end where they say."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"
PICTURES = {"points": 2, "photos": 3, "decision": 1}


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


@pytest.mark.parametrize("name", PICTURES)
def test_runs_and_shows_its_pictures(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # tests share the processor, and threads that wait for each other are slow
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    assert outputs(notebook) == []  # so that a change is seen as what it is
    for cell in notebook.cells:
        cell.source = re.sub(r"images=\d[\d_]*000\b", "images=640", cell.source)
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for output in outputs(notebook) if "image/png" in output.get("data", {})]
    assert len(shown) == PICTURES[name]


def test_each_notebook_is_run() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {*PICTURES}
