"""Requests to servers of this machine, as httpx's functions of the same names.

Each of those reads all certificates first, 25 ms of computing, and tests that wait for a server ask it several times a second.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import httpx

_client = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))  # a server may have been started anew since the last request

_PATIENCE = 60.0  # seconds


def request(method: str, url: str, **options: Any) -> httpx.Response:
    """The answer; asked again while it is 503, as Prefect's own client does: so its server answers while its database is held."""
    deadline = time.monotonic() + _PATIENCE
    while (answer := _client.request(method, url, **options)).status_code == httpx.codes.SERVICE_UNAVAILABLE:
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return answer


get, post, delete = partial(request, "GET"), partial(request, "POST"), partial(request, "DELETE")
