"""The studio, as a client asks it and as a person in a real browser clicks through it."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from importlib.util import find_spec
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import planted_table
import pytest
import soundfile
import torch
from chromium import Watched, chromium, serious
from PIL import Image, ImageSequence
from row_generator import untrained
from served import STRICT, Registered, running

from gan_core.data.dataset import DatasetSpec
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.attributes import Attributed
from gan_core.kinds.images import Images
from gan_core.kinds.predictions import Predictions
from gan_core.kinds.schema import Schema
from gan_core.kinds.sentences import Sentences
from gan_core.kinds.sounds import Sounds
from gan_core.kinds.unpaired import Unpaired
from gan_core.kinds.volumes import Volumes
from gan_core.latents import between
from gan_core.networks import build_generator
from gan_core.networks.common import LabelEmbedding
from gan_core.params.networks import GENERATORS
from gan_core.shading import AZIMUTH, shaded
from tasks.provenance import claim
from tasks.records.registry import Registry
from tasks.serving.app import Limits
from tasks.studio.app import Studio
from tasks.volumes import surface
from tasks.workspace import Workspace

TONES = ("light", "<i>very dark")
CLASSES = ("cat", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>')


def built(data: DatasetSpec, family: str, latent: int, seed: int = 0, **told: int) -> Generator:
    params = GENERATORS[family].model_validate(told)
    torch.manual_seed(seed)
    network = build_generator(params, data, latent)
    return Generator(GeneratorConfig("gan", data, latent, params, 640, seed, "d" * 64), network)


def words() -> Generator:
    return built(Sounds((1, 2_000), classes=("low", "high"), rate=8_000), "dcgan", 8, width=4)


def chairs() -> Generator:
    return built(Volumes((1, 16, 16, 16)), "dcgan", 8, width=4)


def lines() -> Generator:
    return built(Sentences((6,), vocabulary=("a", "cat", "dog", ".")), "sequence", 6, width=8, embedding=4)


def squares() -> Generator:
    data = Predictions((3, 4, 16, 16), inputs=(3, 2, 16, 16))
    return built(data, "unet", 0, width=4)


def tones() -> Generator:
    return built(Attributed((3, 16, 16), {}, TONES, (3, 16, 16)), "translator", 0, width=4, blocks=1)


def faces(seed: int) -> Generator:
    return built(Images((1, 16, 16), classes=CLASSES), "dcgan", 8, seed, width=4)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Iterator[Workspace]:
    """Three versions of `faces`, of which the second is the champion and the third the challenger; one of each other sort."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        found = Registered(tmp_path_factory.mktemp("studio") / "workspace", mlflow_database)
        for seed in range(3):
            found.add(faces(seed), "faces")
        registry = Registry.open(found.workspace)
        registry.move_champion(registry.version("faces", 2), 3, "rolled back")
        registry.set_challenger(registry.version("faces", 3))
        registry.set_tags(
            registry.version("faces", 3), {"metric.fid": "12.5", "decision_record": '{"outcome": "kept", "reasons": ["<i>"]}'}
        )
        found.add(words(), "words")
        found.add(chairs(), "chairs")
        found.add(lines(), "lines")
        found.add(built(Images((3, 16, 32)), "dcgan", 8, width=4), "wide")
        found.add(built(Unpaired((3, 16, 16), inputs=(3, 16, 16)), "round-trip", 0, width=4, blocks=1), "photos")
        found.add(tones(), "tones")
        found.add(squares(), "squares")
        found.add(built(Images((1, 16, 16), numbers=(-60.0, 60.0)), "dcgan", 8, width=4), "turned")
        values, labels = planted_table.rows(300)
        found.add(untrained(Schema(planted_table.COLUMNS, "bought"), values, planted_table.CLASSES, labels), "clients")
        ready = found.workspace.ready("faces")
        ready.mkdir(parents=True)
        train = np.concatenate([faces(1).sample(4, seed=5).samples, np.random.default_rng(0).integers(0, 256, (60, 1, 16, 16), np.uint8)])
        Images.pack(ready, {"train": train, "holdout": train[:2]}, None, None)
        yield found.workspace


