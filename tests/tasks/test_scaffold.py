"""New workspaces and new entries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gan_core.errors import ConfigError
from tasks import params, scaffold
from tasks.graph import repro
from tasks.trials.search_space import overridden
from tasks.workspace import GRAPH, Workspace

ENTRY = """\
# What this file is about.
generators:
  # Our photos, cropped by hand.
  #   And more.
  photos:
    data:
      source: folder:///srv/photos  # the share
      size: 32
    validate: {}
    train: {recipe: gan, images: 1_000}
    evaluate: {}
    register:
      require: {recall: ">= 0.4"}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return scaffold.init_workspace(tmp_path / "w")


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    path = tmp_path / "entry.yaml"
    path.write_text(ENTRY)
    return path


def dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")}
    return subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, capture_output=True, text=True, check=False, env=environment)


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout


def test_a_new_workspace_is_one_that_dvc_understands(workspace: Workspace) -> None:
    assert set(params.load(workspace.root)) == {"digits", "circle"}
    assert (workspace.root / "dvc.yaml").read_bytes() == scaffold.template("dvc.yaml").read_bytes()
    repro.prepare(workspace)
    assert set(repro.changed(workspace)) == {f"{stage}@{name}" for stage in GRAPH for name in ("digits", "circle")}


def test_a_new_workspace_works_with_dvc_alone_and_keeps_to_itself(workspace: Workspace) -> None:
    listed = dvc(workspace.root, "stage", "list", "--name-only")
    assert listed.returncode == 0, listed.stderr
    assert "register@digits" in listed.stdout
    settings = dvc(workspace.root, "config", "--list")
    assert {"core.analytics=false", "core.check_update=false", "core.autostage=false", "core.no_scm=true"} <= set(settings.stdout.split())
    status = dvc(workspace.root, "status", "fetch@digits")
    assert status.returncode == 0, status.stderr
    inside = workspace.root / "data/digits/raw"
    inside.mkdir(parents=True)
    assert dvc(inside, "status").returncode == 0
    assert list(inside.iterdir()) == []


