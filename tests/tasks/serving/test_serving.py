"""A server that really listens, asked by clients: what it answers is what `gantry sample` draws."""

from __future__ import annotations

import base64
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from real_mlflow import tiny_generator
from served import NAME, STRICT, Registered, running
from signing import write_certificate

from gan_core.generator import Order, Samples
from tasks.credentials import CERTIFICATE, KEY, checked
from tasks.provenance import Origin, claim
from tasks.sample_files import write_samples
from tasks.serving.app import Limits, Server
from tasks.serving.run import limits_of

ROOT = Path(__file__).parents[3]


def arrays(answer: httpx.Response) -> dict[str, NDArray[Any]]:
    assert answer.status_code == 200, answer.text
    with np.load(BytesIO(answer.content)) as found:
        return dict(found)


def ask(client: httpx.Client, accept: str = "application/x-npz", **said: Any) -> httpx.Response:
    return client.post("/samples", json=said, headers={"Accept": accept})


class TestAnswers:
    def test_the_bytes_are_those_of_gantry_sample(self, client: httpx.Client, tmp_path: Path) -> None:
        generator = tiny_generator().save(tmp_path / "generator")
        drawn = generator.sample(5, seed=7, label="dog")
        origin = Origin(NAME, 1, generator.config.sha256, {"n": 5, "seed": 7, "label": "dog"})
        forms = {".npz": "application/x-npz", ".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg", ".gif": "image/gif"}
        for suffix, form in forms.items():
            write_samples(drawn, tmp_path / f"samples{suffix}", generator.config.classes, None, origin)
            answer = ask(client, form, n=5, seed=7, label="dog")
            assert answer.content == (tmp_path / f"samples{suffix}").read_bytes()
            assert answer.headers["content-type"] == form
            assert answer.headers["x-gantry-version"] == "1"

    def test_json_has_a_record_for_each(self, client: httpx.Client) -> None:
        drawn = tiny_generator().sample(4, seed=2)
        answer = client.get("/samples?n=4&seed=2").json()
        assert answer["version"] == 1
        assert [one["label"] for one in answer["samples"]] == ["cat", "dog", "3", "cat"]
        for one, image in zip(answer["samples"], drawn.samples, strict=True):
            np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(base64.b64decode(one["png"])))), image[0])

    @pytest.mark.parametrize("form", ["image/png", "image/webp"])
    def test_a_single_image_is_that_image(self, client: httpx.Client, form: str) -> None:
        answer = ask(client, form, n=1, seed=3)
        picture = np.asarray(Image.open(BytesIO(answer.content)).convert("L"))
        np.testing.assert_array_equal(picture, tiny_generator().sample(1, seed=3).samples[0, 0])

    def test_a_picture_says_what_was_asked_unless_it_is_not_to(self, client: httpx.Client, registered: Registered, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(ask(client, "image/png", label=["3", "cat"], seed=2).content)
        assert claim(tmp_path / "a.png").asked == {"n": 2, "seed": 2, "label": ["3", "cat"]}
        with running(Server(registered.workspace, NAME, Limits(provenance=False), look_every=3_600)) as silent:
            assert Image.open(BytesIO(ask(silent, "image/png", n=2).content)).info == {}

    def test_files_are_signed_where_there_is_a_certificate(
        self, registered: Registered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for variable, path in zip((CERTIFICATE, KEY), write_certificate(tmp_path), strict=True):
            monkeypatch.setenv(variable, str(path))
        signing = limits_of("127.0.0.1", waiting=8, sign=True)
        with running(Server(registered.workspace, NAME, signing, look_every=3_600)) as one:
            (tmp_path / "one.png").write_bytes(ask(one, "image/png", n=1).content)
            (tmp_path / "some.webp").write_bytes(ask(one, "image/webp", n=4).content)
            with zipfile.ZipFile(BytesIO(ask(one, "application/zip", n=2).content)) as archive:
                archive.extractall(tmp_path / "each")
            assert ask(one, n=1).status_code == 200  # arrays hold no signature
        for path in (tmp_path / "one.png", tmp_path / "some.webp", *(tmp_path / "each").iterdir()):
            assert "signed by Ada" in str(checked(path))
            assert claim(path).name == NAME

    def test_each_by_its_own_label_and_what_else_can_be_said(self, client: httpx.Client) -> None:
        got = arrays(ask(client, label=["3", "cat"], seed=2))
        np.testing.assert_array_equal(got["images"], tiny_generator().sample(2, seed=2, labels=np.array([2, 0])).samples)
        np.testing.assert_array_equal(
            arrays(client.get("/samples?label=3&label=cat&seed=2", headers={"Accept": "application/x-npz"}))["labels"], [2, 0]
        )
        got = arrays(ask(client, n=5, label="dog", truncation=0.5, walk=True))
        np.testing.assert_array_equal(got["images"], tiny_generator().sample(5, label="dog", truncation=0.5, walk=True).samples)

    def test_accept_is_heard(self, client: httpx.Client) -> None:
        assert ask(client, "text/html, image/*;q=0.8, */*;q=0.1", n=1).headers["content-type"] == "image/png"
        answer = ask(client, "text/html", n=1)
        assert answer.status_code == 406
        assert "image/webp" in answer.json()["error"]


class TestRefused:
    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b'{"lable": "3"}', "'lable' is not known; did you mean label?"),
            (b'{"n": 0}', "n: 0 is not in 1 to 10,000"),
            (b'{"n": 10001}', "n: 10001 is not in 1 to 10,000"),
            (b'{"n": "4"}', "n: '4' is no whole number"),
            (b'{"n": true}', "n: 'True' is no whole number"),
            (b'{"n": Infinity}', "n: 'inf' is no whole number"),
            (b'{"truncation": -1}', "truncation: -1.0 is not above 0"),
            (b'{"truncation": 1' + b"0" * 400 + b"}", "is no number"),
            (b'{"seed": -1}', "seed: -1 is not in 0 to 2**63 - 1"),
            (b'{"label": "horse"}', "label: no class 'horse'; this generator knows cat, dog, 3"),
            (b'{"label": []}', "n: 0 is not in 1 to 10,000"),
            (b'{"label": ["cat"], "n": 2}', "leave n out"),
            (b'{"seed": [1, 2]}', "seed: '[1, 2]' is no whole number"),
            (b'{"prompt": "a cat"}', "prompt: this generator knows no text"),
            (b'{"input": ["aGk="]}', "input: this generator draws samples and is given no pictures"),
            (b'{"n": 1, "n": 2}', "a key stands twice"),
            (b"[" * 100_000, "the body is no JSON"),
            (b"\xff\xfe", "the body is no JSON"),
            (b"[1]", "the body is no JSON object"),
        ],
    )
    def test_what_is_no_request_is_refused_in_a_line(self, client: httpx.Client, body: bytes, said: str) -> None:
        answer = client.post("/samples", content=body)
        assert answer.status_code == 400
        assert said in answer.json()["error"]

    def test_a_query_too(self, client: httpx.Client) -> None:
        for query, said in (
            ("sed=1", "did you mean seed?"),
            ("n=x", "n: 'x' is no whole number"),
            ("walk=yes", "walk: 'yes' is no true or false"),
        ):
            answer = client.get(f"/samples?{query}")
            assert answer.status_code == 400
            assert said in answer.json()["error"]

    def test_other_places_and_methods(self, client: httpx.Client) -> None:
        assert client.get("/nothing").status_code == 404
        answer = client.delete("/samples")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")

    def test_a_page_that_gave_this_address_another_name(self, client: httpx.Client) -> None:
        assert client.get("/samples", headers={"Host": "evil.example"}).status_code == 421

    def test_a_body_without_end(self, client: httpx.Client) -> None:
        answer = client.post("/samples", content=(b" " * 2**20 for _ in range(40)))
        assert answer.status_code == 413
        raw = http.client.HTTPConnection(client.base_url.netloc.decode(), timeout=60)
        raw.putrequest("POST", "/samples")
        raw.putheader("Content-Length", str(2**40))
        raw.endheaders()
        assert raw.getresponse().status == 413
        raw.close()

    def test_without_the_token(self, registered: Registered) -> None:
        server = Server(registered.workspace, NAME, Limits(token="a secret of some length"), look_every=3_600)
        with running(server) as client:
            assert client.get("/samples").status_code == 401
            assert client.get("/metrics", headers={"Authorization": "Bearer another one"}).status_code == 401
            assert client.get("/health").status_code == client.get("/ready").status_code == 200
            assert client.get("/samples?n=1", headers={"Authorization": "Bearer a secret of some length"}).status_code == 200


