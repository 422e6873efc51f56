"""A real Chromium, driven over its own protocol (CDP): a page is opened, clicked and read as its user does it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run",
    "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip


def chromium() -> str:
    """Its program; the test is skipped where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


class Browser:
    """One tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._number = connection, 0
        self.requests: list[str] = []
        """Addresses that were asked for, but for what stands in the page itself."""
        self.complaints: list[str] = []
        """Of the page's scripts and its Content-Security-Policy."""
        self._loaded = False
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            said = json.loads(self._connection.recv(timeout=60))
            if said.get("id") == self._number:
                assert "error" not in said, f"{method}: {said['error']}"
                return dict(said["result"])
            self._hear(said)

    def _hear(self, said: dict[str, Any]) -> None:
        told = said.get("params", {})
        if said.get("method") == "Network.requestWillBeSent" and not told["request"]["url"].startswith("data:"):
            self.requests.append(told["request"]["url"])
        elif said.get("method") == "Page.loadEventFired":
            self._loaded = True
        elif said.get("method") == "Runtime.exceptionThrown" or (
            said.get("method") == "Log.entryAdded" and told["entry"]["level"] == "error"
        ):
            self.complaints.append(json.dumps(told))

    def _wait(self) -> None:
        while not self._loaded:
            self._hear(json.loads(self._connection.recv(timeout=60)))

    def go(self, address: str) -> None:
        """Open a page and wait until all of it is there."""
        self._loaded = False
        self.send("Page.navigate", url=address)
        self._wait()

    def run(self, script: str) -> Any:
        """What an expression says in the page."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def click(self, selector: str) -> None:
        """Click the middle of something, by the mouse, and wait for the page that it leads to."""
        place = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] })()"
        )
        self._loaded = False
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)
        self._wait()

    def press(self, key: str, code: int, leads_on: bool = False) -> None:
        """Press a key; wait for the page that it leads to, where it does."""
        self._loaded = False
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)
        if leads_on:
            self._wait()

    def choose_file(self, selector: str, path: Path) -> None:
        """As a person chooses a file in a form."""
        document = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def resize(self, width: int, height: int) -> None:
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)

    def picture(self) -> bytes:
        """The whole page as PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def hosts(self) -> set[str]:
        """Whom the pages asked for something."""
        return {urlsplit(address).netloc for address in self.requests}


@contextmanager
def opened(folder: Path) -> Iterator[Browser]:
    """A browser with a profile of its own below `folder`."""
    profile = folder / "profile"
    (profile / "DevToolsActivePort").unlink(missing_ok=True)  # of an earlier one
    command = [chromium(), *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port, until = profile / "DevToolsActivePort", time.monotonic() + 60
        while not port.exists() or not port.read_text().strip():
            assert child.poll() is None, "Chromium ended"
            assert time.monotonic() < until, "Chromium does not answer"
            time.sleep(0.05)
        address = f"http://127.0.0.1:{port.read_text().splitlines()[0]}/json/list"
        tab = next(one for one in httpx.get(address, timeout=60).json() if one["type"] == "page")
        with connect(tab["webSocketDebuggerUrl"], max_size=None, open_timeout=60) as connection:
            yield Browser(connection)
    finally:
        child.terminate()
        child.wait(timeout=60)
