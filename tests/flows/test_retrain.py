"""The flow on a real Prefect server: states, retries, timeouts, locks, log and page."""

from __future__ import annotations

import base64
import json
import signal
from pathlib import Path

import pytest
import toy_workspace as toy
from command_line import Record, run, start

from tasks.workspace import STAGES, Workspace


@pytest.fixture
def record(prefect_server: str, workspace: Workspace) -> Record:
    return Record(prefect_server, workspace)


def test_a_first_run_runs_all_and_a_second_only_looks(workspace: Workspace, prefect_server: str, record: Record) -> None:
    png = b"\x89PNG not really"
    grids = workspace.report("digits") / "grids"
    grids.mkdir(parents=True)
    (grids / "generated.png").write_bytes(png)
    toy.behave(workspace, train={"lines": ["train digits: 100 of 200 images"]})

    first = run(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    assert first.returncode == 0, first.stderr
    assert toy.ran(workspace) == list(STAGES)
    assert "train    | 100 of 200 images" in first.stdout
    assert "digits: version 1 is the champion (first)" in first.stdout
    assert "picture: reports/digits/grids/generated.png" in first.stdout
    (flow,) = record.runs()
    assert flow["name"].startswith("digits, ")
    assert flow["state"]["name"] == "Completed"
    assert {stage: state for stage, (state, _) in record.stages(flow).items()} == dict.fromkeys(STAGES, "Completed")
    assert "train digits: 100 of 200 images" in record.log(flow)
    (page,) = record.pages(flow)
    assert f"data:image/png;base64,{base64.b64encode(png).decode()}" in page
    assert "| fid | 12.5 |" in page
    assert "version 1 is the champion (first)" in page

    toy.forget(workspace)
    second = run(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    assert second.returncode == 0, second.stderr
    assert toy.ran(workspace) == ["fetch"]
    assert "nothing has changed" in second.stdout
    flow = record.runs()[-1]
    states = record.stages(flow)
    assert states["fetch"] == ("Completed", "the source has nothing new")
    assert [states[stage][0] for stage in STAGES[1:]] == ["Cached"] * 4
    assert states["train"][1] == "unchanged: data/digits/ready, generators.digits.train"
    assert not record.pages(flow)

    toy.forget(workspace)
    params = workspace.root / "params.yaml"
    params.write_text(params.read_text().replace("images: 200_000", "images: 300_000", 1))
    third = run(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    assert third.returncode == 0, third.stderr
    # The toy's scores do not depend on the weights, so register has nothing new to decide on.
    assert toy.ran(workspace) == ["fetch", "train", "evaluate"]


def test_new_data_runs_what_depends_on_it(workspace: Workspace, prefect_server: str, record: Record) -> None:
    run(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    toy.forget(workspace)
    toy.behave(workspace, fetch={"source": "more"})
    assert run(workspace, "run", "digits", PREFECT_API_URL=prefect_server).returncode == 0
    states = record.stages(record.runs()[-1])
    assert states["fetch"] == ("Completed", "new data")
    assert states["validate"] == ("Completed", "data/digits/raw modified")
    assert toy.ran(workspace) == ["fetch", "validate"]


def test_a_forced_stage_runs_unchanged(workspace: Workspace, prefect_server: str) -> None:
    run(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    toy.forget(workspace)
    assert run(workspace, "run", "digits", "--force", "train", PREFECT_API_URL=prefect_server).returncode == 0
    assert toy.ran(workspace) == ["fetch", "train"]
    wrong = run(workspace, "run", "digits", "--force", "trian", PREFECT_API_URL=prefect_server)
    assert wrong.returncode == 2
    assert "trian: no such stage" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_bad_data_fails_once_in_the_stages_words(workspace: Workspace, prefect_server: str, record: Record) -> None:
    toy.behave(workspace, validate={"error": "data/x.png: broken", "exit": 3})
    failed = run(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    assert failed.returncode == 3
    assert failed.stderr == "error: data/x.png: broken\n"
    assert toy.ran(workspace) == ["fetch", "validate"]
    (flow,) = record.runs()
    assert flow["state"]["name"] == "Failed"
    states = record.stages(flow)
    assert states["validate"][0] == "Failed"
    assert "train" not in states


def test_a_crash_is_not_retried_and_shows_its_last_lines(workspace: Workspace, prefect_server: str, record: Record) -> None:
    toy.behave(workspace, fetch={"lines": ["ValueError: a defect"], "exit": 1})
    failed = run(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    assert failed.returncode == 1
    assert "ValueError: a defect" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert toy.ran(workspace) == ["fetch"]
    assert record.tries(record.runs()[0], "fetch") == 1


@pytest.mark.slow
def test_what_can_pass_is_tried_again(workspace: Workspace, prefect_server: str, record: Record) -> None:
    toy.behave(workspace, fetch={"error": "no network", "exit": 1, "until": 2})
    passed = run(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    assert passed.returncode == 0, passed.stderr
    assert toy.ran(workspace)[:2] == ["fetch", "fetch"]
    assert record.tries(record.runs()[0], "fetch") == 2


def test_a_timeout_kills_the_stage(workspace: Workspace, prefect_server: str, record: Record) -> None:
    toy.behave(workspace, fetch={"seconds": 100})
    failed = run(workspace, "run", "digits", "--timeout", "fetch=3", PREFECT_API_URL=prefect_server)
    assert failed.returncode == 1
    assert "fetch@digits: took longer than 3 s" in failed.stderr
    assert (workspace.root / "fetch.saved").exists()
    toy.assert_nothing_left(workspace.root)
    assert record.runs()[0]["state"]["name"] == "Failed"


@pytest.mark.parametrize(("number", "code", "state"), [(signal.SIGINT, 130, "Cancelled"), (signal.SIGTERM, 143, "Crashed")])
def test_a_stopped_run_saves_says_how_to_go_on_and_goes_on(
    workspace: Workspace, prefect_server: str, record: Record, number: signal.Signals, code: int, state: str
) -> None:
    toy.behave(workspace, train={"seconds": 100})
    going = start(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    toy.wait_for(workspace, "train")
    going.send_signal(number)
    out, err = going.communicate(timeout=60)
    assert going.returncode == code
    assert (workspace.root / "train.saved").exists()
    assert "note: stopped, the state is saved" in out
    if number == signal.SIGINT:
        assert "`gantry run digits` goes on from there" in err
    assert "Traceback" not in err
    toy.assert_nothing_left(workspace.root)
    assert record.runs()[0]["state"]["name"] == state
    toy.behave(workspace)
    toy.forget(workspace)
    assert run(workspace, "run", "digits", PREFECT_API_URL=prefect_server).returncode == 0
    assert toy.ran(workspace) == ["fetch", "train", "evaluate", "register"]


def test_a_killed_run_leaves_nothing_and_the_next_one_sets_the_record_right(
    workspace: Workspace, prefect_server: str, record: Record
) -> None:
    toy.behave(workspace, train={"seconds": 100})
    going = start(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    toy.wait_for(workspace, "train")
    going.kill()
    going.communicate()
    toy.assert_nothing_left(workspace.root)
    assert record.runs()[0]["state"]["name"] == "Running"
    toy.behave(workspace)
    assert run(workspace, "run", "digits", PREFECT_API_URL=prefect_server).returncode == 0
    killed, good = record.runs()
    assert killed["state"]["name"] == "Crashed"
    assert "killed" in killed["state"]["message"]
    assert record.stages(killed)["train"][0] == "Crashed"
    assert good["state"]["name"] == "Completed"


def test_a_second_run_of_the_same_generator_is_refused(workspace: Workspace, prefect_server: str) -> None:
    toy.behave(workspace, fetch={"seconds": 100})
    first = start(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    toy.wait_for(workspace, "fetch")
    second = run(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    assert second.returncode == 1
    assert f"digits is being retrained by process {first.pid} since" in second.stderr
    first.send_signal(signal.SIGINT)
    first.communicate()
    toy.assert_nothing_left(workspace.root)


def test_a_run_beside_dvc_repro_is_refused(workspace: Workspace, prefect_server: str) -> None:
    import subprocess
    import sys

    from tasks import repro

    toy.behave(workspace, fetch={"seconds": 100})
    repro.prepare(workspace)
    dvc = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "fetch@digits"],
        cwd=workspace.root,
        env=repro.environment(workspace),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    toy.wait_for(workspace, "fetch")
    refused = run(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    assert refused.returncode == 1
    assert f"fetch@digits is being run by process {dvc.pid}" in refused.stderr
    dvc.terminate()
    dvc.wait()
    toy.assert_nothing_left(workspace.root)


@pytest.mark.parametrize("name", ["digits", "circle"])
def test_without_a_server_a_run_brings_its_own_and_leaves_nothing(workspace: Workspace, name: str) -> None:
    passed = run(workspace, "run", name)
    assert passed.returncode == 0, passed.stderr
    assert passed.stderr == ""
    assert toy.ran(workspace) == list(STAGES)
    toy.assert_nothing_left(workspace.root)


def test_two_generators_with_a_server_each_on_one_database(workspace: Workspace) -> None:
    toy.behave(workspace, train={"seconds": 2})
    both = [start(workspace, "run", name) for name in ("digits", "circle")]
    for going in both:
        _, err = going.communicate(timeout=180)
        assert going.returncode == 0, err
    assert sorted(toy.ran(workspace)) == sorted([*STAGES, *STAGES])
    toy.assert_nothing_left(workspace.root)


def test_a_killed_run_takes_its_own_server_along(workspace: Workspace) -> None:
    toy.behave(workspace, fetch={"seconds": 100})
    going = start(workspace, "run", "digits")
    toy.wait_for(workspace, "fetch")
    assert any("flows.server" in command for command in toy.processes_in(workspace.root).values())
    going.kill()
    going.communicate()
    toy.assert_nothing_left(workspace.root)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "digts"), 2, "no generator 'digts'; did you mean digits?"),
        (("run", "digits", "--timeout", "train"), 2, "write it as STAGE=SECONDS"),
        (("run", "digits", "--timeout", "train=-1"), 2, "above 0"),
    ],
)
def test_bad_arguments_end_before_anything_starts(workspace: Workspace, arguments: tuple[str, ...], code: int, said: str) -> None:
    refused = run(workspace, *arguments)
    assert refused.returncode == code
    assert said in refused.stderr
    assert refused.stderr.startswith("error: ")
    assert "Traceback" not in refused.stderr
    assert not (workspace.private / "prefect").exists()


def test_a_registry_out_of_reach_ends_the_run_before_any_stage(workspace: Workspace) -> None:
    refused = run(workspace, "run", "digits", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert refused.returncode == 5
    assert "http://127.0.0.1:9" in refused.stderr
    assert toy.ran(workspace) == []
    assert not (workspace.private / "prefect").exists()


def test_a_decision_that_cannot_be_read_is_no_decision(tmp_path: Path) -> None:
    from tasks.decision import LastDecision

    workspace = Workspace(tmp_path)
    path = workspace.report("digits") / "decision.json"
    path.parent.mkdir(parents=True)
    for text in ("", "[]", "{}", json.dumps({"outcome": "first"})):
        path.write_text(text)
        assert LastDecision.read(workspace, "digits") is None
