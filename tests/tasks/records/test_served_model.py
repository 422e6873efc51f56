from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from real_mlflow import free_port, kill_group, tiny_generator, wait_until_it_answers

from gan_core.generator import Generator
from tasks.records import tracking
from tasks.records.registry import Registry
from tasks.workspace import Workspace


def register(workspace: Workspace, generator: Generator, folder: Path, name: str = "digits") -> Registry:
    generator.save(folder / "generator")
    registry = Registry.open(workspace)
    with tracking.run(workspace, name) as run:
        version = registry.add(name, run.id, folder / "generator", {}, "a test")
    registry.move_champion(version, None, "first")
    return registry


def loaded(registry: Registry, folder: Path, name: str = "digits") -> Any:
    from mlflow import pyfunc

    version = registry.champion(name)
    assert version is not None
    return pyfunc.load_model(str(registry.download(version, folder)))


def decoded(png: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(png))))


class TestImages:
    @pytest.fixture
    def model(self, workspace: Workspace, tmp_path: Path) -> Any:
        return loaded(register(workspace, tiny_generator(), tmp_path), tmp_path / "download")

    def test_params_ask_for_samples(self, model: Any) -> None:
        answer = model.predict(pd.DataFrame(), params={"n": 5, "seed": 7, "label": "dog"})
        expected = tiny_generator().sample(5, seed=7, label="dog")
        assert list(answer.columns) == ["png", "label"]
        assert list(answer["label"]) == ["dog"] * 5
        for png, image in zip(answer["png"], expected.samples, strict=True):
            np.testing.assert_array_equal(decoded(png), image[0])

    def test_truncation_and_a_walk_as_on_the_command_line(self, model: Any) -> None:
        answer = model.predict(pd.DataFrame(), params={"n": 5, "label": "dog", "truncation": 0.5, "walk": True})
        expected = tiny_generator().sample(5, label="dog", truncation=0.5, walk=True)
        for png, image in zip(answer["png"], expected.samples, strict=True):
            np.testing.assert_array_equal(decoded(png), image[0])

    def test_without_params_the_defaults_ask(self, model: Any) -> None:
        answer = model.predict(pd.DataFrame())
        assert list(answer["label"]) == (["cat", "dog", "3"] * 6)[:16]
        np.testing.assert_array_equal(decoded(answer["png"][15]), tiny_generator().sample(16, seed=0).samples[15, 0])

    def test_rows_ask_for_one_sample_each(self, model: Any) -> None:
        answer = model.predict(pd.DataFrame({"label": ["3", "cat"]}), params={"seed": 2})
        expected = tiny_generator().sample(2, seed=2, labels=np.array([2, 0]))
        assert list(answer["label"]) == ["3", "cat"]
        np.testing.assert_array_equal(decoded(answer["png"][1]), expected.samples[1, 0])

    @pytest.mark.parametrize(
        ("rows", "params", "message"),
        [
            ({}, {"n": 0}, "n: 0 is not in 1 to 10,000"),
            ({}, {"n": 10_001}, "n: 10001 is not in 1 to 10,000"),
            ({}, {"n": "many"}, "many"),
            ({}, {"seed": -1}, "seed: -1 is not in 0 to 2"),
            ({}, {"seed": 2**63}, "seed: 9223372036854775808 is not in"),
            ({}, {"truncation": -1.0}, "truncation: -1.0 is not above 0"),
            ({}, {"label": "horse"}, "no class 'horse'; this generator knows cat, dog, 3"),
            ({"label": ["horse"]}, {}, "no class 'horse'"),
            ({}, {"label": "0"}, "no class '0'; .*; numbers are names here"),
            ({"label": ["cat", None]}, {}, "some rows have one and some have none"),
            ({"label": ["cat"] * 10_001}, {}, "n: 10001 is not in"),
        ],
    )
    def test_a_wrong_request_is_the_callers_fault(self, model: Any, rows: dict[str, Any], params: dict[str, Any], message: str) -> None:
        from mlflow.exceptions import MlflowException

        with pytest.raises(MlflowException, match=message) as raised:
            model.predict(pd.DataFrame(rows), params=params)
        assert raised.value.get_http_status_code() == 400

    def test_nothing_is_pickled(self, model: Any, tmp_path: Path) -> None:
        files = {path.relative_to(tmp_path / "download").as_posix() for path in (tmp_path / "download").rglob("*") if path.is_file()}
        assert {Path(file).suffix for file in files} <= {"", ".json", ".py", ".safetensors", ".txt", ".yaml"}
        assert "artifacts/artifacts/generator/generator.safetensors" in files

    def test_the_signature_says_what_may_be_asked(self, model: Any) -> None:
        signature = model.metadata.signature
        assert [(param.name, param.default) for param in signature.params.params] == [
            ("n", 16),
            ("seed", 0),
            ("label", ""),
            ("truncation", 0.0),
            ("walk", False),
        ]
        assert signature.outputs.input_names() == ["png", "label"]


