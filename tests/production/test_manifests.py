"""What deploy/ says, checked without a cluster: Kubernetes' own schemas, and that its commands, files and secrets fit the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer.main
import uvicorn
from ruamel.yaml import YAML

from flows import prefect_page

DEPLOY = Path(__file__).parents[2] / "deploy"
CLUSTER = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def documents(path: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(path.read_text()))


def compose() -> dict[str, Any]:
    (found,) = documents(DEPLOY / "compose.yaml")
    return found


def containers(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    pod = resource.get("spec", {}).get("template", {}).get("spec", {})
    yield from [*pod.get("initContainers", []), *pod.get("containers", [])]


def commands() -> list[list[str]]:
    """Every command of both ways to deploy."""
    found = [service["command"] for service in compose()["services"].values() if "command" in service]
    found += [box["command"] for path in CLUSTER for one in documents(path) for box in containers(one) if "command" in box]
    return found


@pytest.mark.parametrize("path", [path for path in CLUSTER if path.name != "kustomization.yaml"], ids=lambda path: str(path.name))
def test_kubernetes_takes_what_stands_there(path: Path) -> None:
    for resource in documents(path):
        kubernetes_validate.validate(resource, "1.36", strict=True)


def test_a_misspelt_key_is_found() -> None:
    (resource,) = [one for one in documents(DEPLOY / "kubernetes" / "prefect.yaml") if one["kind"] == "Deployment"]
    resource["spec"]["template"]["spec"]["enableServiceLink"] = False
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(resource, "1.36", strict=True)


def test_every_file_is_part_of_the_whole_and_every_secret_is_in_the_example() -> None:
    (whole,) = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    assert {*whole["resources"], "kustomization.yaml", "secrets.example.yaml"} == {path.name for path in CLUSTER}
    known = {one["metadata"]["name"] for one in documents(DEPLOY / "kubernetes" / "secrets.example.yaml")}
    asked = set()
    for path in CLUSTER:
        text = path.read_text()
        asked |= set(re.findall(r"secretRef: \{name: ([a-z-]+)\}", text)) | set(re.findall(r"secretName: ([a-z-]+)", text))
    assert asked == known


def test_no_secret_stands_in_the_compose_file_and_its_ports_are_loopback() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{([A-Z_]+):\?\}", text))
    assert asked == set(re.findall(r"\$\{?([A-Z_]+)", text)), "a variable that is not set has to end it"
    assert asked == set(re.findall(r"^([A-Z_]+)=$", (DEPLOY / "example.env").read_text(), re.MULTILINE))
    services = compose()["services"]
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service.get("ports", ()))
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        assert {volume.partition(":")[0] for volume in service.get("volumes", ())} <= set(compose()["volumes"])
        assert {one["source"] for one in service.get("configs", ())} <= set(compose()["configs"])
        assert ":" in service["image"]
        assert not service["image"].endswith(":latest")


def test_the_commands_are_ones_that_this_gantry_and_this_mlflow_take() -> None:
    from mlflow.cli import cli as mlflow

    from flows.cli import app

    known = {"mlflow": mlflow, "gantry": typer.main.get_command(app)}
    seen = set()
    for program, name, *arguments in (command for command in commands() if command[0] in known):
        command = known[program].commands[name]  # type: ignore[attr-defined]
        command.make_context(name, [str(argument) for argument in arguments], resilient_parsing=False)
        seen.add(program)
    assert seen == set(known)


def test_prefects_server_is_the_one_whose_pages_ask_nobody_else() -> None:
    started = [arguments for program, *arguments in commands() if program == "python" and "uvicorn" in arguments]
    assert len(started) == 2
    for arguments in started:
        options = uvicorn.main.make_context("uvicorn", [str(one) for one in arguments[2:]]).params
        assert (options["app"], options["factory"], options["port"]) == ("flows.prefect_page:create", True, 4200)
    assert callable(prefect_page.create)
