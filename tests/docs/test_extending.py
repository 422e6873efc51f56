"""The package of docs/extending.md, installed as a reader would, and used: in Python, in params.yaml, and in a stage's process."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gan_core.errors import ConfigError
from gan_core.kinds import KINDS
from gan_core.params import RECIPES
from gan_core.params.networks import DISCRIMINATORS, GENERATORS
from tasks.params import parse
from tasks.scaffold import init_workspace

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
DATA = {"source": "points://circle", "count": 200}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's package installed."""
    source, site = (tmp_path_factory.mktemp("waves") / name for name in ("source", "site"))
    files = re.findall(r"^```\w+\n# (\S+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["pyproject.toml", "waves/params.py", "waves/network.py", "waves/recipe.py", "use.py"]
    for name, text in files:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    (site / "use").mkdir(parents=True)
    (source / "use.py").rename(site / "use" / "use.py")
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", site, source], check=True, timeout=300)
    return site


def run(site: Path, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run([sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


def entry(**train: object) -> dict[str, object]:
    return {"data": DATA, "validate": {"min_samples": 10}, "train": {"images": 400, **train}, "evaluate": {}, "register": {}}


def test_the_worked_example_works(site: Path) -> None:
    done = run(site, "use.py", cwd=site / "use")
    assert done.returncode == 0, done.stderr


def test_stages_know_the_network_and_the_recipe_of_an_installed_package(site: Path, tmp_path: Path) -> None:
    workspace = init_workspace(tmp_path / "w")
    document = {"generators": {"a": entry(recipe="moments"), "b": entry(generator={"network": "wave", "widths": [8]})}}
    (workspace.root / "params.yaml").write_text(json.dumps(document))
    for stage in ("fetch", "validate"):
        done = run(site, "-P", "-m", f"tasks.{stage}", "a", cwd=workspace.root)
        assert done.returncode == 0, done.stderr
    shutil.copytree(workspace.root / "data" / "a", workspace.root / "data" / "b")  # the same data
    for name, network in (("a", {"network": "wave", "widths": [64, 64]}), ("b", {"network": "wave", "widths": [8]})):
        done = run(site, "-P", "-m", "tasks.train", name, cwd=workspace.root)
        assert done.returncode == 0, done.stderr
        config = json.loads((workspace.model(name) / "generator" / "config.json").read_text())
        assert config["network"] == network
    done = run(site, "-P", "-m", "flows.cli", "list", cwd=workspace.root)
    assert done.returncode == 0, done.stderr


def test_without_the_package_both_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"train\.recipe: 'moments' is no recipe; there are gan, cyclegan"):
        parse({"generators": {"a": entry(recipe="moments")}})
    with pytest.raises(ConfigError, match=r"train\.generator\.network: 'wave' is no network"):
        parse({"generators": {"a": entry(generator={"network": "wave"})}})


def test_a_package_that_cannot_be_imported_is_named(site: Path, tmp_path: Path) -> None:
    (tmp_path / "broken-1.dist-info").mkdir()
    (tmp_path / "broken-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (tmp_path / "broken-1.dist-info" / "entry_points.txt").write_text("[gantry.recipes]\nnew = nowhere.params:New\n")
    code = f"from tasks.params import parse; parse({ ({'generators': {'a': entry(recipe='new')}})!r})"
    done = run(tmp_path, "-c", code, cwd=tmp_path)
    assert "recipe new: nowhere.params:New cannot be imported" in done.stderr
    assert "repair the package that brings it, or remove it" in done.stderr


def test_every_name_of_ours_leads_to_its_class() -> None:
    assert {name: params.model_fields["recipe"].default for name, params in RECIPES.items()} == {name: name for name in RECIPES}
    for known in (GENERATORS, DISCRIMINATORS):
        assert {name: params.model_fields["network"].default for name, params in known.items()} == {name: name for name in known}
    assert {name: spec.kind for name, spec in KINDS.items()} == {name: name for name in KINDS}
