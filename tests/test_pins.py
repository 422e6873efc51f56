"""The two lists of tested versions agree: constraints.txt, which pip reads, and uv.lock, which has the digest of every file."""

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def locked() -> dict[str, dict[str, Any]]:
    return {package["name"]: package for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}


def constrained() -> dict[str, str]:
    pins = [line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}


def test_both_name_the_same_versions() -> None:
    versions = {name: package["version"] for name, package in locked().items()}
    assert {name: versions.get(name) for name in constrained()} == constrained()


def test_what_the_project_asks_for_is_pinned() -> None:
    project = next(package for package in locked().values() if package["source"] == {"editable": "."})
    asked = {
        one["name"] for one in [*project["dependencies"], *(one for group in project["optional-dependencies"].values() for one in group)]
    }
    assert asked <= set(constrained())


def test_every_file_has_a_digest() -> None:
    files = [
        file
        for package in locked().values()
        if "registry" in package["source"]
        for file in [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
    ]
    assert len(files) > len(constrained())
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]) for file in files)
