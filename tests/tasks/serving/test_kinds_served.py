"""Each kind of data in the forms that it has; pictures that come as files; what a server says of itself."""

from __future__ import annotations

import base64
import csv
import json
import re
import zipfile
from collections.abc import Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import planted_table
import pytest
import torch
from jsonschema import Draft202012Validator
from numpy.typing import NDArray
from openapi_spec_validator import validate
from PIL import Image
from real_mlflow import tiny_generator
from row_generator import untrained
from served import STRICT, Registered, running

from gan_core.data.dataset import DatasetSpec
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.attributes import Attributed
from gan_core.kinds.captions import Captioned
from gan_core.kinds.schema import Schema
from gan_core.kinds.unpaired import Unpaired
from gan_core.networks import build_generator
from gan_core.params.networks import GENERATORS
from tasks.inputs import Inputs
from tasks.provenance import Origin
from tasks.sample_files import write_samples
from tasks.serving.answers import JSON, chosen
from tasks.serving.app import Server


def built(data: DatasetSpec, family: str, latent: int, **told: Any) -> Generator:
    params = GENERATORS[family].model_validate(told)
    torch.manual_seed(0)
    network = build_generator(params, data, latent)
    return Generator(GeneratorConfig("gan", data, latent, params, 640, 3, "d" * 64), network)


def rows() -> Generator:
    values, labels = planted_table.rows(300)
    return untrained(Schema(planted_table.COLUMNS, "bought"), values, planted_table.CLASSES, labels)


def translator() -> Generator:
    return built(Unpaired((3, 16, 16), inputs=(3, 16, 16)), "round-trip", 0, width=4, blocks=1)


def captioned() -> Generator:
    data = Captioned((3, 16, 16), vocabulary=("red", "heart"), caption_length=2, examples=("red heart",))
    return built(data, "stack", 12, width=4, code=4)


def by_label() -> Generator:
    return built(Attributed((3, 16, 16), {}, ("light", "very dark"), (3, 16, 16)), "translator", 0, width=4, blocks=1)


MADE = {
    "points": lambda: tiny_generator(kind="points"), "rows": rows, "translator": translator, "captioned": captioned, "by-label": by_label,
}  # fmt: skip


@pytest.fixture(scope="module")
def clients(registered: Registered) -> Iterator[dict[str, httpx.Client]]:
    """A client of a server of each kind."""
    for name, make in MADE.items():
        registered.add(make(), name)
    servers = {name: running(Server(registered.workspace, name, STRICT, look_every=3_600)) for name in MADE}
    yield {name: server.__enter__() for name, server in servers.items()}
    for server in servers.values():
        server.__exit__(None, None, None)


def origin(name: str, asked: dict[str, Any] | None, folder: Path) -> Origin:
    """What a picture of a server's says of it."""
    return Origin(name, 1, MADE[name]().save(folder / "generator").config.sha256, asked)


def png(image: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, format="png")
    return buffer.getvalue()


def pixels(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(BytesIO(content))).transpose(2, 0, 1)


PICTURES = np.random.default_rng(1).integers(0, 256, (2, 3, 16, 16), dtype=np.uint8)


