from __future__ import annotations

import json
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from unruly_network import Network

from gan_core.errors import RegistryError
from gan_core.kinds.images import Images
from tasks.records import tracking
from tasks.workspace import Workspace


def write_record(path: Path, steps: range) -> Path:
    path.write_text("".join(json.dumps({"images": step, "generator_loss": 1 / step, "images_per_second": 7}) + "\n" for step in steps))
    return path


def history(run: tracking.Run, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in run.client.get_metric_history(run.id, key)]


@pytest.fixture(params=["sqlite", "http"])
def anywhere(request: pytest.FixtureRequest, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with its own database, and one with a server."""
    if request.param == "http":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("mlflow_server"))
    return workspace


class TestAddress:
    def test_a_workspace_keeps_its_own_database(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            assert tracking.configure(Workspace(tmp_path / name)) == f"sqlite:///{tmp_path / name / 'mlflow.db'}"
        for name in ("one", "two"):
            assert [path.name for path in (tmp_path / name).iterdir()] == ["mlflow.db"]

    def test_the_own_database_is_the_own_one_however_it_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "one").mkdir()
        (tmp_path / "same").symlink_to(tmp_path / "one")
        one, two = Workspace(tmp_path / "one"), Workspace(tmp_path / "two")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'same' / 'mlflow.db'}")
        assert tracking.own_database(one) == tmp_path / "one" / "mlflow.db"
        assert not tracking.is_own(two)

    def test_the_environment_wins(self, workspace: Workspace, mlflow_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        assert tracking.configure(workspace) == mlflow_server

    def test_several_processes_may_create_the_database_at_once(self, tmp_path: Path) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
        program = "from tasks import workspace; from tasks.records import tracking; print(tracking.configure(workspace.current()))"
        children = [
            subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, env=environment | {"PYTHONPATH": str(Path.cwd())})
            for _ in range(2)
        ]
        assert [child.wait() for child in children] == [0, 0]
        assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
        with tracking.run(Workspace(tmp_path), "digits") as run:
            run.log_metrics({"fid": 1.0}, step=1)

    def test_a_creation_that_was_killed_leaves_nothing_in_the_way(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        (tmp_path / ".mlflow.db.unfinished").write_bytes(b"half a database")
        (tmp_path / ".mlflow.db.unfinished-journal").write_bytes(b"half a journal")
        tracking.configure(Workspace(tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]

    def test_the_database_of_a_second_workspace_is_a_copy_and_a_damaged_one_is_made_anew(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        kept = tmp_path / "cache/gantry" / f"mlflow-{version('mlflow')}.db"
        kept.parent.mkdir(parents=True)
        kept.write_bytes(b"no database at all" * 100)
        schemas, experiments = [], []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            begun = time.time_ns() // 1_000_000
            found = tracking.client(Workspace(tmp_path / name)).get_experiment("0")
            assert begun <= found.creation_time == found.last_update_time <= time.time_ns() // 1_000_000
            experiments.append((found.name, found.artifact_location, found.lifecycle_stage))
        assert experiments == [("Default", f"{(tmp_path / name).as_uri()}/mlartifacts/0", "active") for name in ("one", "two")]
        for path in (kept, tmp_path / "one/mlflow.db", tmp_path / "two/mlflow.db"):
            with closing(sqlite3.connect(path)) as connection:
                schemas.append(connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall())
                schemas[-1] += connection.execute("SELECT version_num FROM alembic_version").fetchall()
        assert len(schemas[0]) > 50
        assert schemas[0] == schemas[1] == schemas[2]

    def test_it_is_private_and_quiet(self, tmp_path: Path) -> None:
        program = (
            "import os; from tasks import workspace; from tasks.records import tracking\n"
            "with tracking.run(workspace.current(), 'digits', system_metrics=True): pass\n"
            "from mlflow.telemetry.utils import is_telemetry_disabled\n"
            "assert is_telemetry_disabled() and os.environ['MLFLOW_DISABLE_TELEMETRY'] == 'true'"
        )
        unset = ("MLFLOW_TRACKING_URI", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "CI")
        environment = {key: value for key, value in os.environ.items() if key not in unset}
        command = [sys.executable, "-W", "ignore", "-c", program]
        done = subprocess.run(command, cwd=tmp_path, env=environment | {"PYTHONPATH": str(Path.cwd())}, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class TestOutOfReach:
    def test_nobody_listens(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            uri = f"http://someone:secret@127.0.0.1:{closed.getsockname()[1]}"
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
            with pytest.raises(
                RegistryError, match=r"127\.0\.0\.1:\d+: the MLflow server does not answer .*refused.*MLFLOW_TRACKING_URI"
            ) as raised:
                tracking.configure(workspace)
        assert "secret" not in str(raised.value)

    @pytest.mark.timeout(30)  # for less than Gantry would wait
    def test_someone_listens_and_never_answers_in_the_time_that_was_set(
        self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
            with pytest.raises(RegistryError, match="does not answer"):
                tracking.configure(workspace)

    def test_a_slow_server_and_one_that_asks_for_time_are_waited_for(self, workspace: Workspace, network: Network) -> None:
        network.delay, network.refusals = 3.2, {429: 2}
        started = time.monotonic()
        tracking.configure(workspace)
        assert network.refused == [429, 429]
        assert time.monotonic() - started >= 3 * 3.2 + 2, "twice asked to come back after a second"

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_user_that_is_refused_is_told_what_to_set(self, workspace: Workspace, network: Network, status: int) -> None:
        network.refusals = {status: 1}
        with pytest.raises(RegistryError, match="refuses this user; set MLFLOW_TRACKING_USERNAME"):
            tracking.configure(workspace)

    def test_a_database_server_is_gone(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql+psycopg2://me:secret@127.0.0.1:{closed.getsockname()[1]}/mlflow")
            with pytest.raises(RegistryError, match="the database does not answer") as raised:
                tracking.configure(workspace)
        assert "secret" not in str(raised.value)

    @pytest.mark.parametrize("uri", ["file:///nowhere", "nonsense://somewhere"])
    def test_an_address_that_mlflow_does_not_take(self, workspace: Workspace, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with pytest.raises(RegistryError, match=f"{uri}: MLflow refused"):
            tracking.configure(workspace)

    def test_someone_else_answers(self, workspace: Workspace, another_service: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", another_service)
        with pytest.raises(RegistryError, match=f"{another_service}: answers, but not as an MLflow server"):
            tracking.configure(workspace)

    def test_the_database_is_no_database(self, workspace: Workspace) -> None:
        (workspace.root / "mlflow.db").write_bytes(b"something else entirely" * 100)
        with pytest.raises(RegistryError, match=r"mlflow\.db: .*not a database"):
            tracking.configure(workspace)

    def test_the_database_is_of_another_mlflow(self, workspace: Workspace) -> None:
        with sqlite3.connect(workspace.root / "mlflow.db") as database:
            database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        with pytest.raises(RegistryError, match=r"mlflow\.db.*mlflow db upgrade"):
            tracking.configure(workspace)

    def test_the_folder_is_missing(self, workspace: Workspace) -> None:
        with pytest.raises(RegistryError, match=r"nowhere/mlflow\.db.*cannot be created"):
            tracking.configure(Workspace(workspace.root / "nowhere"))


@pytest.fixture
def another_service() -> Iterator[str]:
    """A web server that is real, and no MLflow."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class TestRun:
    def test_one_run_is_carried_through_the_stages(self, anywhere: Workspace, tmp_path: Path) -> None:
        with tracking.run(anywhere, "digits") as first:
            first.log_params({"train": {"seed": 0, "ema": None, "generator": {"widths": (32, 16)}}})
            assert first.client.get_run(first.id).info.status == "RUNNING"
        with tracking.run(anywhere, "digits", first.id) as second:
            assert second.client.get_run(first.id).info.status == "RUNNING"
            second.log_params({"train": {"seed": 0}, "evaluate": {"seed": 3}})
            second.set_tags({"kind": "images"})
            second.log_metrics({"fid": 12.5}, step=640)
            (tmp_path / "a.txt").write_text("hello")
            second.log_artifact(tmp_path / "a.txt", "notes")
        run = second.client.get_run(second.id)
        assert second.id == first.id
        assert run.info.status == "FINISHED"
        assert run.data.params == {"train.seed": "0", "train.ema": "None", "train.generator.widths": "[32, 16]", "evaluate.seed": "3"}
        assert run.data.metrics == {"fid": 12.5}
        assert run.data.tags["kind"] == "images"
        assert [file.path for file in second.client.list_artifacts(second.id, "notes")] == ["notes/a.txt"]
        assert second.client.get_experiment(run.info.experiment_id).name == "digits"

    def test_artifacts_of_the_embedded_registry_lie_in_the_workspace(self, workspace: Workspace, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("hello")
        with tracking.run(workspace, "digits") as run:
            run.log_artifact(tmp_path / "a.txt")
        assert (workspace.root / "mlartifacts" / "digits" / run.id / "artifacts" / "a.txt").read_text() == "hello"

    @pytest.mark.parametrize(
        ("error", "status"),
        [(ValueError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(143), "KILLED"), (SystemExit(3), "FAILED")],
    )
    def test_the_status_at_the_end_is_true(self, workspace: Workspace, error: BaseException, status: str) -> None:
        with pytest.raises(type(error)), tracking.run(workspace, "digits") as run:
            raise error
        assert run.client.get_run(run.id).info.status == status

    def test_sigterm_ends_the_run_as_killed(self, workspace: Workspace) -> None:
        def terminate_itself() -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()

        with pytest.raises(SystemExit) as raised, tracking.run(workspace, "digits") as run:
            terminate_itself()
        assert raised.value.code == 128 + signal.SIGTERM
        assert run.client.get_run(run.id).info.status == "KILLED"
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def test_a_run_whose_worker_died_is_recorded_as_killed(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        ids = {}
        for flow_run in ("dead", "alive", ""):
            monkeypatch.setenv(tracking.FLOW_RUN, flow_run)
            with tracking.run(workspace, "digits") as run:
                ids[flow_run] = run.id
            run.client.update_run(run.id, status="RUNNING")  # as a killed process leaves it
        tracking.close_dead(workspace, "digits", lambda flow_run: flow_run == "dead")
        tracking.close_dead(workspace, "nobody", pytest.fail)
        statuses = {flow_run: run.client.get_run(number).info.status for flow_run, number in ids.items()}
        assert statuses == {"dead": "KILLED", "alive": "RUNNING", "": "RUNNING"}

    def test_a_run_of_another_server_is_replaced(self, workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
        with tracking.run(workspace, "digits", "0" * 32) as run:
            run.log_metrics({"fid": 1.0}, step=1)
        assert run.id != "0" * 32
        assert f"does not know run {'0' * 32}: starting a new one" in capsys.readouterr().err

    def test_a_page_of_a_server_links_to_an_artifact_over_http(
        self, workspace: Workspace, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with tracking.run(workspace, "digits") as run:
            experiment = run.client.get_run(run.id).info.experiment_id
        monkeypatch.setenv("MLFLOW_TRACKING_URI", network.address.replace("//", "//somebody:secret@"))
        expected = f"{network.address}/#/experiments/{experiment}/runs/{run.id}/artifacts/report.html"
        assert tracking.artifact_page(workspace, run.id, "report.html") == expected
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
        assert tracking.artifact_page(workspace, run.id, "report.html") is None, "a browser opens no file for a page of a server"

    def test_a_deleted_experiment_is_restored(self, workspace: Workspace) -> None:
        with tracking.run(workspace, "digits") as first:
            pass
        first.client.delete_experiment(first.client.get_run(first.id).info.experiment_id)
        with tracking.run(workspace, "digits") as second:
            pass
        assert second.client.get_experiment_by_name("digits").lifecycle_stage == "active"

    def test_the_data_set_is_named_with_its_hashes(self, anywhere: Workspace) -> None:
        spec = Images((1, 8, 8), {"train": 90, "holdout": 10}, ("0", "1"))
        with tracking.run(anywhere, "digits") as run:
            run.log_dataset(spec, "sklearn://digits", "0123abcd.dir")
        with tracking.run(anywhere, "digits", run.id) as run:
            run.log_dataset(spec, "sklearn://digits", "0123abcd.dir")
        found = run.client.get_run(run.id)
        (given,) = found.inputs.dataset_inputs
        assert given.dataset.name == "sklearn://digits"
        assert json.loads(given.dataset.profile)["digest"] == spec.digest
        assert json.loads(given.dataset.source) == {"uri": "sklearn://digits", "dvc_hash": "0123abcd.dir"}
        assert found.data.tags["dataset_digest"] == spec.digest

    def test_a_series_of_pictures_has_one_frame_a_step(self, anywhere: Workspace, tmp_path: Path) -> None:
        from PIL import Image

        Image.new("RGB", (8, 8), "red").save(tmp_path / "grid.png")
        with tracking.run(anywhere, "digits") as run:
            run.log_image(tmp_path / "grid.png", "samples", step=64)
        with tracking.run(anywhere, "digits", run.id) as run:
            run.log_image(tmp_path / "grid.png", "samples", step=64)
            run.log_image(tmp_path / "grid.png", "samples", step=6400)
        frames = [Path(file.path).name for file in run.client.list_artifacts(run.id, "images") if file.path.endswith(".png")]
        assert sorted(frame.split("+")[2] for frame in frames) == ["64", "6400"]

    def test_system_metrics(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
        with tracking.run(workspace, "digits", system_metrics=True) as run:
            while "system/cpu_utilization_percentage" not in run.client.get_run(run.id).data.metrics:
                threading.Event().wait(0.05)


class TestRecord:
    def test_mlflow_is_brought_level_a_piece_at_a_time(self, anywhere: Workspace, tmp_path: Path) -> None:
        with tracking.run(anywhere, "digits") as run:
            logged = run.log_record(tmp_path / "metrics.jsonl")
            assert logged == 0
            logged = run.log_record(write_record(tmp_path / "metrics.jsonl", range(1, 4)), logged)
            assert logged == 3
            assert run.log_record(write_record(tmp_path / "metrics.jsonl", range(1, 6)), logged) == 5
        assert history(run, "losses/generator_loss") == [(step, 1 / step) for step in range(1, 6)]
        assert history(run, "training/images_per_second") == [(step, 7.0) for step in range(1, 6)]

    def test_a_resumed_run_gets_no_point_twice(self, anywhere: Workspace, tmp_path: Path) -> None:
        record = write_record(tmp_path / "metrics.jsonl", range(1, 5))
        with tracking.run(anywhere, "digits") as run:
            run.log_record(record)
        # The checkpoint was older than the last points: the record is cut back and grows again.
        write_record(record, range(1, 3))
        with tracking.run(anywhere, "digits", run.id) as run:
            logged = run.log_record(record)
            run.log_record(write_record(record, range(1, 8)), logged)
        assert history(run, "losses/generator_loss") == [(step, 1 / step) for step in range(1, 8)]

    def test_a_clock_that_goes_back_leaves_the_points_in_order(
        self, anywhere: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hours = iter([5, 3, 1])
        monkeypatch.setattr(tracking.time, "time_ns", lambda: 1_800_000_000_000_000_000 + next(hours) * 3_600_000_000_000)
        with tracking.run(anywhere, "digits") as run:
            logged = 0
            for end in (3, 5, 7):
                logged = run.log_record(write_record(tmp_path / "metrics.jsonl", range(1, end)), logged)
        assert sorted(history(run, "losses/generator_loss")) == [(step, 1 / step) for step in range(1, 7)]
        assert run.client.get_run(run.id).data.metrics["losses/generator_loss"] == 1 / 6  # the last step's, not the latest clock's

    def test_more_points_than_one_request_takes(self, workspace: Workspace, tmp_path: Path) -> None:
        with tracking.run(workspace, "digits") as run:
            assert run.log_record(write_record(tmp_path / "metrics.jsonl", range(1, 1_501))) == 1_500
        assert len(history(run, "losses/generator_loss")) == 1_500

    def test_a_line_that_is_still_being_written_waits(self, workspace: Workspace, tmp_path: Path) -> None:
        record = tmp_path / "metrics.jsonl"
        record.write_text('{"images": 1, "generator_loss": 0.5}\n{"images": 2, "gener')
        with tracking.run(workspace, "digits") as run:
            assert run.log_record(record) == 1

    @pytest.mark.parametrize("line", ["not json", '{"generator_loss": 1.0}', "[]", '{"images": "many"}'])
    def test_a_damaged_record_is_named(self, workspace: Workspace, tmp_path: Path, line: str) -> None:
        record = tmp_path / "metrics.jsonl"
        record.write_text(f'{{"images": 1, "generator_loss": 0.5}}\n{line}\n')
        with pytest.raises(RegistryError, match=r"metrics\.jsonl, line 2"), tracking.run(workspace, "digits") as run:
            run.log_record(record)

    @pytest.mark.parametrize("failure", [{401: math.inf}, {500: math.inf}, "outage"], ids=str)
    def test_a_failure_costs_a_warning_and_no_point(
        self, workspace: Workspace, network: Network, tmp_path: Path, failure: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        record = write_record(tmp_path / "metrics.jsonl", range(1, 4))
        with tracking.run(workspace, "digits") as run:
            book = tracking.Logbook(run)
            if failure == "outage":
                network.losses = {"log-batch": 2}
            else:
                network.refusals = failure
            assert book.log(lambda run: run.log_record(record), in_passing=True) is None
            said = capsys.readouterr().err
            assert said.startswith("warning: http://127.0.0.1:")
            assert said.endswith("MLflow is brought level later\n")
            asked = len(network.refused)
            assert book.log(lambda run: run.log_record(record), in_passing=True) is None, "it is left in peace"
            assert (len(network.refused), capsys.readouterr().err) == (asked, "")
            network.losses = network.refusals = {}
            assert book.log(lambda run: run.log_record(record)) == 3
            assert "again" in capsys.readouterr().err
            assert len(history(run, "losses/generator_loss")) == 3


class TestDvcHash:
    def test_the_lock_file_is_asked(self, workspace: Workspace) -> None:
        (workspace.root / "dvc.lock").write_text(
            "schema: '2.0'\nstages:\n  validate@digits:\n    cmd: x\n    outs:\n"
            "    - path: data/digits/ready\n      hash: md5\n      md5: 0123.dir\n      size: 3\n"
        )
        assert tracking.dvc_hash(workspace, workspace.ready("digits")) == "0123.dir"
        assert tracking.dvc_hash(workspace, workspace.raw("digits")) is None

    @pytest.mark.parametrize("text", [None, "", "[]", "stages: 3", "a: [", "stages: {x: {outs: [1]}}"])
    def test_no_lock_file_or_another_knows_nothing(self, workspace: Workspace, text: str | None) -> None:
        if text is not None:
            (workspace.root / "dvc.lock").write_text(text)
        assert tracking.dvc_hash(workspace, workspace.ready("digits")) is None
