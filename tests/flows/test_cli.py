"""The command line: help, exit codes, and that errors are words."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import toy_workspace as toy
from command_line import called, clean_environment, run

from flows import doctor
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.points import Points
from gan_core.networks import build_generator
from gan_core.params.networks import MlpGeneratorParams
from tasks.records import tracking
from tasks.records.registry import Registry
from tasks.workspace import STAGES, Workspace

COMMANDS = (
    "init",
    "add",
    "run",
    "list",
    "sample",
    "promote",
    "rollback",
    "schedule",
    "doctor",
    "explain",
    "sweep",
    "clean",
    "export",
    "studio",
    "watch",
    "project",
    "registry copy",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, tmp_path: Path) -> None:
    shown = called(Workspace(tmp_path), *command.split(), "--help")
    assert shown.returncode == 0
    assert f"gantry {command}" in shown.stdout
    assert "Example" in shown.stdout


def test_help_loads_nothing_heavy_and_tells_each_command_in_a_line_of_a_narrow_terminal() -> None:
    code = (
        "import sys; from flows.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'mlflow', 'prefect', 'dvc', 'pandas', 'pydantic', 'numpy', 'rich.table'} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**clean_environment(), "COLUMNS": "80"}
    ).stdout
    assert out.splitlines()[-1] == "[]"
    assert all(f"  {command.split()[0]} " in out for command in COMMANDS)
    assert "..." not in out.partition("Commands:")[2]


def test_a_metric_is_explained_with_range_direction_and_paper(tmp_path: Path) -> None:
    here = Workspace(tmp_path)
    said = called(here, "explain", "kid").stdout
    assert said.startswith("kid: kernel distance between the features")
    assert "range:  about 0 upwards" in said
    assert "better: lower\npaper:  Binkowski et al., 2018, arXiv:1801.01401\n" in said
    assert {"fid", "diversity"} <= set(json.loads(called(here, "explain", "--json").stdout))
    wrong = called(here, "explain", "recal")
    assert (wrong.returncode, wrong.stderr) == (2, "error: 'recal' is no metric; did you mean recall?\n")


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    from importlib.metadata import version

    assert run(Workspace(tmp_path), "--version").stdout == f"gantry {version('gantry-gan')}\n"


def test_init_and_add_say_what_comes_next(tmp_path: Path) -> None:
    made = called(Workspace(tmp_path), "init", "w")
    assert made.returncode == 0
    assert "gantry run digits" in made.stdout
    added = called(Workspace(tmp_path / "w"), "add", "mnist")
    assert added.stdout == "added mnist to params.yaml; next: gantry run mnist\n"
    again = called(Workspace(tmp_path / "w"), "add", "clothing", "mnist", "emoji")
    assert again.returncode == 2
    assert again.stdout == "added clothing to params.yaml; next: gantry run clothing\n"
    assert again.stderr.startswith("error: ")
    assert "'mnist' already" in again.stderr
    assert "emoji" not in (tmp_path / "w" / "params.yaml").read_text()


@pytest.mark.parametrize("arguments", [("list",), ("run", "digits"), ("schedule",), ("add", "mnist")])
def test_outside_of_a_workspace_a_command_says_how_to_make_one(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    refused = called(Workspace(tmp_path), *arguments)
    assert refused.returncode == 2
    assert refused.stderr == f"error: {tmp_path}/params.yaml: not there; run in a workspace, or make one with `gantry init DIR`\n"
    assert not list(tmp_path.iterdir())


def test_the_list_shows_each_generator_and_what_it_would_do(finished: Workspace) -> None:
    path = finished.root / "params.yaml"
    path.write_text(
        path.read_text().replace("images: 200_000", "images: 300_000", 1).replace("  circle:", '    schedule: "0 3 * * *"\n  circle:')
    )
    listed = called(finished, "list", "--json")
    assert listed.returncode == 0, listed.stderr
    digits, circle = json.loads(listed.stdout)
    assert digits["name"] == "digits"
    assert digits["decision"] == "first (version 1)"
    assert digits["schedule"] == "0 3 * * *"
    assert digits["state"] == "train has to run"
    assert (circle["state"], circle["champion"], circle["score"]) == ("never run", None, None)
    shown = called(finished, "list")
    assert [line.split()[0] for line in shown.stdout.splitlines()] == ["generator", "digits", "circle"]
    assert not (finished.root / "mlflow.db").exists(), "looking must not create a registry"


def test_the_list_says_where_the_newest_picture_of_a_training_lies(finished: Workspace) -> None:
    former, latest = (finished.unfinished("digits") / key / "try-0" for key in ("0123", "abcd"))
    for folder, numbers in ((former, (9_000_000,)), (latest, (999_936, 64))):
        (folder / "samples").mkdir(parents=True)
        for number in numbers:
            (folder / "samples" / f"{number:09d}.png").write_bytes(b"")
        (folder / "run.json").write_text("{}")
    os.utime(former / "run.json", (1, 1))  # of other parameters
    newest = f".gantry/unfinished/digits/abcd/try-0/samples/{999_936:09d}.png"
    digits, circle = json.loads(called(finished, "list", "--json").stdout)
    assert (digits["picture"], circle["picture"]) == (newest, None)
    assert called(finished, "list").stdout.splitlines()[-1] == f"digits draws so far: {newest}"


@pytest.mark.parametrize(
    ("outcome", "code", "role"),
    [("first", 0, "champion"), ("kept: inconclusive", 20, "challenger"), ("vetoed: copies 1 is not <= 0.05", 21, "challenger")],
)
def test_a_program_is_told_of_the_decision(finished: Workspace, prefect_server: str, outcome: str, code: int, role: str) -> None:
    toy.behave(finished, register={"outcome": outcome})
    done = run(finished, "run", "digits", "--force", "register", "--json", "--exit-code", PREFECT_API_URL=prefect_server)
    assert done.returncode == code, done.stderr
    told = json.loads(done.stdout)
    assert (told["name"], told["outcome"], told["version"]) == ("digits", outcome, 1)
    assert told["in_words"].startswith(f"version 1 is the {role} ({outcome})")
    assert "register" in done.stderr, "people who watch see what goes on"


def test_a_shell_completes_the_names_of_entries(finished: Workspace) -> None:
    asked = clean_environment(_GANTRY_COMPLETE="complete_bash", COMP_WORDS="gantry run di", COMP_CWORD="2")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("gantry"))], cwd=finished.root, env=asked, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["digits"]


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose registry has two versions of `digits`, and no champion."""
    workspace = toy.make(tmp_path_factory.mktemp("registered") / "w")
    data, params = Points((2,), mean=(0.0, 0.0), std=(1.0, 1.0)), MlpGeneratorParams(widths=(4,))
    generator = Generator(GeneratorConfig("gan", data, 2, params, 640, 0, "d" * 64), build_generator(params, data, 2))
    generator.save(workspace.root / "generator")
    with tracking.run(workspace, "digits") as opened:
        for _ in range(2):
            Registry.open(workspace).add(
                "digits", opened.id, workspace.root / "generator", {"generator_sha256": generator.config.sha256}, ""
            )
    return workspace


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("sample digits/", ["digits/1", "digits/2"]),
        ("promote digits ", ["1", "2"]),
        ("explain divers", ["diversity", "diversity_within_labels"]),
    ],
)
def test_a_shell_completes_versions_and_metrics(registered: Workspace, typed: str, found: list[str]) -> None:
    words = clean_environment(_GANTRY_COMPLETE="complete_bash", COMP_WORDS=f"gantry {typed}", COMP_CWORD=str(typed.count(" ") + 1))
    gantry = str(Path(sys.executable).with_name("gantry"))
    done = subprocess.run([gantry], cwd=registered.root, env=words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == found


def test_promote_and_rollback_tell_a_program_what_they_did(registered: Workspace) -> None:
    commands = (["promote", "digits", "1"], ["promote", "digits", "2"], ["rollback", "digits"])
    told = [json.loads(called(registered, *command, "--json").stdout) for command in commands]
    assert [(one["name"], one["champion"], one["before"]) for one in told] == [("digits", 1, None), ("digits", 2, 1), ("digits", 1, 2)]
    assert told[2]["in_words"].startswith("digits: version 1 is the champion again")


def test_exit_codes_are_for_one_generator(finished: Workspace) -> None:
    refused = called(finished, "run", "--all", "--exit-code")
    assert (refused.returncode, "name one generator" in refused.stderr) == (2, True)


@pytest.mark.parametrize(("columns", "lines"), [(80, 6), (200, 3)])
def test_on_a_narrow_terminal_each_generator_is_a_block(finished: Workspace, columns: int, lines: int) -> None:
    path = finished.root / "params.yaml"
    times = '    schedule: "0 3 * * MON-FRI"\n    timezone: America/Argentina/Buenos_Aires\n'
    path.write_text(path.read_text().replace("  circle:", f"{times}  circle:"))
    shown = on_a_terminal(finished, columns, "list").splitlines()
    assert [line for line in shown if "0 3 * * MON-FRI America/Argentina/Buenos_Aires" in line] != []
    assert all(len(line.rstrip()) <= columns for line in shown)
    assert len([line for line in shown if line.strip()]) == lines


def on_a_terminal(workspace: Workspace, columns: int, *arguments: str) -> str:
    """What `gantry ARGUMENTS` shows on a terminal of so many columns."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "flows.cli", *arguments]
    # Its size is what the terminal says, not what a terminal around the tests does.
    environment = {key: value for key, value in clean_environment(TERM="xterm").items() if key not in ("COLUMNS", "LINES")}
    child = subprocess.Popen(command, cwd=workspace.root, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    with suppress(OSError):  # Linux tells the end of a terminal so
        while part := os.read(ours, 4096):
            said += part
    os.close(ours)
    assert child.wait() == 0
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.decode()).replace("\r", "")


def test_the_list_with_a_registry_out_of_reach_names_it(finished: Workspace) -> None:
    refused = called(finished, "list", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert refused.returncode == 5
    assert "http://127.0.0.1:9" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("sample",), 2, "one of the two"),
        (("sample", "digits", "--from", "models/digits"), 2, "one of the two"),
        (("sample", "digits"), 2, "no registry yet"),
        (("sample", "--from", "models/none"), 2, "models/none"),
        (("export", "--format", "onnx", "--out", "g.onnx"), 2, "one of the two"),
        (("export", "digits", "--format", "onnx", "--out", "g.bin"), 2, "ends with .onnx"),
        (("export", "digits", "--format", "torchscript", "--out", "g.pt"), 2, "torch-export"),
        (("export", "digits", "--format", "onnx", "--out", "g.onnx", "--push", "me/digits"), 2, "Use --format huggingface"),
        (("export", "digits", "--format", "folder", "--out", "g", "--public"), 2, "what --push makes"),
        (("sample", "digits", "--count", "many"), 2, "--count"),
        (("promote", "digits", "0"), 2, "VERSION"),
        (("rollback",), 2, "NAME"),
        (("dance",), 2, "dance"),
    ],
)
def test_wrong_arguments_are_words(finished: Workspace, arguments: tuple[str, ...], code: int, said: str) -> None:
    refused = called(finished, *arguments)
    assert (refused.returncode, said in refused.stderr) == (code, True), refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_doctor_finds_a_good_workspace_good(tmp_path: Path) -> None:
    from tasks.scaffold import init_workspace

    workspace = init_workspace(tmp_path / "w")
    looked = called(workspace, "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(looked.stdout)}
    looked_at = {"packages", "device", "pictures", "disk", "workspace", "stages", "registry", "champions", "prefect", "trainings"}
    assert set(checks) == looked_at
    assert {name for name, check in checks.items() if check["state"] == "broken"} == set()
    assert looked.returncode == 0
    assert checks["stages"]["text"] == "12 have to run"
    assert "dvc.yaml as shipped" in checks["workspace"]["text"]
    assert "AVIF" in checks["pictures"]["text"]


def test_the_doctor_names_what_is_broken(finished: Workspace) -> None:
    path = finished.root / "params.yaml"
    path.write_text(path.read_text().replace("recipe: gan", "recipe: gun", 1))
    looked = called(finished, "doctor", MLFLOW_TRACKING_URI="http://127.0.0.1:9", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert looked.returncode == 1
    lines = {line.split()[1]: line for line in looked.stdout.splitlines() if line.split()[0] in ("ok", "note", "broken")}
    assert {name for name, line in lines.items() if line.startswith("broken")} >= {"workspace", "registry", "prefect"}
    assert "generators.digits.train.recipe" in lines["workspace"]
    assert "http://127.0.0.1:9" in lines["registry"]
    assert "Traceback" not in looked.stderr


def test_the_doctor_sees_what_kills_have_left(finished: Workspace) -> None:
    unfinished = finished.unfinished("digits") / "0123456789abcdef"
    unfinished.mkdir(parents=True)
    (check,) = doctor._leftovers(finished)
    assert check.state == "note"
    assert "`gantry run digits` goes on" in check.text
    (check,) = doctor._workspace(finished)
    assert check.state == "note"
    assert "dvc.yaml is not the one" in check.text


def test_the_doctor_tells_a_missing_and_a_wrong_package(finished: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: ["no-such-package>=1", "typer>=99", 'winonly; sys_platform == "win32"'])
    (check,) = doctor._packages(finished)
    assert check.state == "broken"
    assert "no-such-package is missing" in check.text
    assert "typer" in check.text
    assert "winonly" not in check.text


def test_a_run_in_a_pipe_is_plain_lines(workspace: Workspace, prefect_server: str) -> None:
    toy.behave(workspace, train={"lines": ["[bold]not markup[/bold] :smile:", "train digits: " + "long " * 60]})
    out = run(workspace, "run", "digits", PREFECT_API_URL=prefect_server).stdout
    assert "\x1b" not in out
    assert "train    | [bold]not markup[/bold] :smile:\n" in out
    assert "train    | " + "long " * 60 + "\n" in out
    ends = [line for line in out.splitlines() if " ran (" in line]
    assert [line.split()[0] for line in ends] == list(STAGES)
