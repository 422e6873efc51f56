"""The server: what is asked over HTTP, the limits on it, and the answers."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Self

from starlette.background import BackgroundTask
from starlette.datastructures import Headers, MutableHeaders, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from gan_core.errors import ConfigError, GantryError
from gan_core.generator import Generator, GeneratorConfig, Order, Samples
from tasks import kinds
from tasks.credentials import Signer
from tasks.inputs import Inputs
from tasks.provenance import Origin
from tasks.serving.answers import chosen, encoded
from tasks.serving.asked import DEFAULTS, MAX_COUNT, Asked
from tasks.serving.batching import Batcher, QueueFullError
from tasks.serving.champion import Champion, Served
from tasks.serving.described import openapi, page
from tasks.serving.kept import Keeper
from tasks.serving.metrics import TYPE, Metrics
from tasks.serving.shadow import Shadow
from tasks.validation.formats import is_plain
from tasks.workspace import Workspace

log = logging.getLogger("gantry.serve")

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_OPEN = ("/health", "/ready")
"""Asked without a token, by whatever starts and watches the server; they say the version, and no more."""
_NOTHING_FROM_ELSEWHERE = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_MOST_FILES = 64  # of one form
_PATIENCE = 30.0  # seconds for a request's body to arrive


@dataclass(frozen=True)
class Limits:
    """On what a server takes, and on what it takes for it."""

    waiting: int = 128
    """Requests that wait."""
    samples: int = MAX_COUNT
    """Samples that are waited for."""
    body: int = 32 * 2**20
    """Bytes of a request."""
    bodies: int = 256 * 2**20
    """Bytes of all requests that are under way."""
    threads: int = 1
    """Passes of the network that are under way at once."""
    token: str | None = None
    """What `Authorization: Bearer` has to hold; None: nothing."""
    variable: str = "GANTRY_SERVE_TOKEN"
    """Of the environment, where the token comes from."""
    provenance: bool = True
    """Whether pictures say in their metadata what drew them."""
    signer: Signer | None = None
    """What signs the files that are answered."""
    hosts: tuple[str, ...] = ()
    """What a request may call this server, so that no page of another site reaches it by a name of its own; empty: anything."""


class RefusedError(GantryError):
    """A request that is not taken, with HTTP's number for why."""

    def __init__(self, status: int, said: str, **headers: str) -> None:
        super().__init__(said)
        self.status, self.headers = status, {key.replace("_", "-"): value for key, value in headers.items()}


def check_host(limits: Limits, headers: Headers) -> None:
    """Refuse who calls this server by another name than its own, where it has any: a page of another site that gave its address its own.

    Raises:
        RefusedError: so it is.
    """
    host = re.sub(r":\d*$", "", headers.get("host", "")).strip("[]")
    if limits.hosts and host not in limits.hosts:
        raise RefusedError(421, f"this server is {limits.hosts[0]}, and was asked as {host[:80]!r}; set {limits.variable} to allow it")


