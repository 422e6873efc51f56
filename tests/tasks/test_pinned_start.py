"""What a training starts from: looked up once, pinned like data, kept, and refused where it cannot be. Real training, DVC and MLflow."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from circle_workspace import NAME, commit, configure, register, write_data
from numpy.typing import NDArray

from gan_core import checkpoint
from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, DataError, GantryError, RegistryError
from gan_core.generator import read_config
from gan_core.kinds.schema import Column, Schema
from gan_core.kinds.table import Table
from gan_core.params.common import SCRATCH
from tasks.clean import examined
from tasks.graph import repro
from tasks.params import load_entry
from tasks.preflight import check_start
from tasks.records import lineage
from tasks.records.registry import LINEAGE_TAG, Registry, folded
from tasks.scaffold import init_workspace
from tasks.start import BUDGET, images_of, pin, pinned, scratch_text, start
from tasks.train import train
from tasks.trials.reproduce import reproduce
from tasks.upgrade import _scratch
from tasks.workspace import PIN, Workspace


def retrain(workspace: Workspace, data_seed: int, **options: Any) -> None:
    """What `dvc repro train@circle` does, without its own processes."""
    configure(workspace, data_seed, seed=7, **options)
    write_data(workspace, data_seed)
    shutil.rmtree(workspace.model(NAME), ignore_errors=True)
    entry = load_entry(workspace.root, NAME)
    start(workspace, NAME, entry)
    train(workspace, NAME, entry)
    commit(workspace)


@pytest.fixture(scope="module")
def warm_once(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Workspace:
    """Three versions of three data sets, each begun with the champion before it, and the champion in its turn; the last replays, and
    shrinks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        workspace = init_workspace(tmp_path_factory.mktemp("warm") / "w")
        shutil.copy(mlflow_database, workspace.root / "mlflow.db")
        patch.chdir(workspace.root)  # where DVC looks for stages
        repro.prepare(workspace)
        for number, options in ((1, {}), (2, {}), (3, {"replay": 0.25, "shrink": 0.5})):
            retrain(workspace, number, start="champion", **options)
            assert register(workspace) == number
            registry = Registry.open(workspace)
            registry.move_champion(registry.version(NAME, number), number - 1 or None, "promoted")
    return workspace