@pytest.fixture(scope="module")
def client(workspace: Workspace) -> Iterator[httpx.Client]:
    with running(Studio(workspace, STRICT), lifespan="off") as one:
        yield one


def held(page: str, form: str) -> list[bytes]:
    """The files that a page holds itself."""
    return [base64.b64decode(one) for one in re.findall(rf'src="data:{form};base64,([^"]+)"', page)]


def animated(file: bytes) -> np.ndarray:
    """The frames of a film, (F, H, W, 3)."""
    return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(Image.open(BytesIO(file)))])


def picture(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(BytesIO(answer.content))


class TestAsked:
    def test_the_generators_and_the_views_of_each(self, client: httpx.Client) -> None:
        assert re.findall(r'<a href="/g/(\w+)">', client.get("/").text) == [
            "chairs",
            "clients",
            "faces",
            "lines",
            "photos",
            "squares",
            "tones",
            "turned",
            "wide",
            "words",
        ]
        for name, views in (
            ("faces", ["draw", "walk", "mix", "labels", "directions", "find", "nearest", "versions"]),
            ("photos", ["translate", "versions"]),
            ("tones", ["translate", "versions"]),
            ("squares", ["translate", "versions"]),
            ("turned", ["draw", "walk", "mix", "directions", "find", "versions"]),
            ("clients", ["draw", "versions"]),
            ("words", ["draw", "versions"]),
            ("lines", ["draw", "versions"]),
            ("chairs", ["draw", "turn", "versions"]),
            ("wide", ["draw", "walk", "mix", "directions", "find", "versions"]),
        ):
            page = client.get(f"/g/{name}").text
            assert list(dict.fromkeys(re.findall(r"view=(\w+)\"", page))) == views
            for view in views:
                assert client.get(f"/g/{name}?view={view}").status_code == 200

    def test_a_picture_is_what_gantry_sample_draws(self, client: httpx.Client, tmp_path: Path) -> None:
        answer = client.get("/g/faces/1/samples", params={"n": 1, "seed": 4, "label": CLASSES[1], "truncation": 1})
        drawn = faces(0).sample(1, 4, CLASSES[1], truncation=1).samples[0, 0]
        np.testing.assert_array_equal(np.asarray(picture(answer)), drawn)
        (tmp_path / "a.png").write_bytes(answer.content)
        assert (claim(tmp_path / "a.png").name, claim(tmp_path / "a.png").version) == ("faces", 1)

    def test_a_walk_is_a_film(self, client: httpx.Client) -> None:
        assert picture(client.get("/g/faces/1/samples?walk=true&form=gif&n=9")).n_frames == 9  # type: ignore[attr-defined]

    def test_the_middle_of_a_direction_is_the_sample_itself(self, client: httpx.Client) -> None:
        found = np.asarray(picture(client.get("/g/faces/1/directions", params={"seed": 3, "label": "cat"})))
        assert found.shape == (5 * 34 + 2, 7 * 34 + 2, 3)
        middle = found[2:34, 3 * 34 + 2 : 3 * 34 + 34, 0][::2, ::2]
        assert np.abs(middle.astype(int) - faces(0).sample(1, 3, "cat").samples[0, 0]).max() <= 1
        assert not np.array_equal(found[2:34, 2:34], found[2:34, 3 * 34 + 2 : 3 * 34 + 34])

    @pytest.mark.parametrize("share", [0, 0.5, 1])
    def test_a_mixture_lies_between_its_row_and_its_column(self, client: httpx.Client, share: float) -> None:
        asked = {"seed": 3, "other": 9, "share": share, "label": "cat", "truncation": 2}
        found = np.asarray(picture(client.get("/g/faces/1/mix", params=asked)))[..., 0].astype(int)
        assert found.shape == (6 * 34 + 2, 6 * 34 + 2)
        cells = found[2:, 2:].reshape(6, 34, 6, 34)[:, :32:2, :, :32:2].swapaxes(1, 2)
        left, top = (faces(0).sample(5, seed, "cat", truncation=2).samples[:, 0].astype(int) for seed in (3, 9))
        assert (cells[0, 0] == 255).all()
        assert max(np.abs(cells[1:, 0] - left).max(), np.abs(cells[0, 1:] - top).max()) <= 1
        inner = cells[1:, 1:]
        if share == 0.5:
            generator = faces(0)
            one, other = (generator.order(5, seed, "cat", truncation=2) for seed in (3, 9))
            halfway = replace(one, first=between(one.first, other.first[[2]], torch.tensor(0.5)), labels=None)
            assert np.abs(inner[:, 2] - generator.draw([halfway])[0].samples[:, 0]).max() <= 1
        else:
            assert np.abs(inner - (left[:, None] if share == 0 else top[None])).max() <= 1

    @pytest.mark.parametrize(("ends", "asked"), [(("cat", CLASSES[1]), {"label": "cat", "to": CLASSES[1]}), ((CLASSES[0], CLASSES[2]), {})])
    def test_labels_lie_between_labels(self, client: httpx.Client, ends: tuple[str, str], asked: dict[str, str]) -> None:
        found = np.asarray(picture(client.get("/g/faces/1/labels", params={"seed": 3, "truncation": 2, **asked})))[..., 0].astype(int)
        cells = found[2:, 2:].reshape(6, 34, 7, 34)[:, :32:2, :, :32:2].swapaxes(1, 2)
        for column, label in ((0, ends[0]), (-1, ends[1])):
            own = faces(0).sample(6, 3, label, truncation=2).samples[:, 0]
            assert np.abs(cells[:, column] - own).max() <= 1
        halfway = faces(0)
        for module in halfway.network.modules():
            if isinstance(module, LabelEmbedding):
                rows = [module.weight.data[CLASSES.index(label)] for label in ends]
                module.weight.data[0] = (rows[0] + rows[1]) / 2
        assert np.abs(cells[:, 3] - halfway.sample(6, 3, "cat", truncation=2).samples[:, 0]).max() <= 1
        assert not np.array_equal(cells[:, 3], cells[:, 0])
        assert not np.array_equal(cells[:, 3], cells[:, -1])

    def test_a_copy_of_the_training_data_is_seen_among_the_nearest(self, client: httpx.Client) -> None:
        assert "4 of 4 are less than half as far" in client.get("/g/faces?view=nearest&version=2&n=4&seed=5").text
        assert "0 of 4 are less than half as far" not in client.get("/g/faces?view=nearest&version=2&n=4&seed=5").text

    def test_each_sound_is_there_with_its_spectrogram(self, client: httpx.Client) -> None:
        page = client.get("/g/words?n=3&seed=4&label=high").text
        drawn = words().sample(3, 4, "high")
        heard = [soundfile.read(BytesIO(one), dtype="int16") for one in held(page, "audio/wav")]
        assert [rate for _, rate in heard] == [8_000] * 3
        np.testing.assert_array_equal([wave for wave, _ in heard], drawn.samples[:, 0])
        seen = [np.asarray(Image.open(BytesIO(one))) for one in held(page, "image/png")]
        np.testing.assert_array_equal(seen, Sounds.of(words().config.data).pictured(drawn.samples)[:, 0])
        assert page.count(": high</figcaption>") == 3
        kept = client.get("/g/words/1/samples?n=3&seed=4&form=wav")
        assert kept.headers["content-disposition"] == 'attachment; filename="words-1.wav"'
        assert soundfile.info(BytesIO(kept.content)).frames == 3 * 2_000 + 2 * 2_000  # a quarter of a second between

    def test_of_many_the_first_are_shown_each(self, client: httpx.Client) -> None:
        page = client.get("/g/words?n=40").text
        assert (page.count("<audio"), "The first 16 of 40; the files hold all" in page) == (16, True)

    def test_volumes_are_seen_from_four_sides(self, client: httpx.Client) -> None:
        seen = [np.asarray(Image.open(BytesIO(one))) for one in held(client.get("/g/chairs?n=2&seed=1").text, "image/png")]
        drawn = chairs().sample(2, 1).samples
        side = seen[0].shape[0] // 2
        for (row, column), turn in {(0, 0): 0, (0, 1): 90, (1, 1): 180, (1, 0): 270}.items():
            part = [one[row * side :, column * side :][:side, :side] for one in seen]
            np.testing.assert_array_equal(part, shaded(drawn, azimuth=AZIMUTH + turn)[:, 0])

    def test_a_mesh_is_kept_or_it_is_said_why_not(self, client: httpx.Client) -> None:
        answer = client.get("/g/chairs/1/samples?n=2&form=stl")
        if find_spec("trimesh") is None or find_spec("skimage") is None:
            assert (answer.status_code, "meshes need" in answer.text) == (400, True)
        else:
            import trimesh

            assert answer.headers["content-disposition"] == 'attachment; filename="chairs-1.stl"'
            assert len(trimesh.load_mesh(BytesIO(answer.content), file_type="stl").triangles) > 100

    def test_a_volumes_surface_is_turned_on_a_page_of_its_own(self, client: httpx.Client) -> None:
        trimesh = pytest.importorskip("trimesh")
        answer = client.get("/g/chairs/1/turn?n=3&seed=1&which=2")
        shown = trimesh.load(BytesIO(base64.b64decode(re.findall(r'base64_data="([^"]+)"', answer.text)[0])), file_type="glb").to_mesh()
        points, triangles = surface(chairs().sample(3, 1).samples[1])
        assert len(shown.faces) == len(triangles)
        there = points[:, [0, 2, 1]] * [1, 1, -1]  # to three.js the second axis is upright
        np.testing.assert_allclose(shown.bounds, [there.min(axis=0), there.max(axis=0)], atol=1e-4)
        told = answer.headers["content-security-policy"].split("; ")
        assert {"sandbox allow-scripts", "default-src 'none'", "connect-src data:"} <= set(told)

    def test_pictures_that_are_wider_than_high_stay_so(self, client: httpx.Client) -> None:
        assert picture(client.get("/g/wide/1/samples?n=1")).size == (32, 16)
        assert picture(client.get("/g/wide/1/samples?n=4")).size == (2 * 34 + 2, 2 * 18 + 2)
        width, height = picture(client.get("/g/wide/1/samples?walk=true&form=gif&n=9")).size
        assert width == 2 * height
        assert picture(client.get("/g/wide/1/directions")).size == (7 * 34 + 2, 5 * 18 + 2)

    def test_rows(self, client: httpx.Client) -> None:
        assert client.get("/g/clients?n=7").text.count("<tr>") == 8
        assert len(client.get("/g/clients/1/samples?form=csv&n=7").text.splitlines()) == 8

    def test_sentences_are_read_and_kept_as_text(self, client: httpx.Client) -> None:
        drawn = lines().sample(3, 4)
        texts = Sentences.of(lines().config.data).texts(drawn.samples)
        page = client.get("/g/lines?n=3&seed=4").text
        assert all(f"<td>{text}</td>" in page for text in texts)
        assert "form=txt" in page
        assert client.get("/g/lines/1/samples?form=txt&n=3&seed=4").text.splitlines() == texts

    def test_a_clip_is_shown_with_how_it_goes_on(self, client: httpx.Client) -> None:
        frames = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
        sent = BytesIO()
        first, second = map(Image.fromarray, frames)
        first.save(sent, "webp", save_all=True, append_images=[second], duration=40, lossless=True)
        page = client.post("/g/squares/1/translate", files={"picture": ("a.webp", sent.getvalue())}).text
        assert ("slider" in page.partition("</style>")[2], 'download="squares-1.webp"' in page) == (False, True)
        before, whole = (animated(one) for one in held(page, "image/webp")[:2])
        np.testing.assert_array_equal(before, frames)
        made = squares().translate(frames.transpose(3, 0, 1, 2)[None]).samples[0]
        np.testing.assert_array_equal(whole, np.concatenate([frames, made.transpose(1, 2, 3, 0)]))

    def test_a_picture_is_translated_to_the_label_of_the_menu(self, client: httpx.Client) -> None:
        page = client.get("/g/tones").text
        assert re.findall(r"<option[^>]*>([^<]*)</option>", page) == [escape(tone) for tone in TONES]
        given = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        sent = BytesIO()
        Image.fromarray(given).save(sent, "png")
        for label in TONES:
            page = client.post("/g/tones/1/translate", files={"picture": ("a.png", sent.getvalue())}, data={"label": label}).text
            before, after = (np.asarray(Image.open(BytesIO(one))) for one in held(page, "image/png"))
            assert np.array_equal(before, given)
            made = tones().translate(given.transpose(2, 0, 1)[None], label=label).samples[0]
            assert np.array_equal(after.transpose(2, 0, 1), made)
            assert re.findall(r"<option selected>([^<]*)</option>", page)[0] == escape(label)
        for data, said in (({}, "say which, of light"), ({"label": "pink"}, "no class")):
            answer = client.post("/g/tones/1/translate", files={"picture": ("a.png", sent.getvalue())}, data=data)
            assert (answer.status_code, said in answer.text) == (400, True)

    def test_a_number_has_a_slider_between_its_ends(self, client: httpx.Client) -> None:
        page = client.get("/g/turned?label=-12.5").text
        field = '<input name="label" id="number" type="number" min="-60" max="60" step="any"'
        assert f'{field} value="-12.5" placeholder="-60 to 60">' in page
        assert '<input type="range" id="to" min="-60" max="60" step="1.2" value="-12.5" aria-label="label">' in page
        assert 'value="" placeholder' in client.get("/g/turned").text
        for view in ("mix", "directions"):
            assert client.get(f"/g/turned/1/{view}?seed=3").content == client.get(f"/g/turned/1/{view}?seed=3&label=0").content
        assert client.get("/g/turned/1/samples?label=61").status_code == 400

    def test_what_is_the_datas_is_escaped(self, client: httpx.Client) -> None:
        for view in ("draw", "versions"):
            page = client.get("/g/faces", params={"view": view, "label": CLASSES[2], "seed": 1, "prompt": "<u>"})
            assert all(one not in page.text for one in (*CLASSES[1:], "<i>", "<u>"))
        assert "&lt;script&gt;" in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]


