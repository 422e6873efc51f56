"""When an entry is due: its cron expression and its time zone, checked by what executes them.

Prefect computes the times, by the croniter that comes inside it. That module is loaded here from its file, since importing Prefect takes
longer than many a command that only reads params.yaml.
"""

from __future__ import annotations

import difflib
import re
import sys
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from itertools import islice
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfoNotFoundError, available_timezones

from gan_core.errors import ConfigError

_NIGHTLY = 'write "0 3 * * *" for every night at three'
_RANDOM = re.compile(r"[rh](\(|/|$)", re.IGNORECASE)
_LAST = re.compile(r"([0-7]|mon|tue|wed|thu|fri|sat|sun)l", re.IGNORECASE)
_EVERY_DAY = ("*", "?")
_COUNTED = 400  # times, from which on their pace is enough to tell a year's
_NICKNAMES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")


@dataclass(frozen=True)
class Times:
    """When an entry is due."""

    cron: str
    timezone: str

    @classmethod
    def of(cls, schedule: str, timezone: str | None) -> Self:
        """Those of an entry's `schedule` and `timezone`.

        Raises:
            ConfigError: the time zone is left to the machine, and it has none of a known name.
        """
        return cls(schedule, timezone or local_zone())

    def __str__(self) -> str:
        return f"{self.cron} {self.timezone}"


def check(expression: str) -> None:
    """See that Prefect runs a cron expression, and at the times that a person reads in it.

    Raises:
        ValueError: it does not, or never would; with what to write instead.
    """
    shown = repr(expression[:80])
    if not expression.startswith("@"):
        _check_fields(shown, expression.split())
    elif expression.lower() not in _NICKNAMES:
        raise ValueError(f"{shown} is none of {', '.join(_NICKNAMES)}; or {_NIGHTLY}")
    croniter = _croniter()
    try:
        croniter.expand(expression)
    except Exception as error:  # of many kinds; whatever croniter does not read, Prefect does not run
        reason = " ".join(str(error).split()).removeprefix(f"[{expression.lower()}] ")
        raise ValueError(f"{shown} is no cron expression that Prefect runs ({reason[:80]}); {_NIGHTLY}") from None
    try:
        croniter(expression, datetime.now()).get_next(datetime)
    except Exception:
        raise ValueError(f"{shown} is never due: there is no such day; {_NIGHTLY}") from None


def times_a_year(expression: str) -> float:
    """How often an expression that `check` has passed is due in a year."""
    start = datetime(2001, 1, 1)
    times = list(islice(_croniter()(expression, start).all_next(datetime), _COUNTED))
    within = [time for time in times if time < start.replace(year=2002)]
    return float(len(within)) if len(within) < len(times) else _COUNTED * 365 / ((times[-1] - start).total_seconds() / 86_400)


def _check_fields(shown: str, fields: list[str]) -> None:
    """Refuse what Prefect reads otherwise than cron, or otherwise each time."""
    if len(fields) != 5:
        sixth = ", and Prefect takes the sixth for seconds" if len(fields) == 6 else ""
        order = "minute, hour, day of the month, month, day of the week"
        raise ValueError(f"{shown} has {len(fields)} fields{sixth}; a cron expression has five: {order}; {_NIGHTLY}")
    if any(_RANDOM.match(field) for field in fields):
        raise ValueError(f"{shown} leaves a time to chance (R, H), and Prefect keeps to none that was drawn; {_NIGHTLY}")
    month_day, week_day = fields[2], fields[4]
    if _LAST.fullmatch(week_day):
        raise ValueError(f"{shown} has the last such day of a month as {week_day}, and Prefect as L{week_day[:-1]}; write that")
    if month_day in _EVERY_DAY or week_day in _EVERY_DAY:
        return
    if month_day.startswith("*") or week_day.startswith("*"):
        raise ValueError(
            f"{shown} has a day of the month and a day of the week: cron runs it on the days of both, Prefect on those of either; "
            "leave one of them *, or, where either is meant, write the star as a range, such as 1-31/2"
        )


def local_zone() -> str:
    """The machine's time zone by its IANA name.

    Raises:
        ConfigError: it has none, or TZ names none.
    """
    import tzlocal

    remedy = "name one: TZ=Europe/Berlin in the environment, or `timezone: Europe/Berlin` beside the entry's schedule"
    try:
        zone = getattr(tzlocal.get_localzone(), "key", "")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"this machine's time zone is not known ({' '.join(str(error).split())}); {remedy}") from None
    if zone not in available_timezones():
        raise ConfigError(f"this machine's time zone has no name (/etc/localtime is a file, not a link to one of a known name); {remedy}")
    return str(zone)


def check_zone(name: str) -> None:
    """See that a time zone is one that Prefect knows.

    Raises:
        ValueError: it is not; with the nearest name.
    """
    known = available_timezones()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise ValueError(f"{name[:80]!r} is no time zone; " + (f"did you mean {near[0]}?" if near else "write it as Europe/Berlin or UTC"))


@cache
def _croniter() -> Any:
    """Prefect's croniter class."""
    name = "prefect._vendor.croniter.croniter"
    if name not in sys.modules:
        package = find_spec("prefect")
        assert package is not None  # noqa: S101  a dependency
        assert package.origin is not None  # noqa: S101
        spec = spec_from_file_location("gantry_croniter", Path(package.origin).parent / "_vendor" / "croniter" / "croniter.py")
        assert spec is not None  # noqa: S101
        assert spec.loader is not None  # noqa: S101
        module = module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module.croniter
    return sys.modules[name].croniter
