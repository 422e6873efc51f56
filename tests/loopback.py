"""Requests to servers of this machine, as httpx's functions of the same names.

Each of those reads all certificates first, 25 ms of computing, and tests that wait for a server ask it several times a second.
"""

from __future__ import annotations

import httpx

_client = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))  # a server may have been started anew since the last request

get, post, delete, request = _client.get, _client.post, _client.delete, _client.request
