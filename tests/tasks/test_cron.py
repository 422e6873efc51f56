"""Cron expressions and time zones, checked by what runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import tzlocal

from gan_core.errors import ConfigError
from tasks import cron


@pytest.mark.parametrize(
    "expression",
    ["0 3 * * *", "@daily", "@Weekly", "*/15 * * * *", "0 3 L * *", "0 3 * * L5", "0 3 * * 5#2", "0 3 * * MON-FRI",
     "0 3 1,15 * MON", "0 3 ? * MON"],
)  # fmt: skip
def test_what_prefect_runs_is_accepted(expression: str) -> None:
    cron.check(expression)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("0 0 3 * * *", r"has 6 fields, and Prefect takes the sixth for seconds; .* five: minute, hour, .*; write \"0 3 \* \* \*\""),
        ("0 3 * * * * 2027", "has 7 fields; a cron expression has five"),
        ("0 3 * * 5L", "has the last such day of a month as 5L, and Prefect as L5; write that"),
        ("0 3 * * friL", "and Prefect as Lfri"),
        ("0 3 */2 * MON", "cron runs it on the days of both, Prefect on those of either; .* 1-31/2"),
        ("0 3 1 * */2", "cron runs it on the days of both"),
        ("0 3 30 2 *", "is never due: there is no such day"),
        ("0 3 31 2,4 *", "is never due"),
        ("@reboot", "is none of @hourly, @daily"),
        ("@every 5m", "is none of @hourly, @daily"),
        ("H 3 * * *", "leaves a time to chance"),
        ("R(0-5) 3 * * *", "leaves a time to chance"),
        ("61 3 * * *", "is no cron expression that Prefect runs \\(is not acceptable, out of range"),
        ("0 3 15W * *", "is no cron expression that Prefect runs"),
        ("every night", "has 2 fields"),
        ("", "has 0 fields"),
    ],
)
def test_others_are_refused_with_what_to_write(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        cron.check(expression)
    assert "\n" not in str(raised.value)


def test_it_is_the_very_code_that_prefect_runs_and_importing_it_brings_no_prefect() -> None:
    code = (
        "import inspect, sys\nfrom tasks import cron\nalone = cron._croniter()\nassert 'prefect' not in sys.modules\n"
        "from prefect.server.schemas import schedules\n"
        "assert inspect.getsourcefile(alone) == inspect.getsourcefile(schedules.croniter)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_time_zone_is_checked_by_name() -> None:
    cron.check_zone("Europe/Berlin")
    with pytest.raises(ValueError, match="'Europe/Berlim' is no time zone; did you mean Europe/Berlin"):
        cron.check_zone("Europe/Berlim")
    with pytest.raises(ValueError, match="write it as Europe/Berlin or UTC"):
        cron.check_zone("+02:00")


@pytest.mark.parametrize(("named", "zone"), [("Europe/Berlin", "Europe/Berlin"), (":America/New_York", "America/New_York"), ("UTC", "UTC")])
def test_the_environment_names_the_zone(named: str, zone: str) -> None:
    code = "from tasks import cron; print(cron.local_zone())"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "TZ": named}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [zone]


def test_a_zone_of_no_known_name_in_the_environment_is_not_taken_for_utc() -> None:
    code = "from tasks import cron; cron.local_zone()"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "TZ": "nowhere/at-all"}, capture_output=True, text=True)
    assert "ConfigError: this machine's time zone is not known (" in done.stderr
    assert "nowhere/at-all" in done.stderr
    assert "`timezone: Europe/Berlin` beside the entry's schedule" in done.stderr


class TestLocaltime:
    """/etc/localtime as tzlocal itself reads it, below another root."""

    @pytest.fixture
    def etc(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        from tzlocal import unix

        monkeypatch.delenv("TZ", raising=False)
        monkeypatch.setattr(tzlocal, "get_localzone", partial(unix._get_localzone, str(tmp_path)))
        (tmp_path / "etc").mkdir()
        return tmp_path / "etc"

    @pytest.fixture
    def berlin(self) -> Path:
        from importlib.resources import files

        return Path(str(files("tzdata"))) / "zoneinfo" / "Europe" / "Berlin"

    def test_a_link_names_the_zone(self, etc: Path, berlin: Path) -> None:
        (etc / "localtime").symlink_to(berlin)
        assert cron.local_zone() == "Europe/Berlin"

    def test_a_regular_file_is_not_taken_for_utc(self, etc: Path, berlin: Path) -> None:
        shutil.copy(berlin, etc / "localtime")
        with pytest.raises(ConfigError, match=r"has no name \(/etc/localtime is a file.*TZ=Europe/Berlin"):
            cron.local_zone()

    def test_a_regular_file_beside_a_name_will_do(self, etc: Path, berlin: Path) -> None:
        shutil.copy(berlin, etc / "localtime")
        (etc / "timezone").write_text("Europe/Berlin\n")
        assert cron.local_zone() == "Europe/Berlin"