@pytest.fixture
def warm(warm_once: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A copy of it, to work in."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(warm_once.root, tmp_path / "w", symlinks=True)
    monkeypatch.chdir(tmp_path / "w")
    repro.prepare(Workspace(tmp_path / "w"))
    return Workspace(tmp_path / "w")


def asked(workspace: Workspace, what: str, **options: Any) -> Any:
    configure(workspace, 3, seed=7, start=what, **options)
    return load_entry(workspace.root, NAME)


def test_each_version_says_what_it_started_from_and_all_before(warm: Workspace) -> None:
    one, two, three = (lineage.lineage(warm, f"{NAME}/{number}")["training"] for number in (1, 2, 3))
    assert one["start"] is None
    assert {key: two["start"][key] for key in ("from", "checkpoint", "share", "before")} == {
        "from": f"{NAME}/1", "checkpoint": one["checkpoint"], "share": 1.0, "before": [],
    }  # fmt: skip
    assert (three["start"]["from"], three["start"]["before"]) == (f"{NAME}/2", [f"{NAME}/1"])
    before = lineage.lineage(warm, f"{NAME}/2")["data"]
    assert (two["start"]["replayed"], three["start"]["replayed"]) == (None, before["ready"])
    said = json.loads((warm.model(NAME) / "run.json").read_text())["start"]
    weights = said["moments"]["of"]
    assert (said["from"], said["new"], said["moments"]) == (f"{NAME}/2", {}, {"taken": weights, "of": weights})
    assert said["shrink"] == 0.5
    # The checkpoint that was pinned is the one that version 2 left.
    found = pinned(warm, NAME, load_entry(warm.root, NAME).train)
    assert found is not None
    assert found.replay is not None
    assert (said["sha256"], said["data"]) == (found.checkpoint.sha256, before["ready"])
    assert found.replay.spec.digest == before["digest"]
    assert three["start"]["pinned"] in (warm.root / "dvc.lock").read_text()


@pytest.mark.slow
def test_the_third_in_a_row_is_rebuilt_though_all_before_it_are_gone(warm: Workspace) -> None:
    registry = Registry.open(warm)
    with examined(warm, keep=1, days=0) as found:
        assert {item.name for item in found.items if item.what == "version"} == {f"{NAME}/1", f"{NAME}/2"}
        for item in found.items:
            item.remove()
    assert registry.versions(NAME) == [3]
    shutil.rmtree(warm.root / "data")
    shutil.rmtree(warm.root / "models")
    made = reproduce(warm, f"{NAME}/3", output=2)
    assert (made.equal, made.checkpoint_equal) == (True, True)
    assert lineage.lineage(warm, NAME)["training"]["start"]["before"] == []


def test_what_params_yaml_starts_from_is_kept(warm: Workspace) -> None:
    asked(warm, f"{NAME}/1")
    with examined(warm, keep=1, days=0) as found:
        assert {item.name for item in found.items if item.what == "version"} == {f"{NAME}/2"}


def test_a_new_champion_alone_causes_no_training(warm: Workspace) -> None:
    before = (warm.root / "dvc.lock").read_bytes()
    for stage in (PIN, "train"):
        assert not repro.look(warm, stage, NAME).changed  # though version 3 is the champion now, and it began with version 2
    registry = Registry.open(warm)
    registry.move_champion(registry.version(NAME, 1), 3, "rolled back")
    assert not repro.look(warm, PIN, NAME).changed
    assert (warm.root / "dvc.lock").read_bytes() == before
    write_data(warm, 4)
    assert repro.look(warm, PIN, NAME).changed


def test_a_training_that_goes_on_starts_from_where_it_was_begun(warm: Workspace) -> None:
    retrain(warm, 4, start="champion")
    expected = checkpoint.read(warm.model(NAME) / "checkpoint").sha256
    shutil.rmtree(warm.model(NAME))
    entry = load_entry(warm.root, NAME)
    assert train(warm, NAME, entry, until=320) is not None
    registry = Registry.open(warm)
    registry.move_champion(registry.version(NAME, 1), 3, "rolled back")
    assert train(warm, NAME, entry) is None
    assert checkpoint.read(warm.model(NAME) / "checkpoint").sha256 == expected
    assert json.loads((warm.model(NAME) / "run.json").read_text())["start"]["from"] == f"{NAME}/3"


def test_the_remote_brings_a_start_to_another_worker(warm: Workspace) -> None:
    def dvc(*arguments: str) -> None:
        command = [sys.executable, "-P", "-m", "dvc", *arguments]
        subprocess.run(command, cwd=warm.root, env=repro.environment(warm), check=True, capture_output=True)

    before = {path.name: path.read_bytes() for path in warm.start(NAME).rglob("*") if path.is_file()}
    assert before.keys() == {"start.json", "state.json", "state.safetensors", "dataset.json", "train.npy", "holdout.npy"}
    dvc("remote", "add", "--default", "store", str(warm.root.parent / "store"))
    dvc("push", f"{PIN}@{NAME}")
    shutil.rmtree(warm.root / ".dvc" / "cache")
    shutil.rmtree(warm.start(NAME))
    dvc("pull", f"{PIN}@{NAME}")
    assert {path.name: path.read_bytes() for path in warm.start(NAME).rglob("*") if path.is_file()} == before


def test_from_scratch_it_is_the_same_everywhere(warm: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    entry = asked(warm, "scratch")
    start(warm, NAME, entry)
    assert [path.name for path in warm.start(NAME).iterdir()] == ["start.json"]
    assert (warm.start(NAME) / "start.json").read_text() == scratch_text()
    assert pinned(warm, NAME, entry.train) is None
    assert capsys.readouterr().out == ""
    Registry.open(warm).client.delete_registered_model_alias(NAME, "champion")
    start(warm, NAME, asked(warm, "champion"))
    assert (warm.start(NAME) / "start.json").read_text() == scratch_text()
    assert capsys.readouterr().out == f"start {NAME}: from scratch, no champion yet\n"
    from dvc.repo import Repo

    with Repo(str(warm.root)) as repo:
        repo.commit(f"{PIN}@{NAME}", force=True)
    assert f"md5: {_scratch(NAME)['md5']}" in (warm.root / "dvc.lock").read_text()


@pytest.mark.parametrize("what", [f"{NAME}/1", "models/circle", "./models/circle/checkpoint"])
def test_versions_and_folders_can_be_named(warm: Workspace, what: str) -> None:
    entry = asked(warm, what)
    check_start(warm, NAME, entry)
    start(warm, NAME, entry)
    found = pinned(warm, NAME, entry.train)
    assert found is not None
    assert found.named == what
    assert (found.dvc is None) == (what != f"{NAME}/1")


def test_the_numbers_of_a_table_stay_as_the_start_knows_them(
    tmp_path: Path, mlflow_database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace, draw = init_workspace(tmp_path / "w"), np.random.default_rng(0)
    shutil.copy(mlflow_database, workspace.root / "mlflow.db")
    monkeypatch.chdir(workspace.root)

    def trained(rows: NDArray[np.float64], begin: str) -> dict[str, Any]:
        few = {"recipe": "tabular", "images": 200, "batch": 50, "generator": {"widths": [8]}, "discriminator": {"widths": [8]}}
        entry = {"data": {"source": "table://rows.csv"}, "validate": {}, "train": {**few, "start": begin}, "evaluate": {}, "register": {}}
        (workspace.root / "params.yaml").write_text(json.dumps({"generators": {"rows": entry}}))
        shutil.rmtree(workspace.ready("rows"), ignore_errors=True)
        workspace.ready("rows").mkdir(parents=True)
        Table.pack(workspace.ready("rows"), {"train": rows, "holdout": rows[:20]}, Schema((Column("height", "number", "float64"),)))
        start(workspace, "rows", load_entry(workspace.root, "rows"))
        train(workspace, "rows", load_entry(workspace.root, "rows"))
        return dict(json.loads((workspace.model("rows") / "run.json").read_text()))

    trained(draw.normal(5, 1, (400, 1)), SCRATCH)
    known = read_config(workspace.model("rows") / "generator").schema
    shutil.copytree(workspace.model("rows"), workspace.root / "before")
    capsys.readouterr()
    # What the new rows alone would be described by has a choice more.
    assert trained(np.concatenate([draw.normal(5, 1, (500, 1)), np.full((40, 1), 4.5)]), "./before")["start"]["share"] == 1
    assert "; 1 of 1 numbers described as there" in capsys.readouterr().out
    now, own = read_config(workspace.model("rows") / "generator").schema, Table.of(Dataset.open(workspace.ready("rows")).spec).schema
    assert (known is not None, now is not None) == (True, True)
    assert (now.columns[0].modes, now.columns[0].spikes) == (known.columns[0].modes, ())  # type: ignore[union-attr]
    assert own.columns[0].spikes == (4.5,)
    assert (now.columns[0].low, now.columns[0].high) == (own.columns[0].low, own.columns[0].high)  # type: ignore[union-attr]
    assert trained(draw.normal(90, 1, (400, 1)), "./before")["start"]["share"] < 1
    assert "; 0 of 1 numbers described as there, anew: height" in capsys.readouterr().out


def newer(folder: Path) -> None:
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**state, "format": 2}))


