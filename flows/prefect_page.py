"""Prefect's server as one program for uvicorn, with pages that ask no other host for anything.

The newer of Prefect's two pages (`/v2`) asks an analytics host for its settings also where PREFECT_SERVER_ANALYTICS_ENABLED is false, and
a browser remembers which page a person chose, on every port of a host. So each page comes with a Content-Security-Policy, by which the
browser refuses whatever leads elsewhere; a click on a link is no such thing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tasks.system.imports import all_imported

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"


def create() -> ASGIApp:
    """Prefect's server with the settings of the environment: `uvicorn --factory flows.prefect_page:create`."""
    from prefect.server.api.server import create_app
    from prefect.settings import PREFECT_UI_API_URL

    all_imported()  # or Prefect, with `final`, looks for garbage among it all: 0.2 s of a start
    return _keeping_to_itself(create_app(final=True), PREFECT_UI_API_URL.value())


def _keeping_to_itself(app: ASGIApp, api: str) -> ASGIApp:
    """The same program, whose pages may ask their own server, and the API at the address that they are told."""
    place = urlsplit(api)
    socket = place._replace(scheme="wss" if place.scheme == "https" else "ws")
    policy = " ".join([_POLICY, *(f"{one.scheme}://{one.netloc}" for one in (place, socket))]).encode()

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and any(
                name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in message["headers"]
            ):
                message["headers"] = [*message["headers"], (b"content-security-policy", policy)]
            await send(message)

        await app(scope, receive, sent)

    return guarded
