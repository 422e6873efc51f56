"""The train stage as DVC runs it: a child process in a workspace, killed, stopped and resumed, with a real MLflow beside it."""

from __future__ import annotations

import fcntl
import json
import math
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import called_stage
from mlflow.entities import Run as MlflowRun
from mlflow.tracking import MlflowClient
from unruly_network import Network

from gan_core import checkpoint, training, watch
from gan_core.data.dataset import Dataset, write_spec
from gan_core.errors import LostRunError
from gan_core.generator import Generator
from gan_core.kinds.images import Images
from gan_core.kinds.points import Points
from gan_core.kinds.table import Table
from tasks import train as stage
from tasks.params import Entry, load_entry, parse
from tasks.records import logged, stage_files, tracking
from tasks.system import progress
from tasks.system.spent import Spent
from tasks.workspace import Workspace

NAME = "shapes"
IMAGES = 1_600
ENTRY: dict[str, Any] = {
    "data": {"source": "sklearn://digits", "size": 16},
    "validate": {},
    "train": {
        "recipe": "gan",
        "condition": "label",
        "images": IMAGES,
        "batch": 8,
        "latent": 6,
        "augment": True,
        "generator": {"width": 8},
        "discriminator": {"width": 8, "dropout": 0.2},
    },
    "evaluate": {},
    "register": {},
}
CIRCLE = {"shape": "circle", "radius": 1.0, "sigma": 0.1}
OUTS = ("generator", "checkpoint", "samples", "metrics.jsonl")


def write_ready(folder: Path, poisoned: bool = False) -> None:
    """A packed data set: noise by three labels, or points of which some are not numbers."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for split, n in (("train", 120), ("holdout", 20)):
        if poisoned:
            np.save(folder / f"{split}.npy", np.full((n, 2), np.nan, np.float32))
        else:
            np.save(folder / f"{split}.npy", draw.integers(0, 256, (n, 1, 16, 16), dtype=np.uint8))
            np.save(folder / f"{split}_labels.npy", np.arange(n, dtype=np.int64) % 3)
    counts = {"train": 120, "holdout": 20}
    if poisoned:
        write_spec(folder, Points((2,), counts, mean=(0.0, 0.0), std=(1.0, 1.0), truth=CIRCLE))
    else:
        write_spec(folder, Images((1, 16, 16), counts, ("round", "square", "star")))


def write_params(root: Path, entries: dict[str, Any]) -> None:
    (root / "params.yaml").write_text(json.dumps({"generators": entries}))  # JSON is YAML


@pytest.fixture(scope="module")
def make_workspace(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Callable[[], Workspace]:
    """A workspace with data that is ready, and an empty MLflow."""

    def make() -> Workspace:
        found = Workspace(tmp_path_factory.mktemp("workspace"))
        shutil.copy(mlflow_database, found.root / "mlflow.db")
        write_ready(found.ready(NAME))
        write_params(found.root, {NAME: ENTRY})
        return found

    return make


def environment(**variables: str) -> dict[str, str]:
    """One thread, since equality bit by bit holds for one number of threads; and nothing of the tester's own MLflow or terminal."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_") and key not in ("COLUMNS", "LINES")}
    return {**kept, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **variables}


