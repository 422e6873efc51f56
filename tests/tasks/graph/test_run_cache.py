"""No parameter is lost by DVC's run-cache, which leaves out keys named `size` and `nfiles`: by both doors, and where workers share it."""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dvc
import pytest
from dvc.stage import cache
from pydantic import BaseModel
from ruamel.yaml import YAML

from gan_core.data.dataset import Dataset
from gan_core.generator import Generator
from gan_core.params import RECIPES
from gan_core.params.networks import DISCRIMINATORS, GENERATORS
from tasks.graph import repro, run_cache, sharing
from tasks.params import DataParams, ValidateParams, keys_lost
from tasks.scaffold import init_workspace
from tasks.workspace import Workspace

NAME = "digits"
KEYS = [*(f"data.{key}" for key in DataParams.model_fields), *(f"validate.{key}" for key in ValidateParams.model_fields)]


OF_DVC = {
    "_can_hash": ["stage"], "_get_stage_hash": ["stage"], "_get_cache_hash": ["cache", "key"], "_load": ["stage"],
    "_create_stage": ["cache", "wdir"], "_uncached_outs": ["stage", "cache"], "_get_cache_dir": ["key"],
    "_get_cache_path": ["key", "value"], "_cache_type_copy": [],
}  # fmt: skip
"""What run_cache.py calls of DVC's own functions and methods, and what they take."""


def test_dvc_has_what_it_offers_to_nobody() -> None:
    places = {**dict.fromkeys(run_cache.FUNCTIONS, cache), **dict.fromkeys(run_cache.METHODS, cache.StageCache)}
    assert places.keys() == OF_DVC.keys()
    gone = [name for name, place in places.items() if not hasattr(place, name)]
    assert gone == [], f"DVC {dvc.__version__} has these no more: mend tasks/graph/run_cache.py"
    found = {name: [key for key in inspect.signature(getattr(place, name)).parameters if key != "self"] for name, place in places.items()}
    assert found == OF_DVC, f"DVC {dvc.__version__} takes something else: mend tasks/graph/run_cache.py"


def set_key(workspace: Workspace, key: str, value: Any) -> None:
    path, (section, last) = workspace.root / "params.yaml", key.rsplit(".", 1)
    document = YAML(typ="safe").load(path)
    document["generators"][NAME][section][last] = value
    with path.open("w") as file:
        YAML().dump(document, file)


def make(folder: Path) -> Workspace:
    """A workspace in which `digits` is trained in no time, with a remote beside it."""
    workspace = init_workspace(folder)
    train = "train: {recipe: gan, images: 1600, batch: 32, generator: {width: 8}, discriminator: {width: 8}}"
    sections = f"{train}, evaluate: {{samples: 50, features: random}}, register: {{}}"
    data = "data: {source: 'sklearn://digits', size: 8}"
    (folder / "params.yaml").write_text(f"generators: {{{NAME}: {{{data}, validate: {{}}, {sections}}}}}\n")
    with (folder / ".dvc" / "config").open("a") as config:
        config.write("['remote \"shared\"']\n    url = ../../remote\n")
    repro.prepare(workspace)
    return workspace


def door(workspace: Workspace, *command: str) -> None:
    environment = {**repro.environment(workspace), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-m", *command], cwd=workspace.root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def remembered(workspace: Workspace, stage: str) -> bool:
    """Whether DVC would bring a stage's results back from the run-cache, without running it."""
    from dvc.stage.cache import RunCacheNotFoundError

    with repro.opened(workspace) as repo:
        (found,) = repo.stage.collect(f"{workspace.root.resolve() / 'dvc.yaml'}:{stage}@{NAME}")
        found.save_deps()
        try:
            repo.stage_cache.restore(found, dry=True)
        except RunCacheNotFoundError:
            return False
        return True


@pytest.fixture(scope="module")
def _packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = make(tmp_path_factory.mktemp("run-cache") / "w")
    door(workspace, "dvc", "repro", f"validate@{NAME}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(sharing.REMOTE, "shared")
        patch.chdir(workspace.root)
        sharing.send(workspace, "validate", NAME, pytest.fail)
    return workspace.root.parent


@pytest.fixture
def packed(tmp_path: Path, _packed: Path) -> Workspace:
    """A workspace whose data is packed, and was sent."""
    shutil.copytree(_packed, tmp_path, symlinks=True, dirs_exist_ok=True)
    return Workspace(tmp_path / "w")


def test_each_key_of_data_and_validate_alone_packs_anew(packed: Workspace) -> None:
    params = packed.root / "params.yaml"
    before = params.read_text()
    for key in KEYS:
        set_key(packed, key, "other")
        assert repro.look(packed, "validate", NAME).changed, key
        assert not remembered(packed, "validate"), key
        params.write_text(before)
    assert not repro.look(packed, "validate", NAME).changed


def test_each_key_alone_packs_anew_where_a_run_cache_is_shared(packed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make(packed.root.parent / "other")
    monkeypatch.setenv(sharing.REMOTE, "shared")
    monkeypatch.chdir(other.root)
    door(other, "dvc", "repro", f"fetch@{NAME}")
    before = (other.root / "params.yaml").read_text()
    for key in KEYS:
        set_key(other, key, "other")
        sharing.bring(other, "validate", NAME, pytest.fail)
        assert not remembered(other, "validate"), key
        (other.root / "params.yaml").write_text(before)


@pytest.mark.slow
def test_another_size_is_packed_by_both_doors(packed: Workspace) -> None:
    set_key(packed, "data.size", 16)
    door(packed, "flows.cli", "run", NAME)
    assert Dataset.open(packed.ready(NAME)).spec.shape[-1] == 16
    assert Generator.load(packed.model(NAME) / "generator").sample(1, seed=0).samples.shape[-1] == 16
    set_key(packed, "data.size", 12)
    door(packed, "dvc", "repro", f"validate@{NAME}")
    assert Dataset.open(packed.ready(NAME)).spec.shape[-1] == 12
    commands = {YAML(typ="safe").load(path)["cmd"] for path in (packed.root / ".dvc/cache/runs").glob("*/*/*")}
    assert commands == {f"python -P -m tasks.train {NAME}"}, "DVC remembers a stage that a parameter can be lost of"


def test_no_recipe_has_a_key_that_the_run_cache_would_lose() -> None:
    class Inner(BaseModel):
        size: int

    class Outer(BaseModel):
        nfiles: int
        one: Inner | None
        many: dict[str, list[Inner]]

    assert list(keys_lost(Outer)) == ["train.nfiles", "train.one.size", "train.many.size"]
    assert [key for known in (RECIPES, GENERATORS, DISCRIMINATORS) for section in known.values() for key in keys_lost(section)] == []
