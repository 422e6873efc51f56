"""What the pages say can be followed: each link leads somewhere, each `gantry` command is one that there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from flows.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

_CODE = re.compile(r"^```.*?^```$", flags=re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
_COMMANDS = re.compile(r"^(?: {4}|\$ )(.*\bgantry [a-z].*)$", flags=re.MULTILINE)


def links(page: Path) -> list[Path]:
    """The files that a page leads to or shows."""
    text = _CODE.sub("", page.read_text(encoding="utf-8"))
    return [(page.parent / link).resolve() for link in _LINK.findall(text) if "://" not in link]


def commands(page: Path) -> list[list[str]]:
    """The words after `gantry` of each command that a page shows on a line of its own."""
    lines = _COMMANDS.findall(page.read_text(encoding="utf-8"))
    found = [shlex.split(part, comments=True) for line in lines for part in line.split(" && ")]
    return [words[words.index("gantry") + 1 :] for words in found if "gantry" in words]


@each_page
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    assert [str(file) for file in links(page) if not file.exists()] == []


def test_each_picture_is_shown() -> None:
    shown = {file for page in PAGES for file in links(page)}
    assert sorted({*(ROOT / "docs" / "pictures").iterdir()} - shown) == []


@each_page
def test_commands_and_their_options_are_there(page: Path) -> None:
    gantry = get_command(app)
    for name, *arguments in commands(page):
        with gantry.make_context("gantry", [name]) as context:
            command = gantry.get_command(context, name)  # type: ignore[attr-defined]
            assert command is not None, f"{page.name}: gantry {name}"
            command.make_context(name, arguments)  # raises where an option, its value or an argument does not fit


def test_commands_are_found() -> None:
    found = [words for page in PAGES for words in commands(page)]
    assert len(found) > 30
    assert ["sample", "emoji", "--prompt", "red heart", "--count", "16"] in found
    assert ["run", "cat2dog"] in found
