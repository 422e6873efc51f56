"""What is pushed to the Hugging Face Hub, by its real library. The Hub itself is out of a test's reach: a server on loopback stands for it,
which answers as the Hub's API is documented, and keeps what it is sent."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from command_line import called

from gan_core.errors import ConfigError, GantryError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.points import Points
from gan_core.networks import build_generator
from gan_core.params.networks import GENERATORS
from tasks.hub import Hub
from tasks.workspace import Workspace

SECRET = "hf_planted"


class Received(ThreadingHTTPServer):
    """What came in: each request's path and body, and the files of the last commit."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[tuple[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.summary = ""
        self.status = 200

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: Received

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self._answer({"type": "user", "name": "me"})

    def do_POST(self) -> None:
        body = self._body()
        lines = [json.loads(line) for line in body.splitlines()] if self.path.endswith("/commit/main") else [json.loads(body)]
        self.server.asked.append((self.path, lines[0]))
        answers: dict[str, Any] = {}
        if self.path == "/api/repos/create":
            answers = {"url": f"{self.server.address}/me/points", "id": "1"}
        elif self.path.endswith("/preupload/main"):
            answers = {"files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in lines[0]["files"]]}
        elif self.path.endswith("/commit/main"):
            self.server.summary = lines[0]["value"]["summary"]
            self.server.files = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines[1:]}
            answers = {"commitUrl": f"{self.server.address}/me/points/commit/abc", "commitOid": "a" * 40, "success": True}
        self._answer(answers)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(self, answers: dict[str, Any]) -> None:
        allowed = self.headers.get("authorization") == f"Bearer {SECRET}"
        body = json.dumps(answers).encode()
        self.send_response(self.server.status if allowed else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    with Received() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_TOKEN", SECRET)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)  # it was read when the library was imported
        yield server
        server.shutdown()


def test_a_generator_is_exported_and_pushed_by_one_command(hub: Received, tmp_path: Path) -> None:
    params = GENERATORS["mlp"].model_validate({"widths": [8]})
    spec = Points((2,), mean=(0.0, 0.0), std=(1.0, 1.0))
    Generator(GeneratorConfig("gan", spec, 4, params, 640, 0, "d" * 64), build_generator(params, spec, 4)).save(tmp_path / "points")
    done = called(Workspace(tmp_path), "export", "--from", "points", "--format", "folder", "--out", "out", "--push", "me/points")
    assert done.returncode == 0, done.stderr
    assert f"pushed: {hub.address}/me/points/commit/abc" in done.stdout
    assert hub.files == {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    assert {"generator.safetensors", "config.json", "README.md"} <= hub.files.keys()
    assert hub.summary == "points"
    made = dict(hub.asked)["/api/repos/create"]
    assert (made["organization"], made["name"], made["visibility"]) == ("me", "points", "private")
    assert SECRET not in done.stdout + done.stderr + "".join(map(str, hub.files.values()))


def test_all_may_see_what_is_asked_to_be_public(hub: Received, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("points")
    Hub("me/points").push(tmp_path, "points, version 2", public=True)
    assert (dict(hub.asked)["/api/repos/create"]["visibility"], hub.summary) == ("public", "points, version 2")


@pytest.mark.parametrize(
    ("repository", "token", "status", "error", "said"),
    [
        ("me/points", "", 200, ConfigError, "no token; set HF_TOKEN"),
        ("me/points", "hf_other", 200, ConfigError, r"does not let the token of HF_TOKEN write me/points \(401\)"),
        ("points", SECRET, 200, ConfigError, "has no owner; write OWNER/points"),
        ("me/points/two", SECRET, 200, ConfigError, "--push: "),
        ("me/points", SECRET, 503, GantryError, "answered 503; try again later"),
    ],
)
def test_what_cannot_be_pushed_is_said_before_anything_is_made(
    hub: Received, monkeypatch: pytest.MonkeyPatch, repository: str, token: str, status: int, error: type[GantryError], said: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    hub.status = status
    with pytest.raises(error, match=said) as raised:
        Hub(repository)
    assert token not in str(raised.value) or not token
    assert hub.asked == []


def test_a_hub_that_is_not_there_is_named(hub: Received) -> None:
    hub.shutdown()
    hub.server_close()
    with pytest.raises(GantryError, match=rf"{hub.address} cannot be reached"):
        Hub("me/points")