def flipped(folder: Path) -> None:
    data = bytearray((folder / "state.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "state.safetensors").write_bytes(data)


def of_rows(folder: Path) -> None:
    config = folder.parent / "generator" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "recipe": "tabular"}))


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (newer, DataError, r"train\.start: models/circle: .*models/circle/checkpoint: has checkpoint format 2, .* reads 1"),
        (flipped, DataError, r"train\.start: models/circle: .*models/circle/checkpoint: is damaged \(its checksum differs\)"),
        (lambda folder: (folder / "state.safetensors").unlink(), DataError, r"holds no state\.safetensors; name a folder with a whole"),
        (shutil.rmtree, ConfigError, r"models/circle: holds no checkpoint .*; write scratch, champion, NAME, NAME/VERSION, or a folder"),
        (of_rows, ConfigError, r"models/circle is of recipe tabular, and train\.recipe is gan"),
    ],
    ids=["newer format", "damaged", "half gone", "gone", "other recipe"],
)
def test_a_folder_that_is_no_start_is_refused(warm: Workspace, spoil: Callable[[Path], None], error: type[GantryError], said: str) -> None:
    spoil(warm.model(NAME) / "checkpoint")
    before = (warm.start(NAME) / "start.json").read_bytes()
    with pytest.raises(error, match=said):
        start(warm, NAME, asked(warm, "models/circle"))
    assert (warm.start(NAME) / "start.json").read_bytes() == before