class TestForms:
    def test_points(self, clients: dict[str, httpx.Client], tmp_path: Path) -> None:
        drawn = tiny_generator(kind="points").sample(6, seed=4)
        said = {"n": 6, "seed": 4}
        with np.load(BytesIO(clients["points"].post("/samples", json=said, headers={"Accept": "application/x-npz"}).content)) as found:
            np.testing.assert_array_equal(found["points"], drawn.samples)
        answer = clients["points"].post("/samples", json=said).json()["samples"]
        np.testing.assert_array_equal(np.float32([[one["x0"], one["x1"]] for one in answer]), drawn.samples)
        write_samples(drawn, tmp_path / "a.png", origin=origin("points", said, tmp_path))
        assert clients["points"].post("/samples", json=said, headers={"Accept": "image/*"}).content == (tmp_path / "a.png").read_bytes()

    def test_rows_of_a_table(self, clients: dict[str, httpx.Client], tmp_path: Path) -> None:
        drawn = rows().sample(50, seed=4)
        write_samples(drawn, tmp_path / "a.csv", planted_table.CLASSES)
        answer = clients["rows"].get("/samples?n=50&seed=4", headers={"Accept": "text/csv"})
        assert answer.content == (tmp_path / "a.csv").read_bytes()
        written = list(csv.DictReader(StringIO(answer.text)))
        for one, row in zip(clients["rows"].get("/samples?n=50&seed=4").json()["samples"], written, strict=True):
            assert {key: str(value) for key, value in one.items()} == row
        assert clients["rows"].get("/samples?n=5", headers={"Accept": "image/png"}).status_code == 406

    def test_pictures_of_prompts(self, clients: dict[str, httpx.Client]) -> None:
        said = {"prompt": ["red heart", "heart"], "seed": 3}
        drawn = captioned().sample(2, 3, prompts=["red heart", "heart"])
        with np.load(BytesIO(clients["captioned"].post("/samples", json=said, headers={"Accept": "application/x-npz"}).content)) as found:
            np.testing.assert_array_equal(found["images"], drawn.samples)
        answer = clients["captioned"].get("/samples?prompt=blue+heart&n=1").json()["samples"][0]
        assert (answer["prompt"], answer["unknown_words"]) == ("blue heart", "blue")

    def test_a_zip_has_the_files_of_a_folder(self, clients: dict[str, httpx.Client], tmp_path: Path) -> None:
        said = origin("captioned", {"n": 3, "seed": 1, "prompt": "heart"}, tmp_path)
        write_samples(captioned().sample(3, 1, prompts=["heart"]), tmp_path / "folder", origin=said)
        answer = clients["captioned"].get("/samples?n=3&seed=1&prompt=heart", headers={"Accept": "application/zip"})
        with zipfile.ZipFile(BytesIO(answer.content)) as archive:
            assert {name: archive.read(name) for name in archive.namelist()} == {
                path.name: path.read_bytes() for path in (tmp_path / "folder").iterdir()
            }


class TestPictures:
    def test_one_as_the_body(self, clients: dict[str, httpx.Client]) -> None:
        content = png(PICTURES[0])
        answer = clients["translator"].post("/samples", content=content, headers={"Content-Type": "image/png", "Accept": "image/png"})
        np.testing.assert_array_equal(pixels(answer.content), translator().translate(PICTURES[:1]).samples[0])

    def test_several_in_a_form_come_back_in_a_grid_beside_what_they_were(self, clients: dict[str, httpx.Client], tmp_path: Path) -> None:
        files = [("input", (f"{i}.png", png(image))) for i, image in enumerate(PICTURES)]
        answer = clients["translator"].post("/samples", files=files, headers={"Accept": "image/png"})
        said = origin("translator", None, tmp_path)
        write_samples(translator().translate(PICTURES), tmp_path / "a.png", None, Inputs(PICTURES, ("0", "1")), said)
        assert answer.content == (tmp_path / "a.png").read_bytes()

    def test_to_a_label_that_the_address_or_the_body_names(self, clients: dict[str, httpx.Client]) -> None:
        made = by_label().translate(PICTURES, label="very dark").samples
        headers, client = {"Content-Type": "image/png", "Accept": "image/png"}, clients["by-label"]
        answer = client.post("/samples?label=very+dark", content=png(PICTURES[0]), headers=headers)
        np.testing.assert_array_equal(pixels(answer.content), made[0])
        said = {"input": [base64.b64encode(png(image)).decode() for image in PICTURES], "label": "very dark"}
        answer = client.post("/samples", json=said).json()["samples"]
        assert [one["label"] for one in answer] == ["very dark"] * 2
        for one, expected in zip(answer, made, strict=True):
            np.testing.assert_array_equal(pixels(base64.b64decode(one["png"])), expected)
        for address, message in (
            ("/samples", "say which, of light, very dark"),
            ("/samples?label=pink", "no class 'pink'"),
            (
                "/samples?label=light&seed=3",
                "seed: this generator makes a picture of each that it is given; leave all but input and label out",
            ),
        ):
            refused = client.post(address, content=png(PICTURES[0]), headers=headers)
            assert (refused.status_code, message in refused.json()["error"]) == (400, True)
        told = client.get("/openapi.json").json()["paths"]["/samples"]["post"]["parameters"]
        assert [(one["name"], one["in"]) for one in told] == [("label", "query")]
        assert "samples?label=light" in client.get("/").text

    def test_in_base64_as_mlflow_takes_them(self, clients: dict[str, httpx.Client]) -> None:
        said = {"input": [base64.b64encode(png(image)).decode() for image in PICTURES]}
        answer = clients["translator"].post("/samples", json=said, headers={"Accept": "application/x-npz"})
        with np.load(BytesIO(answer.content)) as found:
            np.testing.assert_array_equal(found["images"], translator().translate(PICTURES).samples)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"no picture", "input: picture: "),
            (png(PICTURES[0])[:200], "input: picture: "),
            (b"II*\0" + b"\0" * 60, "of a format that is not read here; send PNG, JPEG, WebP, GIF, BMP or .npy"),
            (b"", "input: picture: "),
        ],
    )
    def test_what_is_no_picture_is_refused(self, clients: dict[str, httpx.Client], content: bytes, said: str) -> None:
        answer = clients["translator"].post("/samples", content=content, headers={"Content-Type": "image/png"})
        assert answer.status_code == 400
        assert said in answer.json()["error"]

    def test_one_of_very_many_pixels_is_refused_by_its_header(self, clients: dict[str, httpx.Client]) -> None:
        buffer = BytesIO()
        Image.new("1", (20_000, 20_000)).save(buffer, format="png")
        answer = clients["translator"].post("/samples", content=buffer.getvalue(), headers={"Content-Type": "image/png"})
        assert answer.status_code == 400
        assert "decompression bomb" in answer.json()["error"]

    def test_other_fields_and_other_generators(self, clients: dict[str, httpx.Client]) -> None:
        answer = clients["translator"].post("/samples", files={"imput": ("a.png", png(PICTURES[0]))})
        assert (answer.status_code, "'imput'" in answer.json()["error"]) == (400, True)
        answer = clients["translator"].post("/samples", json={"seed": 3, "input": ["aGk="]})
        assert "seed: this generator makes a picture of each that it is given" in answer.json()["error"]
        answer = clients["points"].post("/samples", content=png(PICTURES[0]), headers={"Content-Type": "image/png"})
        assert "this generator draws samples and is given no pictures" in answer.json()["error"]
        assert clients["translator"].get("/samples").status_code == 400


