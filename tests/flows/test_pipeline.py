"""The whole pipeline with its real stages, by both doors."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy_workspace as toy
from command_line import called, clean_environment, run, start

from tasks.graph import repro
from tasks.scaffold import init_workspace
from tasks.workspace import STAGES, Workspace


def small(folder: Path, images: int) -> Workspace:
    """A workspace in which a circle is learnt in a few seconds, and saved often."""
    workspace = init_workspace(folder)
    path = workspace.root / "params.yaml"
    text = path.read_text()
    assert text.count("images: 2_000_000") == 1
    path.write_text(text.replace("images: 2_000_000", f"images: {images}\n      checkpoint_every: 5_120"))
    return workspace


def weights(workspace: Workspace) -> str:
    """Digest of what would be shipped."""
    return hashlib.sha256((workspace.model("circle") / "generator/generator.safetensors").read_bytes()).hexdigest()


def dvc(workspace: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**clean_environment(), **repro.environment(workspace), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=workspace.root, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which `gantry run circle` has run once."""
    workspace = small(tmp_path_factory.mktemp("pipeline") / "w", images=100_000)
    first = run(workspace, "run", "circle")
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    assert "circle: version 1 is the champion (first)" in first.stdout
    assert "picture: reports/circle/grids/generated.png" in first.stdout
    return workspace