def test_another_network_is_refused(warm: Workspace) -> None:
    wider = {"network": "mlp", "widths": [32]}
    with pytest.raises(ConfigError, match=rf"train\.start: {NAME}/3: it fits nothing here: .*new: .*\(8, 64\) there, \(32, 64\) here"):
        start(warm, NAME, asked(warm, "champion", generator=wider, discriminator=wider))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (f"{NAME}/9", rf"train\.start: {NAME}: no version 9 in .*; it has versions 1, 2, 3"),
        ("cirle", r"train\.start: cirle: no such generator in .*; did you mean circle\?"),
        ("no/such folder", r"train\.start: .*no/such folder: no such folder; write scratch, champion, "),
    ],
)
def test_what_there_is_not_is_refused_before_anything_runs(warm: Workspace, what: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_start(warm, NAME, asked(warm, what))


def test_a_version_whose_checkpoint_is_gone_is_refused(warm: Workspace) -> None:
    shutil.rmtree(warm.root / ".dvc" / "cache")
    with pytest.raises(
        DataError, match=rf"train\.start: {NAME}/2: checkpoint of DVC hash .* is not whole in the cache, .* or from scratch"
    ):
        start(warm, NAME, asked(warm, f"{NAME}/2"))


def test_what_cannot_be_replayed_is_refused(warm: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        ConfigError, match=r"train\.replay: models/circle is a folder, .* name a version \(NAME/VERSION\), or leave train\.replay"
    ):
        check_start(warm, NAME, asked(warm, "models/circle", replay=0.5))
    with pytest.raises(ConfigError, match=r"replay shows data that a start was trained on, and start is scratch"):
        asked(warm, "scratch", replay=0.5)
    start(warm, NAME, asked(warm, f"{NAME}/1", replay=0.5))
    assert "; 32 samples of each batch of 64 are of the 250 that it was trained on" in capsys.readouterr().out
    registry = Registry.open(warm)
    digest = registry.version(NAME, 1).tags["dvc.ready"].removesuffix(".dir")
    (warm.root / ".dvc" / "cache" / "files" / "md5" / digest[:2] / f"{digest[2:]}.dir").unlink()
    with pytest.raises(
        DataError, match=rf"train\.replay: {NAME}/1: data of DVC hash {digest}.* is not whole .*; or leave train\.replay out"
    ):
        start(warm, NAME, asked(warm, f"{NAME}/1", replay=0.5))
    written = folded({key: value for key, value in registry.version(NAME, 1).tags.items() if key != "dvc.ready"})
    registry.client.set_model_version_tag(NAME, "1", LINEAGE_TAG, written[LINEAGE_TAG])
    with pytest.raises(ConfigError, match=rf"train\.replay: {NAME}/1 says not where the data is that it was trained on"):
        check_start(warm, NAME, asked(warm, f"{NAME}/1", replay=0.5))


def test_a_persons_patience_is_pinned_as_a_number_of_images(warm: Workspace) -> None:
    """Once, from the pace that is measured then; what trains afterwards, by whichever door, reads the number."""
    entry, lines = load_entry(warm.root, NAME), list[str]()
    assert entry.train.images == 640
    before = (warm.start(NAME) / "state.json").exists()
    pin(warm, NAME, entry.train, lines.append, budget=2.0)
    facts = json.loads((warm.start(NAME) / "start.json").read_text())
    assert facts["budget"]["seconds"] == 2.0
    assert facts["images"] == max(int(2.0 * facts["budget"]["images_per_second"] * 0.95) // 64, 1) * 64 or facts["images"] % 64 == 0
    assert any(f"{facts['images']:,} points fit into 2 s" in line for line in lines)
    assert (warm.start(NAME) / "state.json").exists() == before
    assert not (warm.start(NAME) / "pace").exists()
    # Asked for the same again, nothing runs, or each run would train anew; DVC sees what train depends on.
    pin(warm, NAME, entry.train, lines.append, budget=2.0)
    assert json.loads((warm.start(NAME) / "start.json").read_text()) == facts
    assert repro.look(warm, "train", NAME).changed
    file = warm.start(NAME) / "start.json"
    file.write_text(json.dumps({**facts, "images": 192}, sort_keys=True))  # as a far slower machine would have it
    assert images_of(warm, NAME, entry.train) == 192
    shutil.rmtree(warm.model(NAME))
    train(warm, NAME, entry)
    run = json.loads((warm.model(NAME) / "run.json").read_text())
    assert (run["images"], checkpoint.read(warm.model(NAME) / "checkpoint").images) == (192, 192)
    # With other data the number is decided anew; without a budget params.yaml says it again.
    write_data(warm, 5)
    pin(warm, NAME, entry.train, lines.append)
    assert images_of(warm, NAME, entry.train) == 640
    with pytest.raises(ConfigError, match=r"--budget: the pace of one process is measured, and train\.processes asks for more"):
        start_with_budget(warm, asked(warm, "scratch", processes=2))


def start_with_budget(workspace: Workspace, entry: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BUDGET, "2")
        start(workspace, NAME, entry)


def test_a_registry_out_of_reach_is_refused(warm: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:9"):
        start(warm, NAME, asked(warm, "champion"))


def test_a_graph_without_the_stage_takes_no_start(warm: Workspace) -> None:
    graph = warm.root / "dvc.yaml"
    graph.write_text(graph.read_text().replace("  start:\n", "  other:\n"))
    check_start(warm, NAME, asked(warm, "scratch"))
    with pytest.raises(ConfigError, match=r"dvc\.yaml: has no stage 'start', which train\.start takes; `gantry upgrade`"):
        check_start(warm, NAME, asked(warm, "champion"))
    shutil.rmtree(warm.start(NAME))
    with pytest.raises(ConfigError, match=r"not there, and train\.start is champion"):
        train(warm, NAME, asked(warm, "champion"))