class TestDescribed:
    @pytest.mark.parametrize("name", list(MADE))
    def test_openapi_is_valid_and_names_what_can_be_said(self, clients: dict[str, httpx.Client], name: str) -> None:
        document = clients[name].get("/openapi.json").json()
        validate(document)
        schema = document["paths"]["/samples"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        keys = schema["properties"].keys()
        expected = {"points": "label", "rows": "label", "captioned": "prompt"}
        pictures = {"translator": {"input"}, "by-label": {"input", "label"}}
        assert keys == (pictures[name] if name in pictures else {"n", "seed", "truncation", "walk", expected[name]})
        if name == "captioned":
            assert Draft202012Validator(schema).is_valid({"prompt": ["red heart", "heart"], "seed": 1})
            assert not Draft202012Validator(schema).is_valid({"promt": "red heart"})

    def test_the_page_asks_no_other_host_for_anything(self, clients: dict[str, httpx.Client]) -> None:
        answer = clients["rows"].get("/")
        assert "rows, version 1" in answer.text
        assert "text/csv" in answer.text
        assert re.findall(r'(?:src|href)="([^"]*)"', answer.text) == ["openapi.json", "ready", "metrics"]
        assert "<script" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("image/png", "image/png"),
        ("image/*", "image/png"),
        ("IMAGE/WEBP", "image/webp"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", JSON),
        ("image/webp;q=0.5, image/png;q=0.4", "image/webp"),
        ("application/json;q=0, image/png", "image/png"),
        ("*/*, application/json;q=0", "image/png"),
        ("image/png;q=x", None),
        ("text/html", None),
    ],
)
def test_what_an_accept_header_likes_best(accept: str, form: str | None) -> None:
    assert chosen(accept, (JSON, "image/png", "image/webp")) == form


def test_a_record_is_json_that_every_reader_takes() -> None:
    from tasks.serving.answers import encoded

    generator = rows()
    answer = encoded(generator, 1, generator.sample(20), JSON)
    assert json.loads(answer, parse_constant=pytest.fail)["version"] == 1
