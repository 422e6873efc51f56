"""The studio: pages that draw by any version of any registered generator, as an ASGI application.

Each view is an address of its own with forms that need no script, so a look can be kept as a bookmark. Nothing is asked of other hosts
(Content-Security-Policy), names and labels are escaped by the template, and what is uploaded is bounded before it is decoded.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import numpy as np
from jinja2 import Environment
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.datastructures import Headers, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, GantryError
from gan_core.generator import Generator, Samples
from gan_core.kinds.pixels import Pixels
from gan_core.kinds.predictions import Predictions, continued
from gan_core.kinds.volumes import Volumes
from gan_core.projection import check_target, project
from tasks import kinds
from tasks.clips import encode_sample
from tasks.inputs import read_input
from tasks.kinds.kind import DataKind
from tasks.params import NAME
from tasks.projection import features_of
from tasks.provenance import Origin
from tasks.records.history import recorded
from tasks.records.registry import CHALLENGER, CHAMPION, Registry, Version, promote, rollback
from tasks.report.templates import environment
from tasks.samples import encode_png
from tasks.serving.answers import encoded
from tasks.serving.app import Bodies, Body, Limits, RefusedError, check_host, read_query
from tasks.serving.asked import DEFAULTS, Asked
from tasks.studio.pictures import along, blended, can_blend, mixed, neighbours
from tasks.validation.formats import is_plain
from tasks.volumes import turnable
from tasks.workspace import Workspace

T = TypeVar("T")

_FORMS = {
    "png": "image/png", "webp": "image/webp", "gif": "image/gif", "wav": "audio/wav", "stl": "model/stl", "csv": "text/csv",
    "npz": "application/x-npz", "txt": "text/plain",
}  # fmt: skip
_MOST = 256  # samples of one picture
_EACH = 16  # samples that are shown each for itself
_LOADED = 4  # versions in memory
_COMPARED = 4  # versions beside each other
_DIRECTIONS = 5
_OF_A_VIEW = {
    "reach": 3,
    "other": 1,
    "share": 0.5,
    "to": "",
    "which": 1,
}  # what one view alone asks for, and what it is until somebody says otherwise
_METRICS = 6  # columns of the table of versions
_COOKIE = "gantry-studio"
_POLICY = (
    "default-src 'none'; img-src 'self' data:; media-src data:; style-src 'unsafe-inline'; script-src 'nonce-{}'; form-action 'self'; "
    "frame-src 'self'; frame-ancestors 'none'"
)
_TURNING = (  # another program's page, which may do nothing but draw what it holds
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src data:; frame-ancestors 'self'"
)


class Studio:
    """The pages about one workspace's registry."""

    def __init__(self, workspace: Workspace, limits: Limits) -> None:
        """Nothing is loaded before somebody looks.

        Args:
            workspace: whose registry has the generators.
            limits: on the size of requests, the names it may be called by, and the token that opens it.
        """
        self._workspace, self._limits = workspace, limits
        self._bodies = Bodies(limits.bodies, lambda: 0)
        self._alone = asyncio.Semaphore(1)
        self._loaded: OrderedDict[tuple[str, int], Generator] = OrderedDict()
        self._session = secrets.token_urlsafe(32)
        self._templates: Environment = environment(Path(__file__).parent)
        self._inner = Starlette(
            routes=[
                Route("/", self._home),
                Route("/enter", self._enter, methods=["POST"]),
                Route("/g/{name}", self._page),
                Route("/g/{name}/move", self._move, methods=["GET", "POST"]),
                Route("/g/{name}/{version:int}/samples", self._samples),
                Route("/g/{name}/{version:int}/directions", self._directions),
                Route("/g/{name}/{version:int}/mix", self._mix),
                Route("/g/{name}/{version:int}/turn", self._turn),
                Route("/g/{name}/{version:int}/labels", self._labels),
                Route("/g/{name}/{version:int}/translate", self._translate, methods=["POST"]),
                Route("/g/{name}/{version:int}/find", self._find, methods=["POST"]),
            ],
            exception_handlers={GantryError: self._refuse},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            self._check(request.headers, scope["method"])
            if not self._may(request) and scope["path"] != "/enter":
                await self._html("enter", status=401)(scope, receive, send)
                return
            with Body(receive, request.headers, self._limits.body, self._bodies) as body:
                await self._inner(scope, body, send)
        except GantryError as error:  # of what stands before the pages
            await self._refuse(request, error)(scope, receive, send)

    def _refuse(self, request: Request, error: Exception) -> Response:
        return self._html("refused", status=error.status if isinstance(error, RefusedError) else 400, said=str(error))

    def _check(self, headers: Headers, method: str) -> None:
        check_host(self._limits, headers)
        origin = headers.get("origin")
        if method == "POST" and origin is not None and origin.partition("://")[2] != headers.get("host"):
            raise RefusedError(403, "a page of another site may not ask this one to do something")

    def _may(self, request: Request) -> bool:
        return self._limits.token is None or hmac.compare_digest(request.cookies.get(_COOKIE, "").encode(), self._session.encode())

    async def _enter(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=1) as form:
            given = str(form.get("token", ""))
        if self._limits.token is None or not hmac.compare_digest(given.encode(), self._limits.token.encode()):
            return self._html("enter", status=401, wrong=True)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(_COOKIE, self._session, httponly=True, samesite="strict")
        return answer

    def _html(self, view: str, status: int = 200, **facts: Any) -> HTMLResponse:
        nonce = secrets.token_urlsafe(16)
        text = self._templates.get_template("page.html").render(view=view, nonce=nonce, facts=facts, **facts)
        headers = {"content-security-policy": _POLICY.format(nonce), "cache-control": "no-store", "referrer-policy": "same-origin"}
        return HTMLResponse(text, status, headers)

    async def _aside(self, work: Callable[[], T]) -> T:
        """Done in a thread, one at a time: what draws takes every core that there is."""
        async with self._alone:
            return await asyncio.to_thread(work)

    def _registry(self, name: str) -> tuple[Registry, list[Version], Mapping[str, int]]:
        """A generator's versions, the latest first, and what the aliases name.

        Raises:
            RefusedError: there is none of that name.
        """
        registry = Registry.open(self._workspace)
        versions = registry.all_versions(name)[::-1] if NAME.fullmatch(name) else []
        if not versions:
            raise RefusedError(404, f"no generator {name[:80]!r} is registered here")
        return registry, versions, registry.aliases(name)

    def _generator(self, name: str, number: int) -> Generator:
        """A version in memory; as many stay there as are compared."""
        if (name, number) not in self._loaded:
            registry, _, _ = self._registry(name)
            self._loaded[name, number] = registry.load(registry.version(name, number))
            while len(self._loaded) > _LOADED:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end((name, number))
        return self._loaded[name, number]

    async def _home(self, request: Request) -> Response:
        def found() -> list[dict[str, Any]]:
            registry = Registry.open(self._workspace)
            return [
                {"name": name, "champion": registry.aliases(name).get(CHAMPION)} for name in registry.names() if registry.versions(name)
            ]

        names = await self._aside(found)
        return RedirectResponse(f"/g/{names[0]['name']}", 303) if len(names) == 1 else self._html("home", names=names)

    async def _page(self, request: Request) -> Response:
        return await self._aside(lambda: self._shown(request.path_params["name"], dict(request.query_params)))

    def _shown(self, name: str, told: dict[str, str], **more: Any) -> Response:
        """A view of a generator; `more` is what else it shows."""
        registry, versions, aliases = self._registry(name)
        wanted = told.get("version", "")
        number = int(wanted) if wanted.isdecimal() and len(wanted) < 10 else aliases.get(CHAMPION, versions[0].number)
        config = self._generator(name, number).config
        kind = kinds.of(config.kind)
        makes_images, translates, predicts = len(config.shape) == 3, config.inputs is not None, isinstance(config.data, Predictions)
        views = {"translate": "Go on" if predicts else "Translate"} if translates else {"draw": "Rows" if kind.is_read else "Draw"}
        if makes_images and not translates:
            views |= {"walk": "Walk", "mix": "Mix"}
            views |= {"labels": "Labels"} if can_blend(self._generator(name, number)) else {}
            views |= {"directions": "Directions"} if hasattr(self._generator(name, number).network, "dense") else {}
            views |= {"find": "Find"}
            views |= {"nearest": "Nearest"} if (self._workspace.ready(name) / "dataset.json").is_file() else {}
        views |= {"turn": "Turn"} if isinstance(config.data, Volumes) else {}
        views |= {"versions": "Versions"}
        view = told.get("view", "")
        view = view if view in views else next(iter(views))
        asked = _asked_of(told, 32 if view == "walk" else 16)
        query = urlencode({key: value for key, value in asked.items() if value != "" and key not in _OF_A_VIEW})
        facts: dict[str, Any] = {
            "name": name, "number": number, "views": views, "numbers": [version.number for version in versions], "aliases": aliases,
            "labels": config.targets if translates else config.condition, "knows_text": config.prompts is not None,
            "translates": translates, "predicts": predicts, "images": makes_images, "turns": isinstance(config.data, Volumes),
            "asked": asked, "query": query, "makes": kind.makes, "kept_as": kind.kept_as,
        }  # fmt: skip
        if view == "nearest":
            facts |= self._nearest(name, number, asked)
        if view == "turn":
            self._surface(name, number, asked)  # what cannot be turned is said on this page
        if view == "draw" and not makes_images:
            samples = self._generator(name, number).draw([_read(asked).order(self._generator(name, number))])[0]
            facts |= {"rows": kind.records(samples, config.classes)} if kind.is_read else {"each": _each(kind, samples, config.classes)}
        if view == "versions":
            facts |= self._versions(registry, versions, aliases, kind)
        return self._html(view, **facts, **more)

    def _nearest(self, name: str, number: int, asked: dict[str, Any]) -> dict[str, Any]:
        generator, dataset = self._generator(name, number), Dataset.open(self._workspace.ready(name))
        if dataset.spec.shape != generator.config.shape:
            raise ConfigError(f"{name}: the data that is here is of another shape than what version {number} draws; choose another version")
        samples = generator.draw([_read(asked).order(generator)])[0]
        found = neighbours(samples, dataset.samples["train"])
        picture = encode_png(found.picture.transpose(2, 0, 1))
        return {"picture": _data_uri(picture), "closer": found.closer, "among": len(dataset.samples["train"])}

    def _versions(self, registry: Registry, versions: Sequence[Version], aliases: Mapping[str, int], kind: DataKind) -> dict[str, Any]:
        """The versions as a table, and which of them are drawn beside each other: champion, challenger, champions before."""
        history = registry.history(versions[0].name)
        there = [version.number for version in versions]
        order = [aliases.get(CHAMPION), aliases.get(CHALLENGER), *(reign.version for reign in reversed(history)), *there]
        beside = list(dict.fromkeys(number for number in order if number in there))[:_COMPARED]
        there_are = {metric for version in versions for metric in version.metrics}
        metrics = [metric for metric in dict.fromkeys([*kind.deciding, *kind.beside, *sorted(there_are)]) if metric in there_are][:_METRICS]
        said = {version.number: "; ".join(map(str, recorded(version).get("reasons", ()))) for version in versions}
        outcomes = {version.number: str(recorded(version).get("outcome", "")) for version in versions}
        return {
            "versions": versions, "beside": beside, "metrics": metrics, "history": history[::-1], "outcomes": outcomes, "said": said,
            "may_go_back": len(history) > 1,
        }  # fmt: skip

    async def _move(self, request: Request) -> Response:
        """Ask whether the champion is to be moved, and, when that was confirmed, move it as the command line does."""
        name = request.path_params["name"]
        if request.method == "GET":
            wanted = request.query_params.get("version", "")
            version = int(wanted) if wanted.isdecimal() and len(wanted) < 10 else None
            aliases = (await self._aside(lambda: self._registry(name)))[2]
            return self._html("move", name=name, version=version, champion=aliases.get(CHAMPION))
        async with request.form(max_files=0, max_fields=2) as form:
            wanted, confirmed = str(form.get("version", "")), form.get("confirmed") == "yes"
        if not confirmed:
            raise ConfigError("nothing was changed: the change was not confirmed")
        await self._aside(lambda: self._registry(name))
        work = (lambda: promote(self._workspace, name, int(wanted))) if wanted.isdecimal() else (lambda: rollback(self._workspace, name))
        moved = await self._aside(work)
        return await self._aside(lambda: self._shown(name, {"view": "versions"}, moved=moved.in_words))

    async def _samples(self, request: Request) -> Response:
        """Samples as a file: what `gantry sample` writes."""
        name, number = request.path_params["name"], request.path_params["version"]
        told = read_query(request)
        told_form = str(told.pop("form", "png"))
        form = _FORMS.get(told_form)
        if form is None:
            raise RefusedError(400, f"form: there are {', '.join(_FORMS)}")
        asked = Asked.of({}, 0, told, "label")
        if asked.count > _MOST and told_form not in ("csv", "npz", "txt"):
            raise ConfigError(f"n: {asked.count} is not in 1 to {_MOST}")

        def work() -> bytes:
            generator = self._generator(name, number)
            (samples,) = generator.draw([asked.order(generator)])
            origin = Origin(name, number, generator.config.sha256, asked.request(kinds.of(generator.config.kind).ask))
            return encoded(generator, number, samples, form, None, origin)

        # What cannot be written, such as the mesh of nothing, is said on a page, which a link that downloads would not show.
        kept = {} if form.startswith("image/") else {"content-disposition": f'attachment; filename="{name}-{number}.{told_form}"'}
        return Response(await self._aside(work), media_type=form, headers=kept)

    async def _directions(self, request: Request) -> Response:
        name, number = request.path_params["name"], request.path_params["version"]
        told = read_query(request)
        reach = _share(told, "reach", 10)
        said = Asked.of({}, 0, {key: told[key] for key in told.keys() & {"seed", "label"}}, "label").said
        return _png(
            await self._aside(lambda: along(self._generator(name, number), _DIRECTIONS, reach, said["seed"], said["label"] or None))
        )

    async def _mix(self, request: Request) -> Response:
        name, number = request.path_params["name"], request.path_params["version"]
        told = read_query(request)
        share = _share(told, "share", 1)
        of = {key: told[key] for key in told.keys() & {"seed", "label", "prompt", "truncation"}}
        said = Asked.of({}, 0, of, "label").said
        seeds = said["seed"], _whole(told, "other")
        return _png(await self._aside(lambda: mixed(self._generator(name, number), seeds, share, said)))

    async def _turn(self, request: Request) -> Response:
        """A sample's surface, as a page within the page."""
        name, number = request.path_params["name"], request.path_params["version"]
        page = await self._aside(lambda: self._surface(name, number, read_query(request)))
        return HTMLResponse(page, headers={"content-security-policy": _TURNING})

    def _surface(self, name: str, number: int, told: Mapping[str, Any]) -> str:
        generator, which, asked = self._generator(name, number), _whole(told, "which", 1), _read(told)
        if not isinstance(generator.config.data, Volumes):
            raise ConfigError(f"turn: this generator makes {kinds.of(generator.config.kind).makes}, and only volumes have a surface")
        if which > asked.count:
            raise ConfigError(f"which: {which} is not in 1 to {asked.count}, as many as are drawn")
        (samples,) = generator.draw([asked.order(generator)])
        return turnable(samples.samples[which - 1])

    async def _labels(self, request: Request) -> Response:
        name, number = request.path_params["name"], request.path_params["version"]
        told = read_query(request)
        said = Asked.of({}, 0, {key: told[key] for key in told.keys() & {"seed", "truncation"}}, "label").said
        ends = str(told.get("label", "")), str(told.get("to", ""))
        return _png(await self._aside(lambda: blended(self._generator(name, number), ends, said)))

    async def _translate(self, request: Request) -> Response:
        name, number = request.path_params["name"], request.path_params["version"]
        content, label = await _uploaded(request)

        def work() -> Response:
            generator = self._generator(name, number)
            given = Asked(DEFAULTS, None, [("picture", content)]).inputs(generator.config)
            (made,) = generator.draw([generator.order_of(given.images, label)])
            data = Pixels.of(generator.config.data)
            whole = continued(given.images, made.samples) if isinstance(data, Predictions) else made.samples
            before, after = (_data_uri(*encode_sample(data.pictured(images[0]))) for images in (given.images, whole))
            told = {"view": "translate", "version": str(number)} | ({} if label is None else {"label": label})
            return self._shown(name, told, before=before, after=after)

        return await self._aside(work)

    async def _find(self, request: Request) -> Response:
        """The latent of a picture; a few seconds of optimisation."""
        name, number = request.path_params["name"], request.path_params["version"]
        content, _ = await _uploaded(request)

        def work() -> Response:
            generator = self._generator(name, number)
            check_target(generator)
            data = Pixels.of(generator.config.data)
            image = read_input(content, data, "picture")
            found = project(generator, image, features=features_of(self._workspace, name, generator))
            before, after = (_data_uri(encode_png(data.pictured(one))) for one in (image, found.sample))
            return self._shown(name, {"view": "find", "version": str(number)}, before=before, after=after, distance=found.in_words)

        return await self._aside(work)


def _each(kind: DataKind, samples: Samples, classes: tuple[str, ...] | None) -> list[dict[str, Any]]:
    """The first samples, each with its picture and its sound, as addresses that hold them; none where a picture of all shows them."""
    few = slice(_EACH)
    labels = None if samples.labels is None else samples.labels[few]
    shown, names = kind.shown(replace(samples, samples=samples.samples[few], labels=labels)), samples.label_names(classes)
    return [
        {
            "picture": _data_uri(encode_png(one.picture)) if one.film is None else _data_uri(one.film, "image/webp"),
            "words": one.words, "label": None if names is None else names[index],
            "sound": None if one.sound is None else _data_uri(one.sound, "audio/wav"),
        }
        for index, one in enumerate(shown)
    ]  # fmt: skip


def _asked_of(told: Mapping[str, str], count: int) -> dict[str, Any]:
    """What the forms of the views are filled in with, as texts; the address's where it says something."""
    empty = {"n": count, "seed": 0, "label": "", "prompt": "", "truncation": "", **_OF_A_VIEW}
    return empty | {key: value for key, value in told.items() if key in empty and value}


def _read(asked: Mapping[str, Any]) -> Asked:
    """The same, checked."""
    told = {key: value for key, value in asked.items() if key not in _OF_A_VIEW and value != ""}
    query = Request({"type": "http", "query_string": urlencode(told).encode(), "headers": []})
    found = Asked.of({}, 0, read_query(query), "label")
    if found.count > _MOST:
        raise ConfigError(f"n: {found.count} is not in 1 to {_MOST}")
    return found


def _share(told: Mapping[str, Any], key: str, most: float) -> float:
    """A number from 0 to `most` that a view is told."""
    try:
        found = float(told.get(key, _OF_A_VIEW[key]))
    except (TypeError, ValueError):
        found = -1.0
    if not 0 <= found <= most:
        raise ConfigError(f"{key}: is no number from 0 to {most:g}")
    return found


def _whole(told: Mapping[str, Any], key: str, least: int = 0) -> int:
    """A whole number that a view is told."""
    found = str(told.get(key, _OF_A_VIEW[key]))
    if not found.isdecimal() or len(found) > 16 or int(found) < least:
        raise ConfigError(f"{key}: is no whole number from {least}")
    return int(found)


def _png(picture: NDArray[np.uint8]) -> Response:
    """A picture (H, W, 3) as an answer."""
    return Response(encode_png(picture.transpose(2, 0, 1)), media_type="image/png")


async def _uploaded(request: Request) -> tuple[bytes, str | None]:
    """The bytes of a form's one picture, of a kind whose decoder strangers may reach, and the label that it is to get, if any.

    Raises:
        RefusedError: there is none, or of another kind.
    """
    async with request.form(max_files=1, max_fields=8) as form:
        picture = form.get("picture")
        content = await picture.read() if isinstance(picture, UploadFile) else b""
        label = str(form.get("label", "")) or None
    if not content:
        raise RefusedError(400, "no picture was chosen")
    if not is_plain(content):
        raise RefusedError(400, "this picture is of a format that is not read here; choose a PNG, JPEG, WebP, GIF, BMP or .npy")
    return content, label


def _data_uri(content: bytes, form: str = "image/png") -> str:
    return f"data:{form};base64,{base64.b64encode(content).decode()}"
