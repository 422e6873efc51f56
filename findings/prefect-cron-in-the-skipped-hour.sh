#!/usr/bin/env bash
# Guess: a nightly schedule whose time falls into the hour that the clock skips in spring runs at one and the same moment, whatever Python runs it.
# Version: prefect 3.8.8; run here under Python 3.11, and under 3.13 when it was found.
# Behaviour: under Python 3.11 and 3.12 the run of that night is an hour early, under 3.13 and later an hour late: Prefect's arithmetic of dates is another library there.
# Seen: "30 2 * * *" in Berlin, 29 March 2026: 01:30 in winter time under 3.11, 03:30 in summer time under 3.13.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet prefect==3.8.8

PREFECT_HOME="$folder/prefect" venv/bin/python -W ignore - <<'PYTHON'
import asyncio
import datetime
import sys
from zoneinfo import ZoneInfo

from prefect.client.schemas.schedules import CronSchedule

schedule = CronSchedule(cron="30 2 * * *", timezone="Europe/Berlin")
start = datetime.datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/Berlin"))
from prefect.server.schemas.schedules import CronSchedule as Served

dates = asyncio.run(Served(cron=schedule.cron, timezone=schedule.timezone).get_dates(n=2, start=start))
first = dates[0].isoformat()
print(sys.version.split()[0], first)
expected = "2026-03-29T01:30:00+01:00" if sys.version_info < (3, 13) else "2026-03-29T03:30:00+02:00"
assert first == expected, "changed"
PYTHON