@pytest.fixture
def copied(trained: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it, for a test that changes it."""
    return Workspace(Path(shutil.copytree(trained.root, tmp_path / "copied", symlinks=True)))


def test_the_list_shows_the_champion(trained: Workspace) -> None:
    listed = run(trained, "list", "--json")
    (circle,) = [row for row in json.loads(listed.stdout) if row["name"] == "circle"]
    assert (circle["champion"], circle["metric"], circle["state"]) == (1, "radius_error", "up to date")
    assert circle["decision"] == "first (version 1)"
    assert 0 < circle["value"] < 2


def test_the_same_seed_draws_the_same_bytes_from_registry_and_folder(trained: Workspace, tmp_path: Path) -> None:
    outs = [tmp_path / "registry.npz", tmp_path / "folder.npz"]
    for out, reference in zip(outs, (["circle"], ["--from", "models/circle"]), strict=True):
        drawn = called(trained, "sample", *reference, "--count", "200", "--seed", "3", "--out", str(out))
        assert drawn.returncode == 0, drawn.stderr
    assert len({out.read_bytes() for out in outs}) == 1


def test_page_lineage_and_the_same_weights_again(trained: Workspace) -> None:
    shown = called(trained, "report", "circle")
    assert shown.stdout.strip() == str(trained.root.resolve() / "reports/circle/report.html")
    assert "circle, version 1" in Path(shown.stdout.strip()).read_text()
    layers = called(trained, "show", "circle", "--out", "networks.svg").stdout.splitlines()
    assert layers[-1] == "2 networks drawn in networks.svg"
    assert layers[0] in (trained.root / "networks.svg").read_text()
    assert layers[0] == "generator: 690 parameters, 640 multiply-adds a sample"  # 3 x 32 + 32 x 16 + 16 x 2, and 50 biases
    assert [line.split()[:2] for line in layers[1:4]] == [["layer", "kind"], ["mixture", "Identity"], ["input", "LabelledLatent"]]
    unknown = called(trained, "show", "digits")
    assert (unknown.returncode, "digits: its data is not ready" in unknown.stderr) == (2, True)
    assert "`dvc repro validate@digits` brings and checks the data alone" in unknown.stderr
    found = json.loads(called(trained, "lineage", "circle", "--json").stdout)
    assert found["training"]["flow_run"]
    assert found["data"]["ready"].endswith(".dir")
    tree = called(trained, "lineage", "circle/1")
    assert tree.stdout.startswith("circle, version 1\n")
    assert found["generator"]["sha256"] in tree.stdout
    made = run(trained, "reproduce", "circle/1")
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[-1].startswith("circle version 1: equal, ")


def test_a_second_run_trains_nothing(trained: Workspace, prefect_server: str) -> None:
    before = weights(trained)
    second = run(trained, "run", "circle", PREFECT_API_URL=prefect_server)
    assert second.returncode == 0, second.stderr
    lines = second.stdout.splitlines()
    assert "fetch    ran" in next(line for line in lines if line.startswith("fetch    ran"))
    assert [line.split()[0] for line in lines if " cached (" in line] == list(STAGES[1:])
    assert "circle: nothing has changed; as before, version 1 is the champion (first)" in second.stdout
    assert weights(trained) == before
    status = dvc(trained, "status", *(f"{stage}@circle" for stage in STAGES))
    assert "up to date" in status.stdout


def test_a_registry_that_was_lost_is_seen_and_filled_again(copied: Workspace, tmp_path: Path, prefect_server: str) -> None:
    for name in ("mlflow.db", "mlartifacts"):
        (copied.root / name).rename(tmp_path / name)
    (circle,) = [row for row in json.loads(called(copied, "list", "--json").stdout) if row["name"] == "circle"]
    assert (circle["champion"], circle["state"]) == (None, "register has to run")
    again = run(copied, "run", "circle", PREFECT_API_URL=prefect_server)
    assert again.returncode == 0, again.stderr
    (line,) = [line for line in again.stdout.splitlines() if line.startswith("register ran (")]
    assert line.endswith(": circle, in mlflow.db, has no version any more")
    assert again.stdout.count(" cached (") == 3, "and nothing else runs"
    assert "circle: version 1 is the champion (first)" in again.stdout


def test_cleaned_the_champion_still_draws(copied: Workspace, tmp_path: Path) -> None:
    outdated = copied.unfinished("circle") / ("0" * 16)
    outdated.mkdir(parents=True)
    (outdated / "state").write_bytes(bytes(2_000))
    before = weights(copied)
    shown = called(copied, "clean", "--keep", "1", "--days", "0")
    assert shown.returncode == 0, shown.stderr
    assert "of other parameters or data than now" in shown.stdout
    assert shown.stdout.splitlines()[-1] == "nothing was removed; `gantry clean --yes` with the same options frees 2.0 kB"
    assert outdated.exists()
    done = called(copied, "clean", "--keep", "1", "--days", "0", "--yes", "--json")
    assert [item["what"] for item in json.loads(done.stdout)["items"]] == ["training state"], done.stderr
    assert not outdated.exists()
    drawn = called(copied, "sample", "circle", "--count", "20", "--out", str(tmp_path / "drawn.npz"))
    assert drawn.returncode == 0, drawn.stderr
    assert weights(copied) == before


def test_the_other_door_makes_the_same_weights_bit_for_bit(trained: Workspace, tmp_path: Path) -> None:
    other = small(tmp_path / "other", images=100_000)
    done = dvc(other, "repro", "train@circle")
    assert done.returncode == 0, done.stdout + done.stderr
    assert weights(other) == weights(trained)
    for name in ("raw", "ready"):
        assert _digest(other.root / "data/circle" / name) == _digest(trained.root / "data/circle" / name)


def test_settings_that_were_tried_before_are_not_trained_again(copied: Workspace) -> None:
    params = copied.root / "params.yaml"
    before, first = weights(copied), params.read_text()
    params.write_text(first.replace("images: 100000", "images: 60000"))
    other = dvc(copied, "repro", "train@circle")
    assert other.returncode == 0, other.stderr
    assert weights(copied) != before
    params.write_text(first)
    again = dvc(copied, "repro", "train@circle")
    assert "Stage 'train@circle' is cached - skipping run" in again.stdout
    assert weights(copied) == before


@pytest.mark.slow
def test_training_killed_again_and_again_ends_with_the_same_weights(trained: Workspace, tmp_path: Path, prefect_server: str) -> None:
    killed = small(tmp_path / "killed", images=100_000)
    for _ in range(3):
        saved = _checkpoints(killed)
        going = start(killed, "run", "circle", PREFECT_API_URL=prefect_server)
        os.kill(_trainer(killed, going, saved), signal.SIGKILL)
        _, err = going.communicate(timeout=120)
        assert going.returncode == 1
        assert "train was ended by SIGKILL" in err
        toy.assert_nothing_left(killed.root)
    finished = dvc(killed, "repro", "train@circle")  # what one door left, the other one ends
    assert finished.returncode == 0, finished.stderr
    assert weights(killed) == weights(trained)
    toy.assert_nothing_left(killed.root)


def _checkpoints(workspace: Workspace) -> set[str]:
    """Those of the unfinished training. Their folders are renamed once they are whole, which os.walk passes over and rglob does not."""
    folders = [(Path(folder), names) for folder, _, names in os.walk(workspace.unfinished("circle"))]
    return {folder.name for folder, names in folders if folder.parent.name == "checkpoints" and "state.json" in names}


def _trainer(workspace: Workspace, going: subprocess.Popen[str], saved: set[str], patience: float = 90) -> int:
    """The process that trains, once it has saved a checkpoint that is none of those `saved` before."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and going.poll() is None:
        if _checkpoints(workspace) - saved:
            commands = toy.processes_in(workspace.root)
            (trainer,) = [pid for pid, command in commands.items() if " -m tasks.train circle" in command and "dvc" not in command]
            return trainer
        time.sleep(0.01)
    raise AssertionError(f"no training was seen: {going.communicate()}")


def _digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return found.hexdigest()
