"""What a server says of itself: OpenAPI, and a page of it that asks no other host for anything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tasks import kinds
from tasks.serving.answers import JSON
from tasks.serving.asked import DEFAULTS, MAX_COUNT

if TYPE_CHECKING:
    from tasks.serving.champion import Served

_SAID = {
    "n": f"How many samples, 1 to {MAX_COUNT:,}.",
    "seed": "The same seed draws the same samples.",
    "label": "The class of all samples, by name, or their number, or of each, in a list; of numbers also their ends, as 20:60.",
    "prompt": "What all samples are to show, or each, in a list.",
    "truncation": "Bound on each latent coordinate; 0: none.",
    "walk": "From one sample to the next, step by step.",
    "input": "Pictures to translate: their files, in base64.",
}
_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{ name }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1f2328; background: #fff }
body { overflow-wrap: break-word }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #d0d7de }
@media (max-width: 30rem) { table { font-size: .8125rem } td, th { padding: .3rem .4rem .3rem 0 } }
pre { background: #f6f8fa; padding: .8rem; white-space: pre-wrap }
@media (prefers-color-scheme: dark) {
  :root { color-scheme: dark } body { color: #e6e4df; background: #15181b } a { color: #7db4ea }
  td, th { border-color: #32383d } pre { background: #1d2125 }
}
</style></head>
<body>
<h1>{{ name }}, version {{ version }}</h1>
<p>{{ about }} As <a href="openapi.json">OpenAPI</a>; <a href="ready">readiness</a>, <a href="metrics">metrics</a>.</p>
<h2>Ask</h2>
<pre>{{ example }}</pre>
<table><tr><th>key</th><th>type</th><th>default</th><th>what it is</th></tr>
{% for key, one in asked.items() %}
<tr><td>{{ key }}</td><td>{{ one.type }}</td><td>{{ one.default }}</td><td>{{ one.description }}</td></tr>
{% endfor %}</table>
{% if labels %}<p>Labels: {{ labels }}.</p>{% endif %}
<h2>Accept</h2>
<ul>{% for form in forms %}<li><code>{{ form }}</code></li>{% endfor %}</ul>
</body></html>
"""


def openapi(served: Served) -> dict[str, Any]:
    """The server as an OpenAPI 3.1 document."""
    asked, config = _asked(served), served.generator.config
    forms = {form: {} if form == JSON else {"schema": {"type": "string", "format": "binary"}} for form in served.forms}
    refused = {
        "application/json": {"schema": {"type": "object", "properties": {"error": _text("Why."), "request": _text("The request's id.")}}}
    }
    answers = {
        "200": {"description": "Samples.", "headers": {"X-Gantry-Version": {"schema": {"type": "integer"}}}, "content": forms},
        "400": {"description": "It is not asked so.", "content": refused},
        "406": {"description": "No such form.", "content": refused},
        "429": {"description": "Too much waits.", "headers": {"Retry-After": {"schema": {"type": "integer"}}}, "content": refused},
    }
    body: dict[str, Any] = {"application/json": {"schema": {"type": "object", "properties": _bodies(asked), "additionalProperties": False}}}
    if config.inputs is not None:
        files = {"type": "array", "items": {"type": "string", "format": "binary"}}
        body["multipart/form-data"] = {"schema": {"type": "object", "properties": {"input": files}, "additionalProperties": False}}
        body["image/*"] = {"schema": {"type": "string", "format": "binary"}}
    ask: dict[str, Any] = {"post": {"summary": "Draw", "requestBody": {"content": body}, "responses": answers}}
    said = {key: one for key, one in asked.items() if key != "input"}
    query = [{"name": key, "in": "query", "description": one["description"], "schema": _schema(one)} for key, one in said.items()]
    if config.inputs is None:
        ask["get"] = {"summary": "Draw", "parameters": query, "responses": answers}
    elif query:  # beside pictures that are the body
        ask["post"]["parameters"] = query
    plain = {"get": {"responses": {"200": {"description": "So it is."}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": served.name, "version": str(served.number), "description": _about(served)},
        "paths": {"/samples": ask, "/health": plain, "/ready": plain, "/metrics": plain},
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def page(served: Served) -> str:
    """The same for people, as HTML without a script."""
    from jinja2 import Environment

    config = served.generator.config
    translates = config.inputs is not None
    how = '--data-binary @picture.png -H "Content-Type: image/png"' if translates else f"-d '{json.dumps({'n': 4, 'seed': 1})}'"
    address = "http://127.0.0.1:8080/samples"
    if (targets := config.targets) is not None:
        address = f'"{address}?label={quote(str(targets.named(targets.usual)))}"'
    return (
        Environment(autoescape=True)
        .from_string(_PAGE)
        .render(
            name=served.name,
            version=served.number,
            about=_about(served),
            asked=_asked(served),
            labels=None if config.condition is None else config.condition.listed,
            forms=served.forms,
            example=f'curl {address} {how} -H "Accept: {served.forms[1]}" -o samples',
        )
    )


def _asked(served: Served) -> dict[str, dict[str, Any]]:
    """The keys of a request to this generator."""
    config = served.generator.config
    if config.inputs is not None:
        pictures = {"input": {"type": "array", "items": {"type": "string"}, "description": _SAID["input"], "default": []}}
        label = {"label": {"type": "string", "description": "What pictures are to become, by name or number.", "default": ""}}
        return pictures if config.targets is None else {**pictures, **label}
    left_out = {"label"} if config.condition is None else set()
    left_out |= {"prompt"} if config.prompts is None else {"label"}
    return {
        key: {"type": _TYPES[type(default)], "default": default, "description": _SAID[key]}
        for key, default in DEFAULTS.items()
        if key not in left_out
    }


def _about(served: Served) -> str:
    return f"Draws {kinds.of(served.generator.config.kind).makes}."


def _schema(one: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in one.items() if key != "description"}


def _bodies(asked: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The keys as JSON takes them: what is asked by text may be a list, a text a sample."""
    each = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    return {
        key: {**each, "description": one["description"], "default": one["default"]} if one["type"] == "string" else one
        for key, one in asked.items()
    }


def _text(said: str) -> dict[str, str]:
    return {"type": "string", "description": said}