class TestTogether:
    def test_many_clients_at_once_get_what_they_would_alone(self, client: httpx.Client, server: Server) -> None:
        asked = [{"n": 1 + i % 7, "seed": i, **({"label": "3"} if i % 3 else {})} for i in range(60)]
        with ThreadPoolExecutor(16) as clients:
            answers = list(clients.map(lambda one: arrays(ask(client, **one)), asked))
        alone = tiny_generator()
        for answer, one in zip(answers, asked, strict=True):
            np.testing.assert_array_equal(answer["images"], alone.sample(**one).samples)

    def test_requests_that_wait_share_a_pass(self, registered: Registered) -> None:
        server = Server(registered.workspace, NAME, STRICT, look_every=3_600)
        passes: list[tuple[int, int]] = []
        server.batcher._on_batch = lambda requests, samples: passes.append((requests, samples))
        held = threading.Event()
        with running(server) as client, ThreadPoolExecutor(9) as clients:
            first = server.batcher.submit(
                lambda: server.champion.served,
                1,
                lambda generator: held.wait(30) and generator.order(1),
                lambda served, samples, seconds: None,
            )
            while server.batcher.waiting:  # or it would be drawn with some of the others
                time.sleep(0.01)
            rest = [clients.submit(ask, client, n=2, seed=i) for i in range(8)]
            while server.batcher.waiting < 8:
                time.sleep(0.01)
            held.set()
            first.result()
            for i, one in enumerate(rest):
                np.testing.assert_array_equal(arrays(one.result())["images"], tiny_generator().sample(2, seed=i).samples)
        assert passes == [(1, 1), (8, 16)]

    def test_what_waits_beyond_the_limit_is_told_when_to_come_again(self, registered: Registered) -> None:
        server = Server(registered.workspace, NAME, Limits(waiting=3), look_every=3_600)
        held = threading.Event()
        with running(server) as client, ThreadPoolExecutor(9) as clients:
            server.batcher.submit(
                lambda: server.champion.served,
                1,
                lambda generator: held.wait(30) and generator.order(1),
                lambda served, samples, seconds: None,
            )
            while server.batcher.waiting:
                time.sleep(0.01)
            rest = [clients.submit(ask, client, n=2) for _ in range(3)]
            while server.batcher.waiting < 3:
                time.sleep(0.01)
            answer = ask(client, n=2)
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) >= 1
            assert client.get("/health").status_code == 200
            held.set()
            assert [one.result().status_code for one in rest] == [200] * 3
            assert ask(client, n=2).status_code == 200
        assert 'status="429"' in server.metrics.text().decode()

    def test_a_request_that_fails_leaves_its_neighbours_alone(self, client: httpx.Client) -> None:
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda i: ask(client, n=2, label="horse" if i % 2 else "cat"), range(24)))
        assert [answer.status_code for answer in answers] == [200, 400] * 12