class TestRefused:
    @pytest.mark.parametrize(
        ("address", "status", "said"),
        [
            ("/g/nothing", 404, "no generator"),
            ("/g/..%2f..%2fetc", 404, ""),
            ("/g/faces?version=9", 400, "no version 9"),
            ("/g/faces/1/samples?n=257", 400, "not in 1 to 256"),
            ("/g/faces?view=nearest&n=100000", 400, "n: 100000"),
            ("/g/faces/1/samples?sed=1", 400, "did you mean seed"),
            ("/g/words/1/samples?n=257&form=wav", 400, "not in 1 to 256"),
            ("/g/faces/1/samples?form=stl", 400, "is no form that"),
            ("/g/faces/1/samples?form=exe", 400, "there are png"),
            ("/g/faces/1/samples?label=horse", 400, "no class"),
            ("/g/photos/1/directions", 400, "families dcgan, residual and modern"),
            ("/g/faces/1/directions?reach=x", 400, "reach: is no number"),
            ("/g/faces/1/mix?share=1.5", 400, "share: is no number from 0 to 1"),
            ("/g/faces/1/mix?other=-1", 400, "other: is no whole number"),
            ("/g/clients/1/mix", 400, "are no pictures"),
            ("/g/faces/1/turn", 400, "only volumes have a surface"),
            ("/g/chairs?view=turn&n=2&which=3", 400, "which: 3 is not in 1 to 2"),
            ("/g/chairs/1/turn?which=0", 400, "which: is no whole number from 1"),
            ("/g/turned/1/labels", 400, "draws no images of classes"),
            ("/g/faces/1/labels?to=horse", 400, "no class"),
            ("/g/faces/1/directions?reach=nan", 400, "reach: is no number"),
        ],
    )
    def test_what_cannot_be_answered(self, client: httpx.Client, address: str, status: int, said: str) -> None:
        answer = client.get(address)
        assert answer.status_code == status
        assert said in answer.text

    def test_other_names_and_pages_of_other_sites(self, client: httpx.Client) -> None:
        assert client.get("/", headers={"Host": "evil.example"}).status_code == 421
        told = {"version": "3", "confirmed": "yes"}
        assert client.post("/g/faces/move", data=told, headers={"Origin": "http://evil.example"}).status_code == 403

    def test_nothing_is_moved_without_being_confirmed(self, client: httpx.Client, workspace: Workspace) -> None:
        assert client.get("/g/faces/move?version=3").status_code == 200
        assert client.post("/g/faces/move", data={"version": "3"}).status_code == 400
        assert Registry.open(workspace).aliases("faces")["champion"] == 2

    @pytest.mark.parametrize(
        ("content", "said"),
        [(b"", "no picture was chosen"), (b"II*\0" + b"\0" * 60, "of a format that is not read here"), (b"\x89PNG\r\n\x1a\n", "picture: ")],
    )
    def test_uploads_that_are_no_pictures(self, client: httpx.Client, content: bytes, said: str) -> None:
        answer = client.post("/g/photos/1/translate", files={"picture": ("a.png", content)})
        assert answer.status_code == 400
        assert said in answer.text

    def test_uploads_that_would_be_too_large(self, client: httpx.Client) -> None:
        file = BytesIO()
        Image.new("1", (8, 8)).save(file, "png")
        head = b"IHDR" + struct.pack(">II", 40_000, 40_000) + file.getvalue()[24:29]
        large = file.getvalue()[:12] + head + struct.pack(">I", zlib.crc32(head)) + file.getvalue()[33:]
        answer = client.post("/g/photos/1/translate", files={"picture": ("a.png", large)})
        assert answer.status_code == 400
        assert "decompression bomb: declares more than" in answer.text
        assert client.post("/g/photos/1/translate", files={"picture": ("a.png", bytes(33 * 2**20))}).status_code == 413

    def test_without_the_token(self, workspace: Workspace) -> None:
        with running(Studio(workspace, Limits(token="a secret of some length")), lifespan="off") as one:
            assert one.get("/g/faces").status_code == one.get("/g/faces/1/samples").status_code == 401
            assert one.post("/enter", data={"token": "another one"}).status_code == 401
            assert one.post("/enter", data={"token": "a secret of some length"}, follow_redirects=True).status_code == 200
            assert one.get("/g/faces").status_code == 200
            one.cookies.set("gantry-studio", "guessed", domain="127.0.0.1")