class Server:
    """One generator's server, as an ASGI application; started and ended by the ASGI lifespan."""

    def __init__(
        self,
        workspace: Workspace,
        name: str,
        limits: Limits = Limits(),
        look_every: float = 5.0,
        challenger: float = 0.0,
        shadow: float = 0.0,
    ) -> None:
        """Load the champion.

        Args:
            workspace: whose registry has it.
            name: of the generator.
            limits: on what is taken.
            look_every: seconds after which the registry is asked whether the champion is another one.
            challenger: share of the requests that the challenger draws in the champion's place, where there is one.
            shadow: share of the requests that it draws after the champion, to be compared alone; not beside `challenger`.

        Raises:
            ConfigError: there is no champion, or both shares are given.
            DataError: its files are missing or damaged.
            RegistryError: the registry cannot be reached.
        """
        if challenger and shadow:
            raise ConfigError("--challenger and --shadow: what is answered by the challenger needs no shadow of it; give one of them")
        self.champion = Champion(workspace, name, lambda served: self.metrics.swaps.inc(), challenger or shadow)
        self.batcher = Batcher(limits.waiting, limits.samples, self._on_batch, limits.threads)
        self.metrics = Metrics(lambda: self.batcher.waiting, lambda: self.champion.served.number, lambda: self.champion.trouble is None)
        self._shadow = Shadow(self.metrics, lambda: self.batcher.waiting) if shadow else None
        self._limits, self._look_every = limits, look_every
        self.keeper = Keeper(workspace.served(name))
        self._decoder = asyncio.Semaphore(1)
        self._bodies = Bodies(limits.bodies, lambda: self.batcher.waiting)
        self._routes: Mapping[str, tuple[str, Callable[[Request], Awaitable[Response]]]] = {
            "/samples": ("GET, HEAD, POST", self._samples),
            "/health": ("GET, HEAD", self._health),
            "/ready": ("GET, HEAD", self._ready),
            "/metrics": ("GET, HEAD", self._metrics),
            "/openapi.json": ("GET, HEAD", self._openapi),
            "/": ("GET, HEAD", self._page),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        with self.batcher, self._shadow or nullcontext():
            self.champion.follow(self._look_every)
            self.keeper.begin()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.champion.close()
        self.keeper.end()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, count it, and name it in its answer."""
        start, headers = time.monotonic(), Headers(scope=scope)
        given = headers.get("x-request-id", "")
        # No uuid4: it asks the kernel, and to do so lets another thread have Python for a millisecond.
        name = given if _ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
        status, begun = 500, False

        async def named(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                MutableHeaders(scope=message)["x-request-id"] = name
            await send(message)

        async def refuse(number: int, said: str, headers: dict[str, str] | None = None) -> None:
            await JSONResponse({"error": said, "request": name}, number, headers)(scope, receive, named)

        try:
            self._check(scope["path"], headers)
            answer = self._route(scope["path"], scope["method"])
            with Body(receive, headers, self._limits.body, self._bodies) as body:
                await (await answer(Request(scope, body)))(scope, receive, named)
        except QueueFullError as error:
            await refuse(429, str(error), {"Retry-After": str(error.seconds)})
        except RefusedError as error:
            await refuse(error.status, str(error), error.headers)
        except GantryError as error:
            await refuse(400, str(error))
        except Exception as error:
            log.exception("request %s failed", name)
            if not begun:
                await refuse(500, f"the generator failed ({type(error).__name__}); the server's log has more under this request's id")
        path = scope["path"] if scope["path"] in self._routes else "other"
        self.metrics.requests.labels(path, str(status)).inc()
        self.metrics.seconds.labels(path).observe(time.monotonic() - start)

    def _route(self, path: str, method: str) -> Callable[[Request], Awaitable[Response]]:
        if path not in self._routes:
            raise RefusedError(404, f"{path[:80]} is not here; there are {', '.join(self._routes)}")
        methods, answer = self._routes[path]
        if method not in methods.split(", "):
            raise RefusedError(405, f"{path} takes {methods}", Allow=methods)
        return answer

    def _check(self, path: str, headers: Headers) -> None:
        """Refuse who may not ask."""
        check_host(self._limits, headers)
        if self._limits.token is not None and path not in _OPEN:
            kind, _, token = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not hmac.compare_digest(token.encode(), self._limits.token.encode()):
                raise RefusedError(401, "ask with the header `Authorization: Bearer TOKEN`", WWW_Authenticate="Bearer")

    async def _samples(self, request: Request) -> Response:
        served = self.champion.served
        form = chosen(request.headers.get("accept", ""), served.forms)
        if form is None:
            raise RefusedError(406, f"Accept: none of what it takes is there; there are {', '.join(served.forms)}")
        asked, given = await _asked(request, served), None
        order: Callable[[Generator], Order] = asked.order
        if served.generator.config.inputs is not None:
            given, order = await self._decoded(asked, served.generator.config)

        picked = self.champion.picked() if self._shadow is None else lambda: self.champion.served

        def answer(drawn_by: Served, samples: Samples, seconds: float) -> tuple[Served, bytes, Samples, float]:
            origin = None
            if self._limits.provenance:
                ask = kinds.of(drawn_by.generator.config.kind).ask
                origin = Origin(drawn_by.name, drawn_by.number, drawn_by.generator.config.sha256, asked.request(ask))
            config = drawn_by.generator.config
            plain = config.inputs is None and not (asked.said["truncation"] or asked.said["walk"])  # pictures of clients are not kept
            self.keeper.add(drawn_by.number, config.sha256, samples, config.classes, plain)
            content = encoded(drawn_by.generator, drawn_by.number, samples, form, given, origin, self._limits.signer)
            return drawn_by, content, samples, seconds

        began = time.monotonic()
        drawn_by, content, samples, seconds = await asyncio.wrap_future(self.batcher.submit(picked, asked.count, order, answer))
        version = drawn_by.number
        self.keeper.took(version, time.monotonic() - began)
        self.metrics.drawn.labels(str(version)).inc()
        self.metrics.samples.labels(str(version)).inc(asked.count)
        after = None
        if self._shadow is not None and (challenger := self.champion.turn()) is not None:
            after = BackgroundTask(self._shadow.compare, challenger, drawn_by, order, samples, seconds)
        return Response(content, media_type=form, headers={"x-gantry-version": str(version), "vary": "Accept"}, background=after)

    async def _decoded(self, asked: Asked, config: GeneratorConfig) -> tuple[Inputs, Callable[[Generator], Order]]:
        """Pictures, decoded one request at a time beside what is drawn; and the order for what is to be made of them."""
        files = asked.pictures(config)
        for name, data in files:
            if not is_plain(data):
                raise RefusedError(400, f"input: {name[:80]}: of a format that is not read here; send PNG, JPEG, WebP, GIF, BMP or .npy")
        async with self._decoder:
            given = await asyncio.to_thread(replace(asked, files=files).inputs, config)
        return given, lambda generator: generator.order_of(given.images, asked.said["label"] or None)

    def _on_batch(self, requests: int, samples: int) -> None:
        self.metrics.together.observe(requests)
        self.metrics.in_pass.observe(samples)

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _ready(self, request: Request) -> Response:
        served = self.champion.served
        beside = self.champion.challenger
        facts = {
            "name": served.name,
            "version": served.number,
            "challenger": beside and beside.number,
            "trouble": self.champion.trouble,
            "together": served.together,
        }
        return JSONResponse({"ready": True, **facts})

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(openapi(self.champion.served))

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(page(self.champion.served), headers={"content-security-policy": _NOTHING_FROM_ELSEWHERE})

    async def _metrics(self, request: Request) -> Response:
        return Response(self.metrics.text(), headers={"content-type": TYPE})


class Bodies:
    """The bytes of all requests that are under way."""

    def __init__(self, most: int, waiting: Callable[[], int]) -> None:
        self._most, self._waiting, self._there = most, waiting, 0

    def add(self, count: int) -> None:
        """Take some more, or, below 0, let them go.

        Raises:
            QueueFullError: they would be too many.
        """
        if count > 0 and self._there + count > self._most:
            raise QueueFullError(self._waiting(), 1)
        self._there += count


class Body:
    """What is received of one request, up to so many bytes and seconds."""

    def __init__(self, receive: Receive, headers: Headers, most: int, all_bodies: Bodies) -> None:
        self._receive, self._most, self._all, self._there = receive, most, all_bodies, 0
        self._until = time.monotonic() + _PATIENCE
        self._check(int(length) if (length := headers.get("content-length", "0")).isdecimal() else 0)

    def _check(self, count: int) -> None:
        if count > self._most:
            raise RefusedError(413, f"a request has at most {self._most:,} bytes")

    async def __call__(self) -> Message:
        try:
            async with asyncio.timeout(self._until - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise RefusedError(408, f"the request was not whole after {_PATIENCE:g} s") from None
        count = len(message.get("body", b""))
        self._check(self._there + count)
        self._all.add(count)
        self._there += count
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._all.add(-self._there)


async def _asked(request: Request, served: Served) -> Asked:
    """What a request asks for: in its query, in its body as JSON, or pictures in its body."""
    ask = kinds.of(served.generator.config.kind).ask
    form = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method != "POST":
        told = read_query(request)
    elif form == "multipart/form-data":
        return _of_files(await _uploaded(request), request, ask)
    elif form.startswith("image/") or form == "application/octet-stream":
        return _of_files([("picture", await request.body())], request, ask)
    else:
        try:
            told = json.loads(await request.body() or b"{}", object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise RefusedError(400, f"the body is no JSON ({str(error)[:200]})") from None
        if not isinstance(told, dict):
            raise RefusedError(400, 'the body is no JSON object; write {"n": 4, "seed": 1}')
    each = told.pop(ask) if isinstance(told.get(ask), list) else None
    return Asked.of({} if each is None else {ask: each}, len(each or ()), told, ask)


def read_query(request: Request) -> dict[str, Any]:
    """What an address says, of the types that the keys of a request have; a list where a key stands several times."""
    told: dict[str, Any] = {}
    for key, text in request.query_params.multi_items():
        value = _typed(key, text)
        told[key] = value if key not in told else [*(told[key] if isinstance(told[key], list) else [told[key]]), value]
    return told


async def _uploaded(request: Request) -> list[tuple[str, bytes]]:
    """The files of a form, in its fields named `input`."""
    try:
        async with request.form(max_files=_MOST_FILES, max_fields=1) as form:
            fields = form.multi_items()
            if wrong := [key for key, value in fields if key != "input" or not isinstance(value, UploadFile)]:
                raise RefusedError(400, f"{wrong[0][:80]!r}: a form has pictures alone, in fields named input")
            return [(value.filename or "picture", await value.read()) for _, value in fields if isinstance(value, UploadFile)]
    except (HTTPException, MultiPartException) as error:
        raise RefusedError(400, f"the form cannot be read ({getattr(error, 'detail', None) or error})") from None


def _of_files(files: list[tuple[str, bytes]], request: Request, ask: str) -> Asked:
    """Pictures, and what the address says of all of them."""
    if ask != "input":
        raise RefusedError(400, "input: this generator draws samples and is given no pictures; leave it out")
    return replace(Asked.of({}, 0, read_query(request), ask), files=files)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) < len(pairs):
        raise ValueError("a key stands twice")
    return told


def _typed(key: str, text: str) -> Any:
    """A value of a query as JSON would have it; as it is where it is no such value, for the message about it."""
    kind = type(DEFAULTS.get(key, ""))
    try:
        return {"true": True, "false": False}.get(text, text) if kind is bool else kind(text)
    except ValueError:
        return text