class TestSwap:
    def test_under_load_no_request_fails_and_each_answer_is_of_one_version(self, tmp_path: Path, mlflow_database: Path) -> None:
        registered = Registered(tmp_path / "workspace", mlflow_database)
        registered.add(tiny_generator(0))
        server = Server(registered.workspace, NAME, STRICT, look_every=3_600)
        versions = {1: tiny_generator(0).sample(2, seed=5).samples, 2: tiny_generator(1).sample(2, seed=5).samples}
        seen: set[int] = set()
        ended = threading.Event()

        def load(client: httpx.Client) -> None:
            while not ended.is_set():
                answer = ask(client, n=2, seed=5)
                version = int(answer.headers["x-gantry-version"])
                np.testing.assert_array_equal(arrays(answer)["images"], versions[version])
                seen.add(version)

        with running(server) as client, ThreadPoolExecutor(4) as clients:
            loads = [clients.submit(load, client) for _ in range(4)]
            try:
                registered.add(tiny_generator(1))
                server.champion.look()
                assert client.get("/ready").json()["version"] == 2
                while seen != {1, 2}:
                    time.sleep(0.01)
            finally:
                ended.set()
            for one in loads:
                one.result()
            assert "gantry_swaps_total 1.0" in client.get("/metrics").text

    def test_without_a_champion_the_one_that_is_there_goes_on(
        self, registered: Registered, client: httpx.Client, server: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        from tasks.records.registry import Registry

        registry = Registry.open(registered.workspace)
        registry.client.delete_registered_model_alias(NAME, "champion")
        try:
            server.champion.look()
            assert client.get("/ready").json()["trouble"] == "digits has no champion any more; version 1 goes on"
            assert "digits has no champion any more; version 1 goes on" in caplog.text
            assert "gantry_is_champion 0.0" in client.get("/metrics").text
            assert ask(client, n=1).status_code == 200
        finally:
            registry.client.set_registered_model_alias(NAME, "champion", "1")
        server.champion.look()
        assert client.get("/ready").json()["trouble"] is None

    def test_a_new_champion_without_its_files_does_not_take_the_place(self, tmp_path: Path, mlflow_database: Path) -> None:
        registered = Registered(tmp_path / "workspace", mlflow_database)
        registered.add(tiny_generator(0))
        server = Server(registered.workspace, NAME, STRICT, look_every=3_600)
        registered.add(tiny_generator(1))
        newest = max(registered.workspace.root.rglob("generator.safetensors"), key=lambda path: path.stat().st_mtime_ns)
        newest.write_bytes(b"damaged")
        server.champion.look()
        assert server.champion.served.number == 1
        assert "version 1 goes on" in str(server.champion.trouble)
        assert "its bytes are not the ones" in str(server.champion.trouble)


class TestChallenger:
    def test_draws_its_share_and_both_are_counted(self, tmp_path: Path, mlflow_database: Path) -> None:
        registered = Registered(tmp_path / "workspace", mlflow_database)
        first, second = registered.add(tiny_generator(0)), registered.add(tiny_generator(1))
        from tasks.records.registry import Registry

        registry = Registry.open(registered.workspace)
        registry.client.set_registered_model_alias(NAME, "challenger", str(first))
        server = Server(registered.workspace, NAME, STRICT, look_every=3_600, challenger=0.25)
        drawn = {version: tiny_generator(seed).sample(2, seed=5).samples for version, seed in ((first, 0), (second, 1))}
        with running(server) as client:
            answers = [ask(client, n=2, seed=5) for _ in range(40)]
            for answer in answers:
                np.testing.assert_array_equal(arrays(answer)["images"], drawn[int(answer.headers["x-gantry-version"])])
            text = client.get("/metrics").text
            assert 'gantry_drawn_requests_total{version="1"} 10.0' in text
            assert 'gantry_drawn_requests_total{version="2"} 30.0' in text
            assert client.get("/ready").json()["challenger"] == 1
            registry.client.delete_registered_model_alias(NAME, "challenger")
            server.champion.look()
            assert {ask(client, n=1).headers["x-gantry-version"] for _ in range(8)} == {"2"}
            # One that knows other labels cannot stand in.
            registered.add(tiny_generator(2, classes=("cat",)))
            registry.client.set_registered_model_alias(NAME, "challenger", "3")
            registry.client.set_registered_model_alias(NAME, "champion", "2")
            server.champion.look()
            assert client.get("/ready").json()["challenger"] is None

    def test_a_share_is_a_share(self) -> None:
        from gan_core.errors import ConfigError
        from tasks.serving.run import share_of

        assert [share_of(text, "--challenger") for text in ("10%", "0.25", "0")] == [0.1, 0.25, 0.0]
        assert share_of("100%", "--shadow", of_all=True) == 1
        for text in ("100%", "-1%", "ten", "nan", "1"):
            with pytest.raises(ConfigError, match=r"--challenger .* write 10% or 0\.1, below 100%"):
                share_of(text, "--challenger")
        with pytest.raises(ConfigError, match=r"--shadow 101%: .* at most 100%"):
            share_of("101%", "--shadow", of_all=True)

    def test_one_that_cannot_be_loaded_gets_no_requests(self, shadowed: Registered, caplog: pytest.LogCaptureFixture) -> None:
        files = sorted(shadowed.workspace.root.rglob("generator.safetensors"), key=lambda path: path.stat().st_mtime_ns)
        kept = files[0].read_bytes()
        files[0].write_bytes(b"damaged")
        try:
            with running(Server(shadowed.workspace, NAME, STRICT, look_every=3_600, challenger=0.5)) as client:
                assert client.get("/ready").json()["challenger"] is None
                assert {ask(client, n=1).headers["x-gantry-version"] for _ in range(4)} == {"2"}
        finally:
            files[0].write_bytes(kept)
        assert "version 1, the challenger, gets no requests: it cannot be loaded" in caplog.text


class TestShadow:
    def test_draws_what_was_asked_and_nobody_gets_it(self, shadowed: Registered) -> None:
        server = Server(shadowed.workspace, NAME, STRICT, look_every=3_600, shadow=1.0)
        with running(server) as client:
            for seed in range(3):
                answer = ask(client, n=4, seed=seed, label="dog")
                assert answer.headers["x-gantry-version"] == "2"
                np.testing.assert_array_equal(arrays(answer)["images"], tiny_generator(1).sample(4, seed=seed, label="dog").samples)
                settled(server, client, seed + 1)
            told = read(client)
        asked = [("1", 0), ("2", 1)]  # versions, and the seeds of their weights
        for version, weights in asked:
            levels = [tiny_generator(weights).sample(4, seed=seed, label="dog").samples.mean() for seed in range(3)]
            measured = {"version": version, "measure": "brightness"}
            assert told("gantry_shadow_mean_sum", measured) == pytest.approx(sum(levels), rel=1e-4)
            assert told("gantry_shadow_mean_count", measured) == told("gantry_shadow_seconds_count", {"version": version}) == 3
            assert told("gantry_shadow_seconds_sum", {"version": version}) > 0
        assert told("gantry_samples_total", {"version": "1"}) is None
        assert told("gantry_shadow_dropped_total", {}) == 0

    def test_gives_way_where_requests_wait_where_it_draws_and_to_what_is_large(self, shadowed: Registered) -> None:
        server = Server(shadowed.workspace, NAME, STRICT, look_every=3_600, shadow=1.0)
        held, begun = threading.Event(), threading.Event()
        challenger = server.champion.challenger
        assert challenger is not None
        draw = challenger.generator.draw

        def slow(orders: Sequence[Order]) -> list[Samples]:
            begun.set()
            assert held.wait(60)
            return draw(orders)

        with pytest.MonkeyPatch.context() as patch, running(server) as client:
            patch.setattr(challenger.generator, "draw", slow)
            assert ask(client, n=1).status_code == 200
            assert begun.wait(60)
            answers = [ask(client, n=1, seed=seed).status_code for seed in range(3)]  # not held up by what the shadow does
            while read(client)("gantry_shadow_dropped_total", {}) != 3:
                time.sleep(0.01)
            held.set()
            settled(server, client, 4)
            answers.append(ask(client, n=257).status_code)
            patch.setattr(type(server.batcher), "waiting", property(lambda batcher: 1))
            answers.append(ask(client, n=1).status_code)
            settled(server, client, 6)
            told = read(client)
        assert answers == [200] * 5  # beside the one that the shadow drew
        assert told("gantry_shadow_dropped_total", {}) == 5
        assert told("gantry_shadow_seconds_count", {"version": "1"}) == 1

    def test_a_challenger_that_breaks_or_goes_harms_no_answer(self, shadowed: Registered, caplog: pytest.LogCaptureFixture) -> None:
        from tasks.records.registry import Registry

        server = Server(shadowed.workspace, NAME, STRICT, look_every=3_600, shadow=1.0)
        challenger = server.champion.challenger
        assert challenger is not None

        def broken(*_: Any) -> None:
            raise RuntimeError("no such kernel")

        registry = Registry.open(shadowed.workspace)
        with pytest.MonkeyPatch.context() as patch, running(server) as client:
            patch.setattr(challenger.generator.network, "forward", broken)
            for count in (1, 2):
                assert ask(client, n=1).status_code == 200
                settled(server, client, count)
            told = read(client)
            assert told("gantry_shadow_failures_total", {"version": "1"}) == 2
            assert told("gantry_shadow_seconds_count", {"version": "2"}) is None  # nothing was compared
            registry.client.delete_registered_model_alias(NAME, "challenger")
            try:
                server.champion.look()
                assert ask(client, n=1).status_code == 200
            finally:
                registry.client.set_registered_model_alias(NAME, "challenger", "1")
        assert caplog.text.count("version 1, the challenger, failed") == caplog.text.count("RuntimeError: no such kernel") == 1

    def test_is_refused_beside_answers_of_the_challenger(self, shadowed: Registered) -> None:
        from gan_core.errors import ConfigError

        with pytest.raises(ConfigError, match=r"--challenger and --shadow: .* give one of them"):
            Server(shadowed.workspace, NAME, challenger=0.1, shadow=0.1)


@pytest.fixture(scope="module")
def shadowed(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Registered:
    """Version 2 is the champion and version 1 the challenger."""
    from tasks.records.registry import Registry

    registered = Registered(tmp_path_factory.mktemp("shadowed") / "workspace", mlflow_database)
    first, _ = registered.add(tiny_generator(0)), registered.add(tiny_generator(1))
    Registry.open(registered.workspace).client.set_registered_model_alias(NAME, "challenger", str(first))
    return registered


def settled(server: Server, client: httpx.Client, answers: int) -> None:
    """Wait until the shadow has done with so many answers, and draws nothing."""
    assert server._shadow is not None
    for _ in range(6_000):
        told = read(client)
        compared, failed = (told(name, {"version": "1"}) or 0 for name in ("gantry_shadow_seconds_count", "gantry_shadow_failures_total"))
        done = compared + failed + (told("gantry_shadow_dropped_total", {}) or 0)
        if done == answers and (server._shadow._drawing is None or server._shadow._drawing.done()):
            return
        time.sleep(0.01)
    raise AssertionError(f"the shadow has done with {done:g} of {answers} answers")


def read(client: httpx.Client) -> Callable[[str, dict[str, str]], float | None]:
    """What /metrics says of a name and labels; None where it says nothing."""
    from prometheus_client.parser import text_string_to_metric_families

    text = client.get("/metrics").text
    values = {
        (one.name, *sorted(one.labels.items())): one.value for family in text_string_to_metric_families(text) for one in family.samples
    }
    return lambda name, labels: values.get((name, *sorted(labels.items())))


class TestWatched:
    def test_health_readiness_and_request_ids(self, client: httpx.Client) -> None:
        assert client.get("/health").json() == {"status": "ok"}
        ready = client.get("/ready", headers={"X-Request-ID": "my-1"})
        assert ready.headers["x-request-id"] == "my-1"
        assert ready.json() == {"ready": True, "name": NAME, "version": 1, "challenger": None, "trouble": None, "together": True}
        refused = client.get("/samples?n=0", headers={"X-Request-ID": "not good"})
        assert refused.json()["request"] == refused.headers["x-request-id"] != "not good"

    def test_metrics_count_what_was_answered(self, client: httpx.Client, server: Server) -> None:
        before = server.metrics.samples.labels("1")._value.get()
        ask(client, n=11)
        assert server.metrics.samples.labels("1")._value.get() == before + 11
        text = client.get("/metrics").text
        assert 'gantry_requests_total{path="/samples",status="200"}' in text
        assert "process_resident_memory_bytes" in text

    def test_what_fails_says_no_more_than_that(self, client: httpx.Client, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: Any) -> None:
            raise RuntimeError(f"at {ROOT}")

        monkeypatch.setattr(server.champion.served.generator.network, "forward", broken)
        answer = ask(client, n=1)
        assert answer.status_code == 500
        assert str(ROOT) not in answer.text
        monkeypatch.undo()
        assert ask(client, n=1).status_code == 200


class TestCommand:
    def test_serves_and_ends_when_it_is_told(self, registered: Registered) -> None:
        command = [sys.executable, "-m", "flows.cli", "serve", NAME, "--port", "0"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        child = subprocess.Popen(
            command, cwd=registered.workspace.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            assert child.stdout is not None
            line = child.stdout.readline()
            assert line.startswith("digits, version 1, on http://127.0.0.1:"), line + child.communicate()[1]
            url = line.split(" on ")[1].split()[0]
            answer = httpx.get(url, params={"n": 3, "seed": 9}, headers={"Accept": "application/x-npz"}, timeout=60)
            np.testing.assert_array_equal(arrays(answer)["images"], tiny_generator().sample(3, seed=9).samples)
            child.send_signal(signal.SIGTERM)
            assert child.wait(60) in (0, -signal.SIGTERM)
        finally:
            child.kill()
            child.wait()

    def test_elsewhere_than_on_loopback_only_with_a_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from gan_core.errors import ConfigError
        from tasks.serving.run import limits_of

        monkeypatch.delenv("GANTRY_SERVE_TOKEN", raising=False)
        with pytest.raises(ConfigError, match=r"--host 0\.0\.0\.0: whoever reaches this machine could ask; set GANTRY_SERVE_TOKEN"):
            limits_of("0.0.0.0", 8)  # noqa: S104
        assert limits_of("127.0.0.1", 8).token is None
        monkeypatch.setenv("GANTRY_SERVE_TOKEN", "short")
        with pytest.raises(ConfigError, match="easily guessed"):
            limits_of("127.0.0.1", 8)
        monkeypatch.setenv("GANTRY_SERVE_TOKEN", "0123456789abcdef")
        assert limits_of("0.0.0.0", 8).token == "0123456789abcdef"  # noqa: S104

    def test_a_port_that_is_taken(self) -> None:
        from gan_core.errors import ConfigError
        from tasks.serving.run import listening

        with listening("127.0.0.1", 0) as there, pytest.raises(ConfigError, match="choose another"):
            listening("127.0.0.1", there.getsockname()[1])
