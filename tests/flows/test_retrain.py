"""The flow on a real Prefect server: states, retries, timeouts, locks, log and page."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import toy_workspace as toy
from command_line import Record, Retrain, called, clean_environment, run, start

from tasks import stages
from tasks.graph import repro, template
from tasks.promotion.decision import LastDecision
from tasks.workspace import STAGES, Workspace

Records = Callable[[Workspace], Record]


def edit(workspace: Workspace, old: str, new: str) -> None:
    """Change params.yaml."""
    path = workspace.root / "params.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_first_run_runs_all_and_leaves_a_page(workspace: Workspace, prefect_server: str, record: Records) -> None:
    png = b"\x89PNG not really"
    grids = workspace.report("digits") / "grids"
    grids.mkdir(parents=True)
    (grids / "generated.png").write_bytes(png)
    toy.behave(workspace, train={"lines": ["train digits: 100 of 200 images"]})

    first = run(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    assert toy.ran(workspace) == list(STAGES)
    assert "train    | 100 of 200 images\n" in first.stdout
    assert "digits: version 1 is the champion (first)\n" in first.stdout
    assert "picture: reports/digits/grids/generated.png\n" in first.stdout
    seen = record(workspace)
    (flow,) = seen.runs()
    assert flow["name"].startswith("digits, ")
    assert flow["state"]["name"] == "Completed"
    assert {stage: state for stage, (state, _) in seen.stages(flow).items()} == dict.fromkeys(STAGES, "Completed")
    assert "train digits: 100 of 200 images" in seen.log(flow)
    (page,) = seen.pages(flow)
    assert f"data:image/png;base64,{base64.b64encode(png).decode()}" in page
    assert "| fid | 12.5 |" in page
    assert "version 1 is the champion (first)" in page


def test_a_run_without_news_only_looks(finished: Workspace, retrain: Retrain, record: Records) -> None:
    state = retrain(finished)
    assert state.is_completed()
    assert state.message is not None
    assert state.message.startswith("digits: nothing has changed; as before, version 1 is the champion")
    assert toy.ran(finished) == ["fetch"]
    seen = record(finished)
    (flow,) = seen.runs()
    states = seen.stages(flow)
    assert states["fetch"] == ("Completed", "the source has nothing new")
    assert [states[stage][0] for stage in STAGES[1:]] == ["Cached"] * 4
    assert states["train"][1] == "unchanged: data/digits/ready, generators.digits.train"
    assert not seen.pages(flow)


def test_an_entry_some_of_whose_stages_have_never_run_is_known_before_dvc_is_asked(workspace: Workspace, finished: Workspace) -> None:
    assert template.has_run("digits", finished.root)
    assert not template.has_run("circle", finished.root)
    assert not template.has_run("digits", workspace.root)
    lock = finished.root / "dvc.lock"
    lock.write_text(lock.read_text().partition("  register@digits:\n")[0])
    assert not template.has_run("digits", finished.root)


def test_a_changed_parameter_runs_its_stage_and_what_follows(finished: Workspace, retrain: Retrain) -> None:
    edit(finished, "images: 200_000", "images: 300_000")
    assert retrain(finished).is_completed()
    # The toy's scores do not depend on the weights, so register has nothing new to decide on.
    assert toy.ran(finished) == ["fetch", "train", "evaluate"]


def test_new_data_runs_what_depends_on_it(finished: Workspace, retrain: Retrain, record: Records) -> None:
    toy.behave(finished, fetch={"source": "more"})
    assert retrain(finished).is_completed()
    seen = record(finished)
    states = seen.stages(seen.runs()[-1])
    assert states["fetch"] == ("Completed", "new data")
    assert states["validate"] == ("Completed", "data/digits/raw modified")
    assert toy.ran(finished) == ["fetch", "validate"]


def test_results_from_dvcs_cache_count_as_cached(finished: Workspace, retrain: Retrain, record: Records) -> None:
    (finished.root / "data/digits/ready/ready.txt").unlink()
    assert retrain(finished).is_completed()
    assert toy.ran(finished) == ["fetch"]
    seen = record(finished)
    state, reason = seen.stages(seen.runs()[-1])["validate"]
    assert state == "Cached"
    assert "DVC's cache" in str(reason)


def test_a_forced_stage_runs_unchanged(finished: Workspace, retrain: Retrain) -> None:
    assert retrain(finished, force=["train"]).is_completed()
    assert toy.ran(finished) == ["fetch", "train"]


def test_a_stage_that_is_none_is_refused(finished: Workspace, retrain: Retrain) -> None:
    state = retrain(finished, force=["trian"])
    assert state.is_failed()
    assert "trian: no such stage" in str(state.message)
    assert toy.ran(finished) == []


def test_bad_data_fails_once_in_the_stages_words(finished: Workspace, prefect_server: str, record: Records) -> None:
    edit(finished, "size: 16", "size: 8")
    toy.behave(finished, validate={"error": "data/x.png: broken", "exit": 3})
    edit(finished, "validate: {}", "validate: {min_samples: 7}")
    failed = run(finished, "run", "digits", PREFECT_API_URL=prefect_server)
    assert failed.returncode == 3
    assert failed.stderr == "error: data/x.png: broken\n"
    assert toy.ran(finished) == ["fetch", "validate"]
    seen = record(finished)
    (flow,) = seen.runs()
    assert flow["state"]["name"] == "Failed"
    states = seen.stages(flow)
    assert states["validate"][0] == "Failed"
    assert "train" not in states


def test_a_crash_is_not_tried_again_and_shows_its_last_lines(workspace: Workspace, retrain: Retrain, record: Records) -> None:
    toy.behave(workspace, fetch={"lines": ["ValueError: a defect"], "exit": 1})
    state = retrain(workspace)
    assert state.is_failed()
    assert "ValueError: a defect" in str(state.message)
    assert toy.ran(workspace) == ["fetch"]
    seen = record(workspace)
    assert seen.tries(seen.runs()[0], "fetch") == 1


def test_what_can_pass_is_tried_again(finished: Workspace, retrain: Retrain, record: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_RETRY_DELAYS", [0.1, 0.1])
    toy.behave(finished, fetch={"error": "no network", "exit": 1, "until": 2})
    assert retrain(finished).is_completed()
    assert toy.ran(finished) == ["fetch", "fetch"]
    seen = record(finished)
    assert seen.tries(seen.runs()[0], "fetch") == 2


def test_what_does_not_pass_fails_in_the_end(workspace: Workspace, retrain: Retrain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_RETRY_DELAYS", [0.1, 0.1])
    toy.behave(workspace, fetch={"error": "no network", "exit": 1})
    state = retrain(workspace)
    assert state.is_failed()
    assert "no network" in str(state.message)
    assert toy.ran(workspace) == ["fetch"] * 3


def test_a_run_is_marked_with_its_workspace_however_it_was_started(finished: Workspace, prefect_server: str, record: Records) -> None:
    code = "from flows.retrain import retrain; retrain('digits')"
    environment = clean_environment(PREFECT_API_URL=prefect_server)
    subprocess.run([sys.executable, "-c", code], cwd=finished.root, env=environment, check=True, capture_output=True)
    assert len(record(finished).runs()) == 1


def test_a_timeout_ends_the_stage(workspace: Workspace, retrain: Retrain) -> None:
    toy.behave(workspace, fetch={"seconds": 100})
    state = retrain(workspace, timeouts={"fetch": 3.0})
    assert state.is_failed()
    assert "fetch@digits: took longer than 3 s" in str(state.message)
    assert (workspace.root / "fetch.saved").exists()
    toy.assert_nothing_left(workspace.root)


def test_training_is_tagged_for_a_gpu_only_where_it_uses_one(monkeypatch: pytest.MonkeyPatch, workspace: Workspace) -> None:
    from tasks.params import load_entry

    entry = load_entry(workspace.root, "digits")
    monkeypatch.setattr(stages, "will_use_cuda", lambda device: True)
    assert stages.stage_task("train", entry).tags == {"gpu"}
    assert not stages.stage_task("evaluate", entry).tags
    monkeypatch.setattr(stages, "will_use_cuda", lambda device: False)
    assert not stages.stage_task("train", entry).tags


@pytest.mark.parametrize(("number", "code", "state"), [(signal.SIGINT, 130, "Cancelled"), (signal.SIGTERM, 143, "Stopped")])
def test_a_stopped_run_saves_says_how_to_go_on_and_goes_on(
    finished: Workspace, prefect_server: str, retrain: Retrain, record: Records, number: signal.Signals, code: int, state: str
) -> None:
    workspace = finished
    edit(workspace, "images: 200_000", "images: 300_000")
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
    assert record(workspace).runs()[0]["state"]["name"] == state
    toy.behave(workspace)
    toy.forget(workspace)
    (workspace.unfinished("digits") / "key").mkdir(parents=True)  # as a training leaves it
    assert retrain(workspace).is_completed()
    assert toy.ran(workspace) == ["fetch", "train", "evaluate"]
    seen = record(workspace)
    reason = seen.stages(seen.runs()[-1])["train"][1]
    assert reason == "generators.digits.train modified; the last training was stopped before its end"
    assert seen.runs()[-1]["name"].endswith(": version 1 first"), "what came of it stands in the list"


def test_results_that_a_stop_has_left_missing_are_no_reason(finished: Workspace, retrain: Retrain, record: Records) -> None:
    (finished.unfinished("digits") / "key").mkdir(parents=True)
    shutil.rmtree(finished.model("digits"))
    assert retrain(finished, force=["train"]).is_completed()
    seen = record(finished)
    assert seen.stages(seen.runs()[-1])["train"] == ("Completed", "it was stopped before its end, and goes on from there")


def test_a_killed_run_leaves_nothing_and_the_next_one_sets_the_record_right(
    finished: Workspace, prefect_server: str, retrain: Retrain, record: Records
) -> None:
    workspace, seen = finished, record(finished)
    edit(workspace, "images: 200_000", "images: 300_000")
    toy.behave(workspace, train={"seconds": 100})
    going = start(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    toy.wait_for(workspace, "train")
    going.kill()
    going.communicate()
    toy.assert_nothing_left(workspace.root)
    assert seen.runs()[0]["state"]["name"] == "Running"
    toy.behave(workspace)
    assert retrain(workspace).is_completed()
    killed, good = seen.runs()
    assert killed["state"]["name"] == "Crashed"
    assert "killed" in killed["state"]["message"]
    assert seen.stages(killed)["train"][0] == "Crashed"
    assert good["state"]["name"] == "Completed"


def test_what_replaces_a_pause_is_still_the_flows_own_last_word(prefect_server: str) -> None:
    from prefect import flow, settings
    from prefect.states import Cancelled

    from flows.runs import Pause

    with settings.temporary_settings({settings.PREFECT_API_URL: prefect_server}):
        state = flow(lambda: Pause().replace(Cancelled(message="stopped in train")), name="paused")(return_state=True)
    assert (state.name, state.message) == ("Cancelled", "stopped in train")


def test_a_second_run_of_the_same_generator_is_skipped_without_alarm(
    workspace: Workspace, prefect_server: str, retrain: Retrain, record: Records
) -> None:
    toy.behave(workspace, fetch={"seconds": 100})
    first = start(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    toy.wait_for(workspace, "fetch")
    second = retrain(workspace)
    assert (second.type.value, second.name) == ("CANCELLED", "Skipped")
    said = f"digits is being retrained by process {first.pid} since"
    assert str(second.message).startswith(said)
    seen = record(workspace)
    assert "Traceback" not in "".join(seen.log(seen.runs()[-1]))
    by_hand = run(workspace, "run", "digits", PREFECT_API_URL=prefect_server)
    assert by_hand.returncode == 7
    assert by_hand.stderr.startswith(f"error: {said}")
    first.send_signal(signal.SIGINT)
    first.communicate()
    toy.assert_nothing_left(workspace.root)


def test_a_run_beside_dvc_repro_is_refused(workspace: Workspace, retrain: Retrain) -> None:
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
    refused = retrain(workspace)
    assert (refused.type.value, refused.name) == ("CANCELLED", "Skipped")
    assert f"data/digits/raw is being worked on by process {dvc.pid} " in str(refused.message)
    dvc.terminate()
    dvc.wait()
    toy.assert_nothing_left(workspace.root)


def test_two_generators_with_a_server_each_on_one_database(workspace: Workspace) -> None:
    both = [start(workspace, "run", name) for name in ("digits", "circle")]
    for going in both:
        _, err = going.communicate(timeout=180)
        assert going.returncode == 0, err
        assert err == ""
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
    refused = called(workspace, *arguments)
    assert refused.returncode == code
    assert said in refused.stderr
    assert refused.stderr.startswith("error: ")
    assert "Traceback" not in refused.stderr
    assert not (workspace.private / "prefect").exists()


def test_a_registry_out_of_reach_ends_the_run_before_any_stage(workspace: Workspace) -> None:
    refused = called(workspace, "run", "digits", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert refused.returncode == 5
    assert "http://127.0.0.1:9" in refused.stderr
    assert toy.ran(workspace) == []
    assert not (workspace.private / "prefect").exists()


def test_a_decision_that_cannot_be_read_is_no_decision(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    path = workspace.report("digits") / "decision.json"
    path.parent.mkdir(parents=True)
    for text in ("", "[]", "{}", json.dumps({"outcome": "first"})):
        path.write_text(text)
        assert LastDecision.read(workspace, "digits") is None
