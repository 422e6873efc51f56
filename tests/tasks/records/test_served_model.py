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
import torch
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


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A version's model as MLflow loads it, without a registry."""
    from mlflow import pyfunc

    from tasks.records.registry import _save_servable

    folder = tmp_path_factory.mktemp("served")
    tiny_generator().save(folder / "generator")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        _save_servable(folder / "generator", folder / "model", "0" * 32, "m-0")
    return pyfunc.load_model(str(folder / "model"))


class TestImages:
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

    def test_columns_ask_as_params_do(self, model: Any) -> None:
        answer = model.predict(pd.DataFrame([{"label": "dog", "n": 3, "seed": 7, "truncation": 0.5, "walk": True}]))
        expected = tiny_generator().sample(3, seed=7, label="dog", truncation=0.5, walk=True)
        assert list(answer["label"]) == ["dog"] * 3
        np.testing.assert_array_equal(decoded(answer["png"][2]), expected.samples[2, 0])
        each = model.predict(pd.DataFrame({"label": ["3", "cat"], "seed": [2, 2]}))
        assert each.equals(model.predict(pd.DataFrame({"label": ["3", "cat"]}), params={"seed": 2}))

    def test_a_label_that_is_a_number_and_null_in_params(self, model: Any) -> None:
        assert list(model.predict(pd.DataFrame({"label": [3]}))["label"]) == ["3"]
        asked = {"n": 2, "seed": None, "label": None, "truncation": None, "walk": None}
        assert model.predict(pd.DataFrame(), params=asked).equals(model.predict(pd.DataFrame(), params={"n": 2}))

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
            ({}, {"label": "0"}, "no class '0'; .*; numbers are names here"),
            ({}, {"prompt": "a dog"}, "prompt: this generator knows no text"),
            ({"label": ["horse"]}, {}, "no class 'horse'"),
            ({"label": [0]}, {}, "no class '0'; .*; numbers are names here"),
            ({"label": ["cat", None]}, {}, "label: row 1 is empty; fill it, or leave the column out"),
            ({"label": [None]}, {}, "label: row 0 is empty"),
            ({"label": [["cat"]]}, {}, r"label: row 0: \"\['cat'\]\" is no text"),
            ({"label": ["cat"] * 10_001}, {}, "n: 10001 is not in"),
            ({"lable": ["cat"]}, {}, "'lable' is not known; did you mean label"),
            ({"colour": ["red"]}, {}, "'colour' is not known; there are n, seed, label"),
            ({"input": ["AAAA"]}, {}, "input: this generator draws samples"),
            ({"prompt": ["a dog"]}, {}, "prompt: this generator knows no text"),
            ({"n": [2.5]}, {}, "n: row 0: '2.5' is no whole number"),
            ({"n": ["2"]}, {}, "n: row 0: '2' is no whole number"),
            ({"n": [True]}, {}, "n: row 0: 'True' is no whole number"),
            ({"walk": [1]}, {}, "walk: row 0: '1' is no true or false"),
            ({"seed": [1, 2], "label": ["cat", "dog"]}, {}, "seed: differs between rows"),
            ({"seed": [1], "label": ["cat"]}, {"seed": 2}, "seed: stands in the rows and, otherwise, in params"),
            ({"label": ["cat"]}, {"label": "dog"}, "label: stands in the rows and in params"),
            ({"label": ["cat", "dog"], "n": [5, 5]}, {}, "n: 5, and 2 rows that ask for one sample each"),
            ({"label": ["cat", "dog"]}, {"n": 5}, "n: 5, and 2 rows that ask for one sample each"),
            ({"seed": [1, 1]}, {}, "label: 2 rows have none"),
        ],
    )
    def test_a_wrong_request_is_the_callers_fault(self, model: Any, rows: dict[str, Any], params: dict[str, Any], message: str) -> None:
        from mlflow.exceptions import MlflowException

        with pytest.raises(MlflowException, match=message) as raised:
            model.predict(pd.DataFrame(rows), params=params)
        assert raised.value.get_http_status_code() == 400

    def test_nothing_is_pickled(self, workspace: Workspace, tmp_path: Path) -> None:
        registry = register(workspace, tiny_generator(), tmp_path)
        version = registry.champion("digits")
        assert version is not None
        registry.download(version, tmp_path / "download")
        files = {path.relative_to(tmp_path / "download").as_posix() for path in (tmp_path / "download").rglob("*") if path.is_file()}
        assert {Path(file).suffix for file in files} <= {"", ".json", ".py", ".safetensors", ".txt", ".yaml"}
        assert "artifacts/artifacts/generator/generator.safetensors" in files

    def test_the_signature_says_what_may_be_asked(self, model: Any) -> None:
        signature = model.metadata.signature
        assert [(param.name, param.default) for param in signature.params.params] == [
            ("n", 16),
            ("seed", 0),
            ("label", ""),
            ("prompt", ""),
            ("truncation", 0.0),
            ("walk", False),
        ]
        assert signature.outputs.input_names() == ["png", "label"]

    def test_what_goes_wrong_in_drawing_names_no_place_of_the_server(self, caplog: pytest.LogCaptureFixture) -> None:
        from mlflow.exceptions import MlflowException

        from tasks.records.served_model import ServedGenerator

        generator = tiny_generator()
        generator.network = torch.nn.Linear(1, 1)
        with pytest.raises(MlflowException, match=r"^the generator failed \(\w+Error\); the server's log has more$") as raised:
            ServedGenerator.of(generator).predict(None, pd.DataFrame())
        assert raised.value.get_http_status_code() == 500
        assert "Traceback" in caplog.text


