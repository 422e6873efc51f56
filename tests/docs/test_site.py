"""The pages make a site without a warning, whose search finds keys, and which fetches nothing from other hosts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_FETCHED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?([^\" >]+)|<link\b(?![^>]*rel=\"?canonical)[^>]*\bhref=\"?([^\" >]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


def test_each_page_is_in_it_and_leads_to_each_other(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert pages <= {path.stem for path in site.glob("*.html")}
    linked = {Path(link).stem for link in re.findall(r'href="([\w-]+\.html)"', (site / "keys.html").read_text(encoding="utf-8"))}
    assert pages - {"keys"} <= linked


def test_its_search_finds_a_key_and_a_function(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    text = " ".join(document["text"] for document in index["docs"])
    assert "train.label_smoothing" in text
    assert "A data set in memory of the pictures in a folder" in text


def test_it_fetches_nothing_from_other_hosts(site: Path) -> None:
    fetched = {
        place
        for path in site.rglob("*.html")
        for found in _FETCHED.findall(path.read_text(encoding="utf-8"))
        for place in found
        if place and not place.startswith("data:")
    }
    assert len(fetched) > 10
    assert [place for place in fetched if "//" in place] == []
    sheets = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"url\(\s*['\"]?(?:https?:)?//[^)]*\)|@import[^;]*//[^;]*;", sheets) == []