def test_in_a_checkout_dvc_uses_git(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    inner = scaffold.init_workspace(tmp_path / "inner")
    assert not (inner.root / ".dvc/config.local").exists()
    assert dvc(inner.root, "status", "fetch@digits").returncode == 0
    for made in (".gantry/x", "data/digits/raw", "models/digits", "mlflow.db", ".dvc/cache/x", ".dvc/config.local"):
        path = inner.root / made
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    untracked = git(tmp_path, "status", "--porcelain", "--untracked-files=all").split()[1::2]
    assert sorted(untracked) == sorted(
        f"inner/{name}" for name in (".dvc/.gitignore", ".dvc/config", ".dvcignore", ".gitignore", "dvc.yaml", "params.yaml")
    )


def test_the_repository_is_a_workspace_with_the_same_settings() -> None:
    root = scaffold.template("dvc.yaml").parent
    made = {**scaffold.FILES}
    assert (root / ".dvc/config").read_text() == made[".dvc/config"]
    assert (root / ".dvcignore").read_text() == made[".dvcignore"]


@pytest.mark.parametrize("there", ["params.yaml", "dvc.yaml", ".dvc/config", ".dvcignore"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_text("mine")
    with pytest.raises(ConfigError, match="there already"):
        scaffold.init_workspace(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / there]
    assert (tmp_path / there).read_text() == "mine"


def test_a_gitignore_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    scaffold.init_workspace(tmp_path)
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file"):
        scaffold.init_workspace(tmp_path / "file" / "w")


def test_an_entry_is_added_and_all_comments_stay(workspace: Workspace, entry: Path) -> None:
    target = workspace.root / "params.yaml"
    before = target.read_text()
    target.chmod(0o640)
    assert scaffold.add_entries(workspace, entry) == ["photos"]
    after = target.read_text()
    assert after == before + ENTRY.partition("generators:\n")[2]
    assert params.load(workspace.root)["photos"].train.images == 1_000
    assert target.stat().st_mode & 0o777 == 0o640
    repro.prepare(workspace)
    assert "train@photos" in repro.changed(workspace)


def test_an_entry_is_indented_as_its_new_neighbours(workspace: Workspace, entry: Path) -> None:
    wide = "".join(f"  {line}\n" if line.startswith(" ") else f"{line}\n" for line in ENTRY.splitlines())
    entry.write_text(wide)
    before = (workspace.root / "params.yaml").read_text()
    scaffold.add_entries(workspace, entry)
    assert (workspace.root / "params.yaml").read_text() == before + ENTRY.partition("generators:\n")[2]


def test_the_first_entry_of_all_can_be_added(workspace: Workspace, entry: Path) -> None:
    (workspace.root / "params.yaml").write_text("# mine\ngenerators: {}\n")
    scaffold.add_entries(workspace, entry)
    assert set(params.load(workspace.root)) == {"photos"}
    assert (workspace.root / "params.yaml").read_text().startswith("# mine\ngenerators:\n  # Our photos")


def test_what_cannot_be_joined_as_text_is_refused(workspace: Workspace, entry: Path) -> None:
    block = "data: {source: 'points://ring'}, validate: {}, train: {recipe: gan, images: 9}, evaluate: {}, register: {}"
    flow = f"generators: {{ring: {{{block}}}}}\n"
    (workspace.root / "params.yaml").write_text(flow)
    with pytest.raises(ConfigError, match="block style"):
        scaffold.add_entries(workspace, entry)
    assert (workspace.root / "params.yaml").read_text() == flow


def test_an_entry_that_is_there_is_refused(workspace: Workspace, entry: Path) -> None:
    scaffold.add_entries(workspace, entry)
    before = (workspace.root / "params.yaml").read_text()
    with pytest.raises(ConfigError, match="has a generator 'photos' already"):
        scaffold.add_entries(workspace, entry)
    assert (workspace.root / "params.yaml").read_text() == before


def test_of_several_entries_all_are_added_or_none(workspace: Workspace, tmp_path: Path) -> None:
    text = scaffold.template("params.yaml").read_text()
    both = tmp_path / "both.yaml"
    both.write_text(text.replace("  circle:", "  disc:"))
    before = (workspace.root / "params.yaml").read_text()
    with pytest.raises(ConfigError, match="digits"):
        scaffold.add_entries(workspace, both)
    assert (workspace.root / "params.yaml").read_text() == before
    both.write_text(text.replace("  circle:", "  disc:").replace("  digits:", "  numbers:"))
    assert scaffold.add_entries(workspace, both) == ["numbers", "disc"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENTRY.replace("size: 32", "sise: 32"), "did you mean size"),
        (ENTRY.replace("images: 1_000", "images: many"), "generators.photos.train.images"),
        ("generators: {}", "no entry"),
        ("photos: {}", "generators"),
        ("generators: [", "not valid YAML"),
        ("", "generators"),
    ],
)
def test_a_wrong_entry_is_named_and_nothing_changes(workspace: Workspace, entry: Path, text: str, said: str) -> None:
    entry.write_text(text)
    before = (workspace.root / "params.yaml").read_bytes()
    with pytest.raises(ConfigError, match=said) as caught:
        scaffold.add_entries(workspace, entry)
    assert str(entry) in str(caught.value)
    assert (workspace.root / "params.yaml").read_bytes() == before
    assert not list(workspace.root.glob(".params*"))


def test_a_file_that_is_not_there_or_no_text_is_named(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: not there"):
        scaffold.add_entries(workspace, tmp_path / "gone.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00generators")
    with pytest.raises(ConfigError, match=r"binary\.yaml: cannot be read as text"):
        scaffold.add_entries(workspace, tmp_path / "binary.yaml")


def test_every_example_can_be_added_by_name(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_DATA", "/some/where")
    names = scaffold.examples()
    assert "mnist" in names
    for name in names:
        scaffold.add_entries(workspace, name)
    assert {"digits", "circle", "mnist"} <= set(params.load(workspace.root))
    with pytest.raises(ConfigError, match="did you mean mnist"):
        scaffold.add_entries(workspace, "mnits")


def test_an_example_can_be_named_as_a_checkout_has_it(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_DATA", "/some/where")
    monkeypatch.chdir(tmp_path)
    assert scaffold.add_entries(workspace, "examples/mnist.yaml") == ["mnist"]


def test_outside_of_a_workspace_nothing_is_added(tmp_path: Path, entry: Path) -> None:
    with pytest.raises(ConfigError, match=r"params\.yaml: not there.*gantry init"):
        scaffold.add_entries(Workspace(tmp_path), entry)


def test_values_are_set_and_all_that_a_person_wrote_stays(workspace: Workspace) -> None:
    path = workspace.root / "params.yaml"
    path.write_text(path.read_text().replace("batch: 128", "batch: 128  # what fits"))
    before, text = params.load(workspace.root), path.read_text()
    scaffold.set_values(workspace, "digits", {"train.batch": 32, "train.optimizer.learning_rate": 3e-4, "train.generator.width": 16})
    after = params.load(workspace.root)
    train = after["digits"].train
    assert (train.batch, train.optimizer.learning_rate) == (32, 3e-4)
    assert after["circle"] == before["circle"]
    expected = text.replace("batch: 128", "batch: 32").replace("learning_rate: 0.001", "learning_rate: 0.0003")
    assert set(expected.splitlines()) - set(path.read_text().splitlines()) == {"      batch: 32  # what fits"}
    assert "batch: 32   # what fits" in path.read_text()


def test_values_that_would_be_refused_change_nothing(workspace: Workspace) -> None:
    text = (workspace.root / "params.yaml").read_text()
    with pytest.raises(ConfigError, match=r"train\.batch"):
        scaffold.set_values(workspace, "digits", {"train.batch": 0})
    assert (workspace.root / "params.yaml").read_text() == text


SHARED = """\
generators:
  a:
    data: {source: 'points://ring'}
    validate: {}
    train: &common
      recipe: gan
      images: 9
      generator: &both  # the same for both
        network: mlp
        widths: [8, 4]
      discriminator: *both
    evaluate: {}
    register: {}
  b:
    data: {source: 'points://grid'}
    validate: {}
    train:
      <<: *common
      images: 10
    evaluate: {}
    register: {}
"""


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("a", {"train.generator.widths": None}),
        ("a", {"train.discriminator.widths": None, "train.optimizer.learning_rate": 0.5}),
        ("a", {"train.batch": 8}),
        ("b", {"train.batch": 8, "train.generator.widths": None}),
    ],
)
def test_what_an_anchor_or_a_merge_key_shares_is_changed_in_one_place_only(workspace: Workspace, name: str, values: dict[str, Any]) -> None:
    path = workspace.root / "params.yaml"
    path.write_text(SHARED)
    before = params.load(workspace.root)
    scaffold.set_values(workspace, name, values)
    after = params.load(workspace.root)
    assert after.pop(name) == overridden(name, before.pop(name), values)
    assert after == before
    assert "# the same for both" in path.read_text()