def start(workspace: Workspace, name: str = NAME, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tasks.train", name]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=workspace.root, env=environment(**variables), stdout=pipe, stderr=pipe, text=True)


def state(workspace: Workspace) -> Path | None:
    """The folder of the unfinished training."""
    folders = list(workspace.unfinished(NAME).glob("*/try-*")) if workspace.unfinished(NAME).exists() else []
    assert len(folders) <= 1
    return folders[0] if folders else None


def lines_of_record(workspace: Workspace) -> int:
    folder = state(workspace)
    record = folder / "metrics.jsonl" if folder else None
    return record.read_text().count("\n") if record and record.exists() else 0


def wait_for_lines(workspace: Workspace, child: subprocess.Popen[Any], lines: int) -> None:
    """Until the unfinished training's record has so many lines."""
    end = time.monotonic() + 120
    while lines_of_record(workspace) < lines:
        assert child.poll() is None, f"ended before it had {lines} lines"
        assert time.monotonic() < end
        time.sleep(0.002)


def outs(workspace: Workspace) -> dict[str, bytes]:
    """The bytes of all that DVC takes into its cache."""
    model = workspace.model(NAME)
    return {
        str(path.relative_to(model)): path.read_bytes() for path in sorted(model.rglob("*")) if path.is_file() and path.name != "run.json"
    }


def mlflow_runs(workspace: Workspace, name: str = NAME) -> list[MlflowRun]:
    client = MlflowClient(f"sqlite:///{workspace.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(name)
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def mlflow_history(workspace: Workspace, run: MlflowRun, key: str) -> list[tuple[int, float]]:
    history = MlflowClient(f"sqlite:///{workspace.root / 'mlflow.db'}").get_metric_history(run.info.run_id, key)
    return sorted((point.step, point.value) for point in history)


def assert_mlflow_is_level(workspace: Workspace) -> None:
    """One run, finished, that holds each point of the record once."""
    (run,) = mlflow_runs(workspace)
    assert run.info.status == "FINISHED"
    assert json.loads((workspace.model(NAME) / "run.json").read_text())["run_id"] == run.info.run_id
    record = [json.loads(line) for line in (workspace.model(NAME) / "metrics.jsonl").read_text().splitlines()]
    for key in ("generator_loss", "discriminator_loss", "accuracy_pairs", "r1"):
        shown = mlflow_history(workspace, run, tracking.curve_key(key))
        assert shown == [(line["images"], line[key]) for line in record if key in line]


@dataclass
class Undisturbed:
    workspace: Workspace
    stdout: str
    stderr: str
    outs: dict[str, bytes]


@pytest.fixture(scope="module")
def undisturbed(make_workspace: Callable[[], Workspace]) -> Undisturbed:
    """A training from start to end."""
    workspace = make_workspace()
    child = start(workspace)
    stdout, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stderr
    return Undisturbed(workspace, stdout, stderr, outs(workspace))


class TestUndisturbed:
    def test_it_leaves_what_dvc_expects_and_no_state(self, undisturbed: Undisturbed) -> None:
        model = undisturbed.workspace.model(NAME)
        assert {path.name for path in model.iterdir()} == {*OUTS, "run.json"}
        assert {path.name for path in (model / "generator").iterdir()} == {"config.json", "generator.safetensors"}
        assert {path.name for path in (model / "checkpoint").iterdir()} == {"state.json", "state.safetensors"}
        assert sorted(path.name for path in (model / "samples").iterdir()) == [f"{images:09d}.png" for images in range(160, 1_601, 160)]
        assert not undisturbed.workspace.unfinished(NAME).exists()

    def test_the_generator_draws_by_label(self, undisturbed: Undisturbed) -> None:
        generator = Generator.load(undisturbed.workspace.model(NAME) / "generator")
        assert generator.config.classes == ("round", "square", "star")
        assert generator.config.images == IMAGES
        assert generator.sample(5, seed=1, label="star").samples.shape == (5, 1, 16, 16)

    def test_run_json_says_what_it_cost(self, undisturbed: Undisturbed) -> None:
        workspace = undisturbed.workspace
        cost = json.loads((workspace.model(NAME) / "run.json").read_text())
        took = {"seconds", "images_per_second", "processor_seconds", "peak_memory"}
        assert set(cost) - {"peak_device_memory"} == {"run_id", "tracking_uri", "device", "processes", "threads", *took}
        assert cost["processor_seconds"] > 0
        assert cost["peak_memory"] > 50_000_000, "torch alone takes as much"
        assert cost["tracking_uri"] == "mlflow.db", "the workspace's own, wherever that is"
        assert cost["device"] in ("cpu", "cuda")
        assert cost["seconds"] > 0
        assert cost["images_per_second"] > 0

    def test_no_clock_is_in_what_is_tracked(self, undisturbed: Undisturbed) -> None:
        lines = undisturbed.outs["metrics.jsonl"].decode().splitlines()
        keys = {key for line in lines for key in json.loads(line)}
        assert keys == {
            "images", "generator_loss", "discriminator_loss", "real_score", "fake_score", "accuracy_pairs", "r1", "r2",
            "diversity", "diversity_within_labels", "generator_gradient", "discriminator_gradient", "generator_movement",
        }  # fmt: skip
        assert json.loads(lines[-1])["images"] == IMAGES

    def test_mlflow_holds_the_record_parameters_data_and_pictures(self, undisturbed: Undisturbed) -> None:
        workspace = undisturbed.workspace
        assert_mlflow_is_level(workspace)
        (run,) = mlflow_runs(workspace)
        assert run.data.params["train.condition"] == "label"
        assert run.data.params["train.generator.width"] == "8"
        assert run.data.params["data.source"] == "sklearn://digits"
        assert "data.layout" in run.data.params
        assert not {"data.count", "data.label", "data.rate", "data.captions", "data.folders", "data.root"} & set(run.data.params)
        assert "None" not in run.data.params.values()
        # MLflow's page sorts by the section before the slash, what has none last: losses, the other curves, then the scores.
        sections = {key.rpartition("/")[0] for key in run.data.metrics if not key.startswith("system/")}
        assert sections == {"losses", "training"}
        assert run.data.tags["device"] in ("cpu", "cuda")
        assert run.data.tags["dataset_digest"] == Dataset.open(workspace.ready(NAME)).spec.digest
        assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["sklearn://digits"]
        client = MlflowClient(f"sqlite:///{workspace.root / 'mlflow.db'}")
        pictures = {Path(file.path).name for file in client.list_artifacts(run.info.run_id, "images")}
        steps = {int(name.split("+")[2]) for name in pictures if name.startswith("samples+step+")}
        assert steps == set(range(160, 1_601, 160))

    def test_elsewhere_than_on_a_terminal_it_shows_plain_lines(self, undisturbed: Undisturbed) -> None:
        *lines, last = undisturbed.stdout.splitlines()
        shape = r"train shapes: [\d,]+ of 1,600 images, [\d,]+ images/s, \d+ s left  discriminator loss [\d.e+-]+, generator loss [\d.e+-]+"
        assert 15 <= len(lines) <= 20
        assert all(re.fullmatch(shape, line) for line in lines)
        assert re.fullmatch(r"train shapes: 1,600 images in \d+ s, [\d,]+ images/s on \w+", last)
        assert "\x1b" not in undisturbed.stdout
        assert re.fullmatch(r"note: pictures of what it draws: in .*\n", undisturbed.stderr)


def test_killed_three_times_it_ends_bit_for_bit_where_the_undisturbed_one_does(
    undisturbed: Undisturbed, make_workspace: Callable[[], Workspace]
) -> None:
    """SIGKILL, which nobody can prepare for; and one MLflow run for all four processes."""
    workspace = make_workspace()
    run_ids = set()
    for lines in (25, 75, 120):
        child = start(workspace)
        wait_for_lines(workspace, child, lines)
        child.kill()
        assert child.wait() == -signal.SIGKILL
        child.communicate()
        folder = state(workspace)
        assert folder is not None
        run_ids.add(json.loads((folder / "run.json").read_text())["run_id"])
        assert not workspace.model(NAME).exists()
    child = start(workspace)
    _, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stderr
    assert re.search(r"note: resumed at [\d,]+ of 1,600 images", stderr)
    assert outs(workspace) == undisturbed.outs
    assert run_ids == {json.loads((workspace.model(NAME) / "run.json").read_text())["run_id"]}
    assert_mlflow_is_level(workspace)
    assert not workspace.unfinished(NAME).exists()


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A pseudo terminal of 120 columns: the side that a person sees, and the side that a program has."""
    person, program = pty.openpty()
    termios.tcsetwinsize(person, (40, 120))
    settings = termios.tcgetattr(program)
    settings[3] |= termios.NOFLSH  # what the program says in answer to ^C is looked at, so ^C must not throw it away
    termios.tcsetattr(program, termios.TCSANOW, settings)
    yield person, program
    os.close(person)


def test_stopped_by_sigterm_and_by_ctrl_c_it_saves_its_state_and_goes_on(
    undisturbed: Undisturbed, make_workspace: Callable[[], Workspace], terminal: tuple[int, int]
) -> None:
    workspace = make_workspace()
    child = start(workspace)
    wait_for_lines(workspace, child, 40)
    child.terminate()
    _, stderr = child.communicate(timeout=60)
    assert child.returncode == 128 + signal.SIGTERM
    pictures, stopped = stderr.splitlines()
    assert re.fullmatch(r"note: stopped, the state is saved; run it again to go on \(in .*\)", stopped)
    drawn = re.fullmatch(r"note: pictures of what it draws: in (\S+) while it trains, then in models/\S+/samples", pictures)
    assert drawn is not None
    assert list((workspace.root / drawn[1]).glob("*.png")) != []
    (run,) = mlflow_runs(workspace)
    assert run.info.status == "KILLED"
    lines = lines_of_record(workspace)
    assert len(mlflow_history(workspace, run, "losses/generator_loss")) == lines
    assert not workspace.model(NAME).exists()
    folder = state(workspace)
    assert folder is not None
    spent = Spent.of(json.loads((folder / "run.json").read_text()))
    assert spent.images > 0

    person, program = terminal

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    on_terminal = subprocess.Popen(
        [sys.executable, "-m", "tasks.train", NAME],
        cwd=workspace.root,
        env=environment(TERM="xterm-256color"),
        stdin=program,
        stdout=program,
        stderr=program,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(program)
    wait_for_lines(workspace, on_terminal, lines + 40)
    os.write(person, b"\x03")
    assert on_terminal.wait(timeout=60) == 128 + signal.SIGINT
    shown = read_all(person)
    assert "note: resumed at" in shown
    assert "note: stopped, the state is saved" in shown
    # The terminal writes ^C before what comes next.
    bars = [line for line in re.split(r"[\r\n]", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)) if "train shapes " in line]
    assert re.search(r"[━╸╺ ]+ +[\d,]+ / 1,600 images +[\d,]+ images/s +[\d:-]+ +discriminator loss [\d.]+", bars[-1])
    assert "Traceback" not in shown

    child = start(workspace)
    _, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stderr
    assert outs(workspace) == undisturbed.outs
    assert_mlflow_is_level(workspace)
    took = json.loads((workspace.model(NAME) / "run.json").read_text())
    assert took["processor_seconds"] > round(spent.processor_seconds, 1), "what the stopped ones took counts, too"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells a child of its parent's death on Linux alone")
def test_when_its_parent_is_killed_it_saves_its_state_and_ends(make_workspace: Callable[[], Workspace]) -> None:
    """As when `dvc` is killed, to whom it also talks: no trainer is left behind, and none of its work is lost."""
    workspace = make_workspace()
    parent = subprocess.Popen(
        ["sh", "-c", f"'{sys.executable}' -m tasks.train {NAME}; true"],
        cwd=workspace.root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for_lines(workspace, parent, 20)
    trainer = int(Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text())
    assert parent.stdout is not None
    assert parent.stderr is not None
    parent.stdout.close()
    parent.stderr.close()
    parent.kill()
    parent.wait()
    end = time.monotonic() + 60
    while is_running(trainer):
        assert time.monotonic() < end
        time.sleep(0.01)
    (run,) = mlflow_runs(workspace)
    assert run.info.status == "KILLED"
    folder = state(workspace)
    assert folder is not None
    saved, notes = checkpoint.load_latest(folder / "checkpoints")
    assert notes == []
    assert saved is not None
    assert saved.images == json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["images"]
    assert not workspace.model(NAME).exists()


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def read_all(terminal: int) -> str:
    """What is on a terminal whose program has ended."""
    parts = []
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # how Linux says that the other side is gone
            part = b""
        if not part:
            return b"".join(parts).decode()
        parts.append(part)


def test_a_token_that_expires_during_a_training_costs_warnings_and_register_brings_mlflow_level(
    make_workspace: Callable[[], Workspace], network: Network, undisturbed: Undisturbed
) -> None:
    workspace = make_workspace()
    child = start(workspace, MLFLOW_TRACKING_URI=network.address)
    wait_for_lines(workspace, child, 2)
    network.refusals = {401: math.inf}
    _, stderr = child.communicate(timeout=120)
    assert child.returncode == 0, stderr
    assert "the MLflow server refuses this user" in stderr
    assert network.refused
    assert outs(workspace) == undisturbed.outs

    network.refusals = {}
    entry, model = load_entry(workspace.root, NAME), workspace.model(NAME)
    cost = json.loads((model / "run.json").read_text())
    report = workspace.report(NAME)
    report.mkdir(parents=True)
    (report / "metrics.json").write_text('{"fid": 3.0}')
    (report / "evaluation.json").write_text("{}")
    with tracking.run(workspace, NAME, cost["run_id"]) as run:
        for _ in range(2):
            logged.level(run, workspace, NAME, entry, entry.train, Dataset.open(workspace.ready(NAME)).spec, IMAGES)
        held = run.client.get_run(run.id)
        losses = run.client.get_metric_history(run.id, "losses/generator_loss")
        frames = [file.path for file in run.client.list_artifacts(run.id, "images") if file.path.endswith(".png")]
    lines = [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
    assert sorted((point.step, point.value) for point in losses) == [(line["images"], line["generator_loss"]) for line in lines]
    assert len(frames) == len(list((model / "samples").glob("*.png")))
    assert held.data.tags["images_per_second"] == str(cost["images_per_second"])
    assert held.data.params["train.batch"] == "8"
    assert held.data.metrics["fid"] == 3


def test_what_goes_wrong_ends_with_its_code_a_line_and_nothing_half_written(make_workspace: Callable[[], Workspace]) -> None:
    """An unknown generator, data that is not there, parameters that do not fit it, numbers that are none, no registry."""
    workspace = make_workspace()
    points = {**ENTRY, "data": {"source": "points://ring"}, "train": {"recipe": "gan", "images": 1_000}}
    misfit = {**ENTRY, "train": {**ENTRY["train"], "generator": {"widths": [8, 4]}}}
    write_params(workspace.root, {NAME: ENTRY, "absent": ENTRY, "poisoned": points, "misfit": misfit})
    write_ready(workspace.ready("poisoned"), poisoned=True)
    shutil.copytree(workspace.ready(NAME), workspace.ready("misfit"))
    expected = {
        "shape": (2, r"error: .*params\.yaml: no generator 'shape'; did you mean shapes\?\n"),
        "absent": (3, r"error: .*data/absent/ready/dataset\.json: not there; run the validate stage first\n"),
        "misfit": (2, r"note: pictures of .*\nerror: generator\.widths: 2 given, and 16 pixels take 3 .*\n"),
        "poisoned": (
            4,
            r"note: pictures of .*\nerror: discriminator_loss is not finite at 64 points; lower train\.optimizer\.learning_rate.*\n",
        ),
        NAME: (5, r"error: http://127\.0\.0\.1:9: the MLflow server does not answer .*\n"),
    }
    for name, (code, message) in expected.items():
        ended = called_stage(stage.train, workspace, name, **({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"} if name == NAME else {}))
        assert ended.returncode == code, ended.stderr
        assert re.fullmatch(message, ended.stderr), ended.stderr
    assert not (workspace.root / "models").exists()
    assert [run.info.status for run in mlflow_runs(workspace, "poisoned")] == ["FAILED"]
    assert mlflow_runs(workspace, "absent") == []


class Crash(BaseException):
    """Stands for a kill or the end of the power."""


_watched: list[tuple[str, int | None, list[str]]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched and event.partition(".")[0] in ("open", "os", "shutil"):
        folder, touch, touches = _watched[0]
        if any(str(argument).startswith(folder) for argument in arguments if isinstance(argument, str | Path)):
            touches.append(event)
            if len(touches) == touch:
                raise Crash


@contextmanager
def crash_at(folder: Path, touch: int | None) -> Iterator[list[str]]:
    """Raise `Crash` where a file or folder below `folder` is touched for that time; yields the touches so far."""
    if _audit not in _hooks:
        _hooks.append(_audit)
        sys.addaudithook(_audit)  # for the life of the process: it cannot be taken away, only be idle
    touches: list[str] = []
    _watched.append((str(folder), touch, touches))
    try:
        yield touches
    finally:
        _watched.clear()


_hooks: list[Callable[..., None]] = []


class TestInProcess:
    @pytest.fixture
    def small(self, make_workspace: Callable[[], Workspace], monkeypatch: pytest.MonkeyPatch) -> tuple[Workspace, Entry]:
        """A workspace whose training takes a few steps."""
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        workspace = make_workspace()
        write_params(workspace.root, {NAME: {**ENTRY, "train": {**ENTRY["train"], "images": 48}}})
        return workspace, load_entry(workspace.root, NAME)

    def test_paused_for_a_look_it_ends_with_the_same_weights(self, small: tuple[Workspace, Entry]) -> None:
        def weights(generator: Generator) -> list[Any]:
            return list(generator.network.state_dict().values())

        workspace, entry = small
        stage.train(workspace, NAME, entry)
        whole = (workspace.model(NAME) / "generator" / "generator.safetensors").read_bytes()
        shutil.rmtree(workspace.model(NAME))
        state = stage.train(workspace, NAME, entry, until=20)
        assert state is not None
        assert not workspace.model(NAME).exists()
        looked_at = training.averaged(entry.train, Dataset.open(workspace.ready(NAME)), state)
        assert 20 <= looked_at.config.images < 48
        again = stage.train(workspace, NAME, entry, until=40)
        assert again == state
        newest = max((state / "samples").glob("*.png"), default=None)
        assert workspace.newest_picture(NAME) == newest
        assert newest is not None
        later = training.averaged(entry.train, Dataset.open(workspace.ready(NAME)), state)
        assert any(not one.equal(other) for one, other in zip(weights(looked_at), weights(later), strict=True))
        assert stage.train(workspace, NAME, entry) is None
        assert (workspace.model(NAME) / "generator" / "generator.safetensors").read_bytes() == whole
        assert not workspace.unfinished(NAME).exists()
        assert workspace.newest_picture(NAME) is None
        client = MlflowClient(f"sqlite:///{workspace.root / 'mlflow.db'}")
        runs = client.search_runs([client.get_experiment_by_name(NAME).experiment_id])
        assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]

    def test_a_crash_while_the_results_are_published_loses_nothing(self, small: tuple[Workspace, Entry]) -> None:
        """At any touch of a file in models/NAME; DVC then removes what is there, and the next try publishes all of it."""
        workspace, entry = small
        model = workspace.model(NAME)
        model.parent.mkdir()
        with crash_at(model, touch=None) as touches:
            stage.train(workspace, NAME, entry)
        expected = outs(workspace)
        assert len(touches) > 10
        for touch in np.linspace(1, len(touches), 6).astype(int):
            shutil.rmtree(model)
            with pytest.raises(Crash), crash_at(model, touch):
                stage.train(workspace, NAME, entry)
            shutil.rmtree(model, ignore_errors=True)
            stage.train(workspace, NAME, entry)
            assert outs(workspace) == expected
            assert (model / "run.json").exists()
            assert not workspace.unfinished(NAME).exists()

    def test_results_of_an_earlier_training_are_replaced(self, small: tuple[Workspace, Entry]) -> None:
        workspace, entry = small
        model = workspace.model(NAME)
        (model / "samples").mkdir(parents=True)
        (model / "samples" / "999999999.png").touch()
        (model / "metrics.jsonl").write_text("old")
        stage.train(workspace, NAME, entry)
        assert "999999999.png" not in {path.name for path in (model / "samples").iterdir()}
        assert json.loads((model / "metrics.jsonl").read_text().splitlines()[-1])["images"] == 48

    def test_a_training_keeps_its_threads_when_it_is_resumed_on_fewer_or_more_cores(
        self, small: tuple[Workspace, Entry], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Results are equal bit for bit at equal numbers of threads only."""
        workspace, entry = small
        state = stage.train(workspace, NAME, entry, until=16)
        assert state is not None
        dataset = Dataset.open(workspace.ready(NAME))
        kept = state.parent / stage._THREADS
        assert int(kept.read_text()) == stage._threads(dataset, state.parent, here=1) == 1
        kept.write_text("3\n")
        monkeypatch.setattr(stage.cores, "usable", lambda: 1)
        assert stage._threads(dataset, state.parent, here=1) == 3
        kept.write_text("damaged")
        assert stage._threads(dataset, state.parent, here=1) == 1

    def test_handlers_of_signals_are_given_back(self, small: tuple[Workspace, Entry]) -> None:
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        stage.train(small[0], NAME, small[1])
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before

    def test_a_damaged_run_json_opens_a_new_run(self, small: tuple[Workspace, Entry]) -> None:
        workspace, entry = small
        folder = workspace.unfinished(NAME) / stage.state_key(entry.train, Dataset.open(workspace.ready(NAME))) / "try-0"
        folder.mkdir(parents=True)
        for text in ("", "{", "[]", "{}", "3"):
            (folder / "run.json").write_text(text)
            assert stage_files.run_begun(folder) is None
        stage.train(workspace, NAME, entry)
        assert len(mlflow_runs(workspace)) == 1

    def test_a_state_is_named_by_all_that_the_result_depends_on(self, small: tuple[Workspace, Entry]) -> None:
        """Other parameters or other data never go on from it; the same ones always do."""
        workspace, entry = small
        dataset = Dataset.open(workspace.ready(NAME))
        key = stage.state_key(entry.train, dataset)
        assert stage.state_key(load_entry(workspace.root, NAME).train, Dataset.open(workspace.ready(NAME))) == key
        changes = [{"seed": 1}, {"images": 56}, {"loss": "hinge"}, {"batch": 16}, {"generator": {"width": 16}}, {"ema": 5}]
        keys = {key}
        for change in changes:
            changed = parse({"generators": {"a": {**ENTRY, "train": {**ENTRY["train"], "images": 48, **change}}}})["a"]
            keys.add(stage.state_key(changed.train, dataset))
        (workspace.ready(NAME) / "train.npy").write_bytes((workspace.ready(NAME) / "train.npy").read_bytes()[:-1] + b"\x07")
        keys.add(stage.state_key(entry.train, Dataset(write_spec(workspace.ready(NAME), dataset.spec), {}, {})))
        assert len(keys) == len(changes) + 2

    def test_a_lost_run_is_started_again_with_the_next_seed(
        self, small: tuple[Workspace, Entry], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        workspace, _ = small
        entry = parse({"generators": {"a": {**ENTRY, "train": {**ENTRY["train"], "images": 48, "restarts": 2}}}})["a"]
        monkeypatch.setattr(watch, "failure", lambda *of_the_run: "the generator has collapsed" if lost.pop() else None)
        lost = [False] * 100 + [True, False]  # taken from the end: at the second line of the first try
        stage.train(workspace, NAME, entry)
        assert "at 8 images the generator has collapsed" not in (said := capsys.readouterr().err)
        assert "starting again with seed 1" in said
        assert Generator.load(workspace.model(NAME) / "generator").config.seed == 1
        assert sorted(run.info.status for run in mlflow_runs(workspace)) == ["FAILED", "FINISHED"]
        assert not workspace.unfinished(NAME).exists()

    def test_when_no_try_is_left_the_reason_is_said_each_time(
        self, small: tuple[Workspace, Entry], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        workspace, _ = small
        entry = parse({"generators": {"a": {**ENTRY, "train": {**ENTRY["train"], "images": 48, "restarts": 1}}}})["a"]
        monkeypatch.setattr(watch, "failure", lambda *of_the_run: "the generator has collapsed")
        for _ in range(2):
            with pytest.raises(LostRunError, match="the generator has collapsed; lower train"):
                stage.train(workspace, NAME, entry)
        assert len(mlflow_runs(workspace)) == 2
        assert not workspace.model(NAME).exists()


class TestProgress:
    def shown(self, capsys: pytest.CaptureFixture[str], images: range, budget: int) -> list[str]:
        with progress.shown("a") as show:
            for seen in images:
                show(training.Progress(seen, budget, {"generator_loss": 0.51234, "accuracy_real": 1.0}))
        return capsys.readouterr().out.splitlines()

    def test_twenty_plain_lines_whatever_the_budget(self, capsys: pytest.CaptureFixture[str]) -> None:
        for budget, step in ((1_000, 10), (10**9, 10**6), (50, 1)):
            lines = self.shown(capsys, range(step, budget + 1, step), budget)
            assert len(lines) in (19, 20)
            assert lines[-1].startswith(f"train a: {budget:,} of {budget:,} images, ")
            assert lines[-1].endswith(" s left  generator loss 0.512")

    def test_a_resumed_run_counts_only_what_it_did_itself(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = iter(range(1_000))
        monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
        lines = self.shown(capsys, range(500, 1_001, 10), 1_000)
        assert all(" 10 images/s" in line for line in lines)
        assert lines[0].startswith("train a: 550 of 1,000 images, 10 images/s, 45 s left")

    def test_rows_are_called_rows(self, capsys: pytest.CaptureFixture[str]) -> None:
        with progress.shown("a", Table.unit) as show:
            for seen in (500, 1_001):
                show(training.Progress(seen, 1_000, {}))
        assert re.fullmatch(r"train a: 1,000 of 1,000 rows, [\d,]+ rows/s, 0 s left  \n", capsys.readouterr().out)

    def test_a_last_step_beyond_the_budget_is_shown_as_the_budget(self, capsys: pytest.CaptureFixture[str]) -> None:
        lines = self.shown(capsys, range(64, 1_088, 64), 1_000)
        assert lines[-1].startswith("train a: 1,000 of 1,000 images, ")
        assert ", 0 s left" in lines[-1]

    def test_nobody_who_watches_is_no_reason_to_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        closed = os.fdopen(writer, "w")
        monkeypatch.setattr(sys, "stdout", closed)
        with progress.shown("a") as show:
            for seen in range(10, 101, 10):
                show(training.Progress(seen, 100, {}))
        with pytest.raises(BrokenPipeError):  # it was broken all the while
            closed.close()
