"""Two workers that share nothing but the servers: what one has finished, the other one does not repeat."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import Production, missing
from workers import ENTRY, POOL, Records, gantry, make_workspace, worker

from tasks.workspace import STAGES, Workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.skipif(missing() is not None, reason=str(missing()))]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    with Production(tmp_path_factory.mktemp("servers")) as running:
        yield running


def files(folder: Path) -> Iterator[bytes]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes()


def weights(workspace: Workspace) -> str:
    return str(json.loads((workspace.model("digits") / "generator" / "config.json").read_text())["sha256"])


def retrained(servers: Production, records: Records, workspace: Workspace, runs: int) -> Any:
    """A run of `digits`, the one that makes so many in all, by a worker of its own in this workspace; it ended well."""
    by = worker(servers, workspace)
    by.environment = {**by.environment, "PREFECT_WORKER_QUERY_SECONDS": "1"}  # in place of 10
    by.start()
    try:
        records.start("digits")
        run = records.wait_for("digits", runs)
    finally:
        by.stop()
    assert run["state_name"] == "Completed", (records.log(run), by.log.read_text()[-2000:])
    return run


def test_a_finished_stage_is_not_repeated_elsewhere(servers: Production, tmp_path: Path) -> None:
    entry = ENTRY.format(name="digits", images="1_000", seed=0)
    here, there = (make_workspace(tmp_path / name, entry) for name in ("here", "there"))
    records = Records(servers)
    assert "retrain/digits" in gantry(servers, here, "deploy", "--pool", POOL)

    run = retrained(servers, records, here, 1)
    assert [state for state, _ in records.stages(run).values()] == ["Completed"] * 5

    again = retrained(servers, records, there, 2)
    assert records.stages(again)["fetch"] == ("Completed", "the source has nothing new")
    assert [records.stages(again)[stage][0] for stage in STAGES[1:]] == ["Cached"] * 4, records.log(again)
    assert weights(here) == weights(there)
    assert len(records.versions("digits")) == 1
    (training,) = records.training_runs("digits")
    assert training["info"]["status"] == "FINISHED"

    # Nothing that anybody reads holds a secret: files of the workspaces, logs of workers and runs, deployments, MLflow's runs and models.
    said = [*files(tmp_path), records.log(run).encode(), records.log(again).encode()]
    told = (records.prefect("deployments/filter"), records.prefect("automations/filter"), training, records.versions("digits"))
    said += [json.dumps(one).encode() for one in told]
    assert len(said) > 20
    for secret in servers.secrets.values():
        assert not [text[:80] for text in said if secret.encode() in text]