class TestEveryForm:
    """MLflow's own scoring app, as `mlflow models serve` runs it, asked in each form that it reads."""

    @pytest.fixture
    def app(self, model: Any) -> Any:
        from fastapi.testclient import TestClient
        from mlflow.pyfunc import scoring_server

        return TestClient(scoring_server.init(model))

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            ({"dataframe_records": [{"label": "dog"}, {"label": "cat"}]}, "json"),
            ({"dataframe_split": {"columns": ["label"], "data": [["dog"], ["cat"]]}}, "json"),
            ({"instances": [{"label": "dog"}, {"label": "cat"}]}, "json"),
            ({"inputs": [{"label": "dog"}, {"label": "cat"}]}, "json"),
            ({"inputs": {"label": ["dog", "cat"]}}, "json"),
            ({"inputs": ["dog", "cat"]}, "json"),
            ("label,seed\ndog,0\ncat,0\n", "csv"),
        ],
    )
    def test_the_same_question_has_the_same_answer(self, app: Any, body: Any, kind: str) -> None:
        status, answer = asked(app, body, kind)
        expected = tiny_generator().sample(2, labels=np.array([1, 0]))
        assert (status, [record["label"] for record in answer["predictions"]]) == (200, ["dog", "cat"])
        for record, image in zip(answer["predictions"], expected.samples, strict=True):
            np.testing.assert_array_equal(decoded(record["png"]), image[0])

    @pytest.mark.parametrize(
        ("body", "kind", "labels"),
        [
            ("label,n,seed\ndog,3,1\n", "csv", ["dog"] * 3),
            ({"dataframe_records": [{"n": 2, "seed": 1}]}, "json", ["cat", "dog"]),
            ({"inputs": [], "params": {"n": 2, "seed": None}}, "json", ["cat", "dog"]),
            ({"inputs": None, "params": {"n": 2}}, "json", ["cat", "dog"]),
        ],
    )
    def test_what_can_be_honoured_is(self, app: Any, body: Any, kind: str, labels: list[str]) -> None:
        status, answer = asked(app, body, kind)
        assert (status, [record["label"] for record in answer["predictions"]]) == (200, labels)

    @pytest.mark.parametrize(
        ("body", "kind", "message"),
        [
            ({"dataframe_records": [{"lable": "dog"}]}, "json", "'lable' is not known; did you mean label?"),
            ({"inputs": [{"label": "dog", "sed": 1}]}, "json", "'sed' is not known; did you mean seed?"),
            ("lable\ndog\n", "csv", "'lable' is not known; did you mean label?"),
            ("label\nNA\n", "csv", "label: row 0 is empty"),
            (",label\n0,dog\n", "csv", "'Unnamed: 0' is not known"),
            ({"inputs": "dog"}, "json", "inputs: are no rows"),
            ({"inputs": [[1, 2]]}, "json", "inputs: are no rows"),
            ({"n": 5, "prompt": "dog"}, "json", "prompt: this generator knows no text"),
        ],
    )
    def test_the_rest_is_refused_in_a_line(self, app: Any, body: Any, kind: str, message: str) -> None:
        status, answer = asked(app, body, kind)
        assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert answer["message"].rpartition("Error: ")[2].startswith(message)
        assert "stack_trace" not in answer

    def test_mlflow_drops_what_params_the_signature_does_not_have(self, app: Any) -> None:
        """Beyond the model's reach; docs/drawing.md says so."""
        status, answer = asked(app, {"inputs": [], "params": {"n": 2, "lable": "dog"}}, "json")
        assert (status, [record["label"] for record in answer["predictions"]]) == (200, ["cat", "dog"])


def asked(app: Any, body: Any, kind: str) -> tuple[int, Any]:
    content, media = (body, "text/csv") if kind == "csv" else (json.dumps(body), "application/json")
    response = app.post("/invocations", content=content, headers={"content-type": media})
    return response.status_code, response.json()


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