def test_a_browser_clicks_through_it_and_asks_nobody_else(client: httpx.Client, workspace: Workspace, tmp_path: Path) -> None:
    with chromium() as program:
        tab = Watched(program, viewport={"width": 360, "height": 740})
        page, complaints = tab.page, []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)

        def whole() -> None:
            """All pictures are there, and nothing is wider than the window."""
            page.wait_for_load_state("load")
            assert page.evaluate("[...document.images].every(one => one.naturalWidth > 1)")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

        page.goto(str(client.base_url))
        page.click("text=faces")
        for view in ("Draw", "Walk", "Labels", "Directions", "Nearest", "Versions"):
            page.click(f"nav >> text={view}")
            assert page.inner_text("nav a[aria-current]") == view
            whole()
        assert serious(page) == []
        assert page.locator("img").count() == 3
        page.click("text=Promote 3")
        assert "Whoever asks for the champion gets version 3" in page.inner_text("main")
        page.click("text=Yes, do it")
        assert "version 3 is the champion now" in page.inner_text("[role=status]")
        page.click("text=Roll back")
        page.click("text=Yes, do it")
        assert Registry.open(workspace).aliases("faces") == {"champion": 2}

        # By the keyboard alone: a new seed, Enter, and on to the next thing.
        page.goto(f"{client.base_url}/g/faces")
        page.focus("input[name=seed]")
        page.keyboard.press("Control+A")
        page.keyboard.type("41")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert "seed=41" in page.url
        assert "seed=41" in (page.get_attribute("figure img", "src") or "")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.tagName") == "A"

        Image.new("RGB", (30, 20), "red").save(tmp_path / "a.png")
        page.set_viewport_size({"width": 1_000, "height": 900})
        page.goto(f"{client.base_url}/g/photos")
        page.set_input_files("input[type=file]", tmp_path / "a.png")
        page.click("button")
        whole()
        page.focus("#at")
        page.keyboard.press("Home")
        assert page.evaluate("getComputedStyle(document.querySelector('.after')).clipPath") == "inset(0px 0px 0px 0%)"
        assert serious(page) == []
        page.goto(f"{client.base_url}/g/turned?seed=4")
        page.focus("#to")
        page.keyboard.press("End")
        assert page.input_value("input[name=label]") == "60"
        page.click("button")
        assert "label=60" in (page.get_attribute("figure img", "src") or "")
        assert page.input_value("#to") == "60"
        whole()
        page.goto(f"{client.base_url}/g/faces?view=find")
        page.set_input_files("input[type=file]", tmp_path / "a.png")
        page.click("button")
        whole()
        assert "Its pixels differ by" in page.inner_text("section")
        for name, count in (("words", 16), ("chairs", 16), ("wide", 1)):
            page.goto(f"{client.base_url}/g/{name}")
            whole()
            assert page.locator("figure img").count() == count
            # No side is stretched, however the page is laid out; but a sound's time is as wide as what plays it.
            ratios = "[...document.images].map(one => (one.width / one.height) / (one.naturalWidth / one.naturalHeight))"
            assert name == "words" or page.evaluate(ratios) == pytest.approx([1] * count, rel=0.02)
            assert serious(page) == []
        if find_spec("trimesh") is not None and find_spec("skimage") is not None:
            page.goto(f"{client.base_url}/g/chairs?seed=1")
            page.click("text=Turn 3")
            whole()
            inside = page.frames[1]
            inside.wait_for_function("typeof camera !== 'undefined' && renderer.info.render.triangles > 100")
            assert serious(page) == []
            places, box = [inside.evaluate("camera.position.toArray()")], page.locator("iframe").bounding_box()
            assert box is not None
            page.mouse.move(box["x"] + 100, box["y"] + 100)
            page.mouse.down()
            page.mouse.move(box["x"] + 200, box["y"] + 120, steps=3)
            page.mouse.up()
            for key in ("ArrowLeft", "ArrowUp"):
                places.append(inside.evaluate("camera.position.toArray()"))
                page.keyboard.press(key)
            places.append(inside.evaluate("camera.position.toArray()"))
            touches = page.context.new_cdp_session(page)
            for fingers in ([[100, 140, 180, 220]], [[150, 145, 140, 135], [210, 215, 220, 225]]):  # one turns it, two enlarge it
                for step, kind in enumerate(["touchStart", "touchMove", "touchMove", "touchMove", "touchEnd"]):
                    at = [{"x": box["x"] + to[step], "y": box["y"] + 100, "id": i} for i, to in enumerate(fingers) if step < len(to)]
                    touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
                page.wait_for_timeout(100)
                places.append(inside.evaluate("camera.position.toArray()"))
            assert box["width"] == pytest.approx(box["height"])  # or a narrow window cuts it off
            far = [np.linalg.norm(np.subtract(one, other)) for one, other in pairwise(places)]
            assert min(far) > 1
        page.goto(f"{client.base_url}/g/words")
        play = "one.onended = () => end(one.duration); one.play().catch(not)"
        heard = f"new Promise((end, not) => {{ const one = document.querySelector('audio'); {play} }})"
        assert page.evaluate(heard) == pytest.approx(0.25)
        page.goto(f"{client.base_url}/g/clients")
        assert page.locator("tr").count() == 17
        assert tab.elsewhere == []
        assert complaints == []
