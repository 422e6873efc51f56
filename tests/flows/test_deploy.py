"""Deployments on a real Prefect server: what they say, told twice, and what is left of entries that are gone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import loopback
import pytest
import toy_workspace as toy
from command_line import Record, called, clean_environment, run, start

from flows import server as prefect
from tasks.system import locks
from tasks.workspace import Workspace


class Server:
    """What a Prefect server has of deployments."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, body: Any = None, method: str = "POST") -> Any:
        answer = loopback.request(method, f"{self._url}/{path}", json=None if method == "GET" else body or {}, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def deployments(self, pool: str) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in self.ask("deployments/filter", {"work_pools": {"name": {"any_": [pool]}}})}

    def named(self, name: str) -> dict[str, Any] | None:
        found: list[dict[str, Any]] = self.ask("deployments/filter", {"deployments": {"name": {"any_": [name]}}})
        return found[0] if found else None

    def automations(self) -> dict[str, dict[str, Any]]:
        found = self.ask("automations/filter")
        assert len({one["name"] for one in found}) == len(found), "an automation is there twice"
        return {one["name"]: one for one in found}


@pytest.fixture
def server(prefect_server: str) -> Server:
    return Server(prefect_server)


def edit(workspace: Workspace, old: str, new: str) -> None:
    path = workspace.root / "params.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def test_deployments_follow_params_yaml(workspace: Workspace, prefect_server: str, server: Server) -> None:
    def deploy(*options: str) -> str:
        done = called(workspace, "deploy", "--pool", "follow", *options, PREFECT_API_URL=prefect_server)
        assert done.returncode == 0, done.stderr
        return done.stdout

    edit(workspace, "  circle:", '    schedule: "0 3 * * *"\n  circle:')
    assert "retrain/circle  on demand" in deploy("--gpus", "2", "--queue", "nightly")
    first = server.deployments("follow")
    assert set(first) == {"digits", "circle"}
    digits = first["digits"]
    assert digits["parameters"] == {"name": "digits"}
    assert digits["entrypoint"] == "flows.retrain.retrain"
    assert digits["work_queue_name"] == "nightly"
    assert digits["global_concurrency_limit"]["limit"] == 1
    assert digits["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert [one["schedule"]["cron"] for one in digits["schedules"]] == ["0 3 * * *"]
    assert first["circle"]["schedules"] == []
    assert server.ask("v2/concurrency_limits/gpu", method="GET")["limit"] == 2

    beat = server.automations()["gantry: runs that died are marked as crashed"]
    server.ask(f"automations/{beat['id']}", {"enabled": False}, method="PATCH")  # a person's doing stays
    text = (workspace.root / "params.yaml").read_text()
    (workspace.root / "params.yaml").write_text(text[: text.index("  circle:")].replace("0 3", "30 4"))
    assert "removed: circle" in deploy()
    again = server.deployments("follow")
    assert {name: one["id"] for name, one in again.items()} == {"digits": digits["id"]}
    assert [one["schedule"]["cron"] for one in again["digits"]["schedules"]] == ["30 4 * * *"]
    after = server.automations()
    assert "gantry: gantry.retrain starts circle" not in after
    assert after["gantry: gantry.retrain starts digits"]["actions"][0]["deployment_id"] == digits["id"]
    assert after[beat["name"]]["id"] == beat["id"]
    assert after[beat["name"]]["enabled"] is False


def test_who_is_to_hear_of_trouble_is_named_by_a_block(workspace: Workspace, prefect_server: str, server: Server) -> None:
    types = {one["slug"]: one for one in server.ask("block_types/filter")}
    if "toy-webhook" not in types:
        types["toy-webhook"] = server.ask("block_types/", {"name": "Toy webhook", "slug": "toy-webhook"})
    kind = types["toy-webhook"]["id"]
    schema = server.ask("block_schemas/", {"block_type_id": kind, "fields": {}, "capabilities": ["notify"]})
    block = server.ask("block_documents/", {"name": "ops", "block_type_id": kind, "block_schema_id": schema["id"], "data": {}})
    options = ["deploy", "--pool", "told", "--type", "kubernetes", "--image", "registry/gantry:1"]
    refused = called(workspace, *options, "--notify", "toy-webhook/nobody", PREFECT_API_URL=prefect_server)
    assert refused.returncode == 2
    assert "--notify toy-webhook/nobody: no such block" in refused.stderr
    assert server.deployments("told") == {}

    done = called(workspace, *options, "--notify", "toy-webhook/ops", PREFECT_API_URL=prefect_server)
    assert done.returncode == 0, done.stderr
    told = [one for name, one in server.automations().items() if name.endswith("runs are told")]
    assert len(told) == 3
    assert all(action["block_document_id"] == block["id"] for one in told for action in one["actions"])
    variables = server.deployments("told")["digits"]["job_variables"]
    assert variables["image"] == "registry/gantry:1"
    assert variables["env"]["MLFLOW_TRACKING_PASSWORD"] == "{{ $MLFLOW_TRACKING_PASSWORD }}"  # the name; a worker knows the value


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook's address, and what it was told so far."""
    told: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", told
        server.shutdown()


_SAVE_BLOCK = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock

block = CustomWebhookNotificationBlock(name="ops", url=sys.argv[1], json_data={"subject": "{{subject}}", "body": "{{body}}"})
block.save("ops")
"""


@pytest.mark.slow
def test_a_failed_run_is_told(workspace: Workspace, tmp_path: Path, hook: tuple[str, list[dict[str, Any]]]) -> None:
    url, told = hook
    with prefect.Server.start(Workspace(tmp_path / "prefect"), full=True) as own:
        own.wait()
        environment = clean_environment(PREFECT_API_URL=own.url, PREFECT_HOME=str(tmp_path / "client"))
        subprocess.run([sys.executable, "-c", _SAVE_BLOCK, url], env=environment, check=True, capture_output=True)
        done = called(workspace, "deploy", "--pool", "told", "--notify", "custom-webhook/ops", PREFECT_API_URL=own.url)
        assert done.returncode == 0, done.stderr
        toy.behave(workspace, validate={"error": "row 7 has no picture", "exit": 3})
        assert run(workspace, "run", "digits", PREFECT_API_URL=own.url).returncode == 3
        deadline = time.monotonic() + 60
        while not told:
            assert time.monotonic() < deadline, "nobody was told"
            time.sleep(0.2)
    message = told[0]
    assert all(again == message for again in told)  # Prefect promises that it is told at least once
    assert message["subject"] == "Gantry: a run is failed"
    assert message["body"].startswith("digits, ")
    assert "row 7 has no picture" in message["body"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--pool", "wrong", "--type", "docker"], "--image: a docker pool"),
        (["--pool", "of-processes", "--type", "docker", "--image", "x"], "the pool of-processes is of type process"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    workspace: Workspace, prefect_server: str, server: Server, options: list[str], says: str
) -> None:
    if not server.ask("work_pools/filter", {"work_pools": {"name": {"any_": ["of-processes"]}}}):
        server.ask("work_pools/", {"name": "of-processes", "type": "process"})
    refused = called(workspace, "deploy", *options, PREFECT_API_URL=prefect_server)
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
    assert says in refused.stderr
    assert server.deployments(options[1]) == {}


def test_an_entry_has_one_keeper_on_a_server(workspace: Workspace, prefect_server: str, server: Server) -> None:
    edit(workspace, "  digits:", '  kept:\n    schedule: "0 3 * * *"')
    (workspace.root / "params.yaml").write_text((workspace.root / "params.yaml").read_text().partition("  circle:")[0])
    schedule = start(workspace, "schedule", PREFECT_API_URL=prefect_server)
    try:
        deadline = time.monotonic() + 90
        while not (found := server.named("kept")) or found["status"] != "READY":
            assert time.monotonic() < deadline, found
            time.sleep(0.5)
        refused = called(workspace, "deploy", "--pool", "keeper", PREFECT_API_URL=prefect_server)
        assert (refused.returncode, server.deployments("keeper")) == (2, {})
        assert "retrain/kept is run by the `gantry schedule` of" in refused.stderr
    finally:
        schedule.send_signal(signal.SIGTERM)
        schedule.communicate(timeout=60)

    done = called(workspace, "deploy", "--pool", "keeper", PREFECT_API_URL=prefect_server)
    assert done.returncode == 0, done.stderr
    deployed = server.deployments("keeper")["kept"]
    assert (deployed["id"], deployed["paused"], "pool:keeper" in deployed["tags"]) == (found["id"], False, True)

    refused = run(workspace, "schedule", PREFECT_API_URL=prefect_server)
    assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
    assert "the workers of the pool keeper" in refused.stderr
    assert server.deployments("keeper")["kept"] == deployed


def test_without_a_lasting_server_nothing_is_deployed(workspace: Workspace) -> None:
    refused = called(workspace, "deploy", "--pool", "any")
    assert refused.returncode == 2
    assert "PREFECT_API_URL is not set" in refused.stderr


def test_trainings_wait_for_a_slot_and_other_stages_do_not(tmp_path: Path, prefect_server: str, server: Server) -> None:
    limit = {"name": "gpu", "limit": 1}
    server.ask("v2/concurrency_limits/gpu", limit, method="PATCH") if _has_limit(server) else server.ask("v2/concurrency_limits/", limit)
    one, other = (toy.make(tmp_path / name) for name in ("one", "other"))
    for workspace in (one, other):
        edit(workspace, "      recipe: gan\n", "      recipe: gan\n      device: cuda\n")
    toy.behave(one, train={"seconds": 300})
    variables = {"PREFECT_API_URL": prefect_server, "CUDA_VISIBLE_DEVICES": "4,7", "TMPDIR": str(tmp_path)}
    first = start(one, "run", "digits", **variables)
    training = toy.wait_for(one, "train", patience=120)
    assert "CUDA_VISIBLE_DEVICES=4" in Path(f"/proc/{training}/environ").read_text().split("\0")
    second = start(other, "run", "digits", **variables)
    try:
        toy.wait_for(other, "validate", patience=120)
        time.sleep(3)
        assert "train" not in toy.ran(other)
        assert server.ask("v2/concurrency_limits/gpu", method="GET")["active_slots"] == 1
        first.send_signal(signal.SIGTERM)
        second.communicate(timeout=120)
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
    assert second.returncode == 0
    assert toy.ran(other)[2:] == ["train", "evaluate", "register"]
    assert [run["state"]["name"] for run in Record(prefect_server, other).runs()] == ["Completed"]


def _has_limit(server: Server) -> bool:
    return any(one["name"] == "gpu" for one in server.ask("v2/concurrency_limits/filter"))


def test_each_training_on_a_machine_sees_a_gpu_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-8f2a/1")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    said: list[str] = []

    class EnoughError(Exception):
        pass

    def wait(line: str) -> None:
        said.append(line)
        raise EnoughError

    with locks.gpu(said.append) as first, locks.gpu(said.append) as second:
        assert [first, second] == [{"CUDA_VISIBLE_DEVICES": "3"}, {"CUDA_VISIBLE_DEVICES": "GPU-8f2a/1"}]
        assert said == []
        with pytest.raises(EnoughError), locks.gpu(wait):
            pass
    assert len(said) == 1
    with locks.gpu(said.append) as free:
        assert free == first
