"""A real browser, the system's Chromium driven by Playwright: what a page asks whom for, and what axe finds wrong with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; nothing that it asks other hosts for leaves this machine. Skips where there is none.

    To be left before anything uses asyncio: while it lasts, its event loop is this thread's.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    nobody = {"server": "http://127.0.0.1:9", "bypass": ",".join(_LOOPBACK)}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"], proxy=nobody)  # type: ignore[arg-type]
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page, and what it asked for."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self._requests: list[Request] = []
        self._sockets: list[str] = []
        context = browser.new_context(**options)
        context.on("request", lambda request: self._requests.append(request))
        self.page: Page = context.new_page()
        self.page.on("websocket", lambda socket: self._sockets.append(socket.url))

    def wait_until_quiet(self) -> None:
        """Wait until half a second has passed in which nothing was asked for.

        Playwright's `networkidle` waits for answers, and Chromium 156 tells it of none that a shared worker gets, as MLflow's page has one.
        """
        before = -1
        while len(self._requests) > before:
            before = len(self._requests)
            self.page.wait_for_timeout(500)

    @property
    def elsewhere(self) -> list[str]:
        """What it asked other hosts for; what its Content-Security-Policy kept from being asked is not among it."""
        asked = [*self._sockets, *(request.url for request in self._requests if request.failure != "csp")]
        return [address for address in asked if urlsplit(address).hostname not in (None, *_LOOPBACK)]


def serious(page: Page) -> list[str]:
    """What axe finds on a page that is serious or critical, each with the elements."""
    from axe_playwright_python.sync_playwright import Axe

    found = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {node['target']}: {node['failureSummary']}" for one in found for node in one["nodes"]]