def test_points_are_columns(workspace: Workspace, tmp_path: Path) -> None:
    generator = tiny_generator(kind="points", classes=None)
    model = loaded(register(workspace, generator, tmp_path), tmp_path / "download")
    answer = model.predict(pd.DataFrame(), params={"n": 6, "seed": 1})
    assert list(answer.columns) == ["x0", "x1"]
    np.testing.assert_array_equal(answer.to_numpy(), generator.sample(6, seed=1).samples)


def test_an_unconditional_generator_takes_no_label(workspace: Workspace, tmp_path: Path) -> None:
    from mlflow.exceptions import MlflowException

    model = loaded(register(workspace, tiny_generator(classes=None), tmp_path), tmp_path / "download")
    assert list(model.predict(pd.DataFrame(), params={"n": 2}).columns) == ["png"]
    for rows, params in (({}, {"label": "cat"}), ({"label": ["cat"]}, {})):
        with pytest.raises(MlflowException, match="unconditional"):
            model.predict(pd.DataFrame(rows), params=params)


def test_mlflow_serves_the_champion(workspace: Workspace, tmp_path: Path) -> None:
    # MLflow looks for its default database at a percent-encoded path, so with a blank in it, the address would have to be told.
    workspace = Workspace(workspace.root.rename(tmp_path / "workspace"))
    register(workspace, tiny_generator(), tmp_path)
    port, log = free_port(), tmp_path / "serve.log"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/digits@champion", "--env-manager", "local"]
    # As a person's shell in the workspace: nothing but PATH says where the registry or the environment is.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    with log.open("wb") as output:
        child = subprocess.Popen(
            [*command, "--port", str(port)], cwd=workspace.root, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/ping", child, log)
        status, answer = post(port, {"inputs": [], "params": {"n": 3, "seed": 7, "label": "dog"}})
        assert (status, [record["label"] for record in answer["predictions"]]) == (200, ["dog"] * 3)
        expected = tiny_generator().sample(3, seed=7, label="dog")
        np.testing.assert_array_equal(decoded(answer["predictions"][2]["png"]), expected.samples[2, 0])

        status, answer = post(port, {"dataframe_records": [{"label": "cat"}, {"label": "3"}]})
        assert (status, [record["label"] for record in answer["predictions"]]) == (200, ["cat", "3"])

        for params in ({"n": 10**9}, {"n": 0}, {"seed": -1}, {"label": "horse"}, {"n": "many"}):
            status, answer = post(port, {"inputs": [], "params": params})
            assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        for body in ({"inputs": [], "params": {"label": "x" * 2**26}}, {"dataframe_records": [{"label": "x" * 2**26}]}):
            status, answer = post(port, body)
            assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
            assert len(answer["message"]) < 1_000
        assert post(port, {"inputs": [], "params": {"n": 1}})[0] == 200
    finally:
        kill_group(child)


def post(port: int, body: dict[str, Any]) -> tuple[int, Any]:
    address = f"http://127.0.0.1:{port}/invocations"
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
