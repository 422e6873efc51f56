"""Exported generators: run without Gantry, they draw what the generator draws; whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import subprocess
import sys
import wave
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import planted_table
import pytest
import torch
from command_line import called
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from real_mlflow import tiny_generator
from torch import Tensor, nn

from gan_core import latents
from gan_core.data.dataset import DatasetSpec
from gan_core.errors import ConfigError, DataError
from gan_core.generator import Generator, GeneratorConfig, Order
from gan_core.kinds.attributes import Attributed
from gan_core.kinds.captions import Captioned
from gan_core.kinds.clips import Clips
from gan_core.kinds.images import Images
from gan_core.kinds.pairs import Pairs
from gan_core.kinds.points import Points
from gan_core.kinds.predictions import Predictions
from gan_core.kinds.sentences import Sentences
from gan_core.kinds.sounds import Sounds
from gan_core.kinds.table import Table
from gan_core.kinds.unpaired import Unpaired
from gan_core.kinds.volumes import Volumes
from gan_core.networks import build_generator
from gan_core.params.networks import GENERATORS, NetworkParams
from tasks.export import METADATA, TOLERANCE, described, export
from tasks.records import tracking
from tasks.records.registry import Registry
from tasks.workspace import Workspace

ROOT = Path(__file__).parents[2]
CLASSES = ("cat", "dög", "<b>")


def table(labelled: bool = True) -> Table:
    values, labels = planted_table.rows(400)
    schema = planted_table.schema(values, labels if labelled else None)
    return Table((5,), classes=planted_table.CLASSES if labelled else None, schema=schema)


FAMILIES: dict[str, tuple[DatasetSpec, dict[str, Any], int]] = {
    "mlp": (Images((1, 8, 8), classes=CLASSES), {"network": "mlp", "widths": (8,)}, 4),
    "points": (Points((2,), mean=(10.0, -20.0), std=(0.5, 2.0)), {"network": "mlp", "widths": (8,), "normalization": "batch"}, 4),
    "mixture": (Points((2,), mean=(0.0, 0.0), std=(1.0, 1.0)), {"network": "mlp", "widths": (8,), "components": 4}, 4),
    "dcgan": (Images((1, 16, 16), classes=CLASSES), {"network": "dcgan", "width": 4}, 6),
    "number": (Images((1, 8, 8), numbers=(10.0, 60.5)), {"network": "residual", "width": 4}, 4),
    "spectral": (Images((3, 8, 8)), {"network": "dcgan", "width": 4, "normalization": "spectral"}, 6),
    "residual": (Images((3, 8, 8), classes=CLASSES), {"network": "residual", "width": 4}, 6),
    "tabular": (table(), {"network": "tabular", "widths": (8,)}, 4 + table().encoding.choices.width),
    "autoregressive": (
        table(),
        {"network": "autoregressive", "widths": (8,), "bins": 5},
        table().encoding.scalars + table().encoding.choices.width,
    ),
    "unet": (Pairs((3, 16, 16), inputs=(1, 16, 16)), {"network": "unet", "width": 4, "normalization": "instance"}, 0),
    "round-trip": (Unpaired((3, 16, 16), inputs=(3, 16, 16)), {"network": "round-trip", "width": 4, "blocks": 1, "skip": True}, 0),
    "stack": (
        Captioned((3, 16, 16), vocabulary=("red", "heart", "étoile"), caption_length=2, examples=("a red heart", "Étoile")),
        {"network": "stack", "width": 4, "code": 4},
        12,
    ),
    "sounds": (Sounds((1, 2_000), classes=("low", "high"), rate=8_000, bands=16, top=-3.5), {"network": "dcgan", "width": 4}, 8),
    "volumes": (
        Volumes((1, 8, 8, 8), classes=CLASSES),
        {"network": "turned", "width": 4, "mirrored": True, "degrees": dict(zip(CLASSES, (0.0, 90.0, 30.0), strict=True))},
        8,
    ),
    "clips": (Clips((3, 4, 16, 16), classes=CLASSES), {"network": "motion", "width": 4}, 8),
    "predictions": (Predictions((3, 4, 16, 16), inputs=(3, 2, 16, 16)), {"network": "unet", "width": 4, "normalization": "instance"}, 0),
    "sequence": (
        Sentences((3,), classes=("short", "long"), vocabulary=("cat", "(", ")", ".", *(f"word{number}" for number in range(80)))),
        {"network": "sequence", "width": 8, "embedding": 4},
        3,
    ),
    "translator": (Attributed((3, 16, 16), {}, CLASSES, (3, 16, 16)), {"network": "translator", "width": 4, "blocks": 1}, 0),
}


def of(data: DatasetSpec, params: NetworkParams, latent: int, network: nn.Module | None = None) -> Generator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = network or build_generator(params, data, latent)
        with torch.no_grad():  # no weight is 0, and none so small that a difference would be too
            for weight in built.parameters():
                weight += 0.2 * torch.randn_like(weight)
    return Generator(GeneratorConfig("gan", data, latent, params, 640, 3, "d" * 64), built)


def generator_of(family: str) -> Generator:
    data, told, latent = FAMILIES[family]
    return of(data, GENERATORS[told["network"]].model_validate(told), latent)


def assert_same(samples: NDArray[Any], expected: NDArray[Any]) -> None:
    """But for a step of rounding."""
    assert (samples.shape, samples.dtype) == (expected.shape, expected.dtype)
    if samples.dtype == np.uint8:
        apart = np.abs(samples.astype(int) - expected.astype(int))
        assert apart.max() <= 1
        assert (apart > 0).mean() < 0.01
    else:
        np.testing.assert_allclose(samples, expected, rtol=1e-4, atol=1e-3)
    assert expected.std() > 0


def assert_draws_the_same(generator: Generator, run: Any) -> None:
    """`run` takes arrays in order; batches of other sizes than the traced one, and images of other sides."""
    config = generator.config
    if config.inputs is None:
        for count in (1, 70):
            drawn, order = generator.sample(count, seed=9), generator.order(count, seed=9)
            given = [latents.independent(count, config.latent, 9).numpy()]
            if config.prompts is not None:
                assert order.given is not None
                given.append(np.pad(order.given.numpy(), ((0, 0), (0, WORDS - order.given.shape[1]))))
            *samples, values = run(*given, *([] if drawn.labels is None else [drawn.labels]))
            assert (len(values), values.dtype) == (count, np.float32)
            if samples:
                assert_same(samples[0], drawn.samples)
            else:
                np.testing.assert_allclose(values, generator.made(order).numpy(), atol=1e-5)
        return
    random = np.random.default_rng(0)
    for shape in ((1, *config.inputs), (5, *config.inputs)):
        images = random.integers(0, 256, shape, dtype=np.uint8)
        labels = None if config.targets is None else config.data.labels_drawn(len(images), 0).numpy()
        also = [] if labels is None else [labels]
        assert_same(run(images, *also)[0], generator.translate(images, labels=labels).samples)
    large = random.integers(0, 256, (2, *config.inputs[:-2], 32, 64), dtype=np.uint8)
    also = [one[:2] for one in also]
    with torch.inference_mode():
        seen = config.data.to_networks(torch.from_numpy(large)), *map(torch.from_numpy, also)
        made = config.data.to_samples(generator.network(*seen))
    assert_same(run(large, *also)[0], made.numpy())


SHOWN = {
    "tabular": ["samples.csv"],
    "unet": [],
    "predictions": [],
    "sounds": ["griffin_lim.py", "samples.wav"],
    "clips": ["samples.gif"],
    "sequence": ["samples.txt", "spelling.py"],
    "stack": ["samples.png", "spelling.py"],
}
HUB = ("mlp", "tabular", "unet", "stack", "sounds", "clips", "predictions", "sequence")
"""Families whose ONNX file is looked at where it lies beside the program that runs it: exporting takes seconds."""
TRACED_ELSEWHERE = ("clips", "predictions", "volumes")
"""Families whose networks others have, too, and whose graphs are looked at as ONNX."""
WORDS = 4
"""Places for words of a prompt, of which a graph has each step for itself: fewer than there are, since 64 take half a minute."""


@pytest.fixture(autouse=True)
def short_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.export.MAX_WORDS", WORDS)


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - HUB))
def test_onnx_draws_what_the_generator_draws(family: str, tmp_path: Path) -> None:
    generator, out = generator_of(family), tmp_path / "new" / "g.onnx"
    written = export(generator, "onnx", out, "some", 3)
    assert written.difference is not None
    assert 0 <= written.difference <= TOLERANCE
    assert written.size == out.stat().st_size
    assert [path.name for path in out.parent.iterdir()] == ["g.onnx"]
    assert_onnx_is(generator, out)


def assert_onnx_is(generator: Generator, out: Path) -> None:
    """It draws what the generator draws, its metadata say what it is, and nothing in it tells of this machine."""
    session = onnxruntime.InferenceSession(out)
    names = [one.name for one in session.get_inputs()]
    assert_draws_the_same(generator, lambda *given: session.run(None, dict(zip(names, given, strict=True))))
    about = session.get_modelmeta().custom_metadata_map
    assert (about["name"], about["version"], about["sha256"]) == ("some", "3", generator.config.sha256)
    for found, told in ((session.get_inputs(), about["inputs"]), (session.get_outputs(), about["outputs"])):
        assert [one.name for one in found] == list(json.loads(told))
        for one, said in zip(found, json.loads(told).values(), strict=True):
            assert [side for side in one.shape if isinstance(side, int)] == [side for side in said["shape"] if isinstance(side, int)]
            assert len(one.shape) == len(said["shape"])
    assert json.loads(about.get("labels", "null")) == (None if generator.config.classes is None else list(generator.config.classes))
    assert str(ROOT).encode() not in out.read_bytes(), "a path of this machine"


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - TRACED_ELSEWHERE))
def test_a_torch_archive_draws_what_the_generator_draws(family: str, tmp_path: Path) -> None:
    generator, out = generator_of(family), tmp_path / "g.pt2"
    written = export(generator, "torch-export", out, "some")
    assert written.difference is not None
    assert 0 <= written.difference <= TOLERANCE
    extra = {METADATA: ""}
    network = torch.export.load(out, extra_files=extra).module()
    assert_draws_the_same(generator, lambda *given: [one.numpy() for one in network(*map(torch.from_numpy, given))])
    assert json.loads(extra[METADATA]) == json.loads(json.dumps(described(generator, "some", None)))
    assert str(ROOT).encode() not in out.read_bytes(), "a path of this machine"


def test_the_way_back_of_a_translator_takes_no_room(tmp_path: Path) -> None:
    generator = generator_of("round-trip")
    export(generator, "torch-export", tmp_path / "g.pt2", "some")
    kept = torch.export.load(tmp_path / "g.pt2").state_dict
    assert len(kept) == len(generator.network.get_submodule("there").state_dict())


@pytest.mark.parametrize("family", HUB)
def test_a_folder_for_the_hub_draws_without_gantry(family: str, tmp_path: Path) -> None:
    generator, out = generator_of(family), tmp_path / "hub"
    export(generator, "huggingface", out, "some", 3)
    shown = SHOWN.get(family, ["samples.png"])
    files = ["README.md", "config.json", "generator.safetensors", "load.py", "model.onnx", *shown]
    assert sorted(path.name for path in out.iterdir()) == sorted(files)
    back = Generator.load(out)
    asked = {"unet": ["given.gif"], "predictions": ["given.gif"], "stack": ["A red, round HEART", "7"]}.get(family, ["7"])
    if generator.config.inputs is not None:
        frames = [Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20) // number) for number in (1, 2, 4)]
        frames[0].save(tmp_path / "given.gif", save_all=True, append_images=frames[1:])
    else:
        np.testing.assert_array_equal(back.sample(3).samples, generator.sample(3).samples)
    assert_onnx_is(back, out / "model.onnx")
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "# some, version 3" in card
    assert back.config.sha256 in card
    assert "<b>" not in card
    code = (
        "import sys, runpy; sys.modules.update(gan_core=None, tasks=None, torch=None); runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(out / "load.py"), *asked]
    environment = {**os.environ, "PYTHONPATH": str(out)}  # as for a program that is named
    done = subprocess.run(command, cwd=tmp_path, check=True, timeout=300, capture_output=True, text=True, env=environment)
    if family == "sequence":
        drawn = generator.draw([replace(seven_latents_of_numpy(generator), given=torch.arange(7) % 2)])[0].samples
        assert done.stdout.splitlines() == Sentences.of(generator.config.data).texts(drawn)
    elif family == "sounds":
        assert_sounds_like(generator, tmp_path / "samples.wav")
    elif family == "predictions":
        assert film_shape(tmp_path / "samples.gif") == (6, 16, 16)
    elif family == "clips":
        assert film_shape(tmp_path / "samples.gif") == (4, 16, 7 * 16)
    elif family == "stack":
        with Image.open(tmp_path / "samples.png") as picture:
            order = replace(seven_latents_of_numpy(generator), given=torch.tensor([[1, 2, 1, 3]] * 7))  # a, red, round, heart
            assert_same(np.asarray(picture), np.concatenate(generator.draw([order])[0].samples, axis=2).transpose(1, 2, 0))
    elif family == "tabular":
        with (tmp_path / "samples.csv").open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        assert header == ["height", "age", "always", "colour", "rooms", "bought"]
        assert len(rows) == 7
        assert {row[3] for row in rows} <= {"blue", "green", "red"}
        assert {row[5] for row in rows} <= {"no", "yes"}
    else:
        with Image.open(tmp_path / "samples.png") as picture:
            assert (picture.size, picture.mode) == (((16, 16), "RGB") if family == "unet" else ((7 * 8, 8), "L"))


def film_shape(file: Path) -> tuple[int, ...]:
    with Image.open(file) as film:
        return np.stack([np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(film)]).shape


def seven_latents_of_numpy(generator: Generator) -> Order:
    """Latents as `load.py` draws them."""
    drawn = np.random.default_rng(0).standard_normal((7, generator.config.latent), dtype=np.float32)
    return replace(generator.any_order(7), first=torch.from_numpy(drawn), labels=None)


def assert_sounds_like(generator: Generator, file: Path) -> None:
    """Its spectrograms are nearly what the network gives, as those of sounds that Gantry finds itself are."""
    spec = Sounds.of(generator.config.data)
    with wave.open(str(file)) as told:
        assert (told.getframerate(), told.getnchannels(), told.getsampwidth(), told.getnframes()) == (8_000, 1, 2, 7 * 2_000)
        heard = np.frombuffer(told.readframes(7 * 2_000), dtype="<i2").reshape(7, 1, 2_000)
    order = replace(seven_latents_of_numpy(generator), given=torch.arange(7) % 2)
    asked, own = generator.made(order), generator.draw([order])[0].samples
    by_file, by_gantry = ((spec.to_networks(torch.from_numpy(waves.copy())) - asked).abs().mean().item() for waves in (heard, own))
    assert by_file < 1.1 * by_gantry
    silent = (spec.to_networks(torch.zeros(7, 1, 2_000)) - asked).abs().mean().item()
    assert by_file < 0.5 * silent


def test_a_folder_is_a_generator_with_card_and_samples(tmp_path: Path) -> None:
    generator = generator_of("mlp").save(tmp_path / "generator")
    written = export(generator, "folder", tmp_path / "out", "some", 3)
    assert written.difference is None
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md",
        "config.json",
        "generator.safetensors",
        "samples.png",
    ]
    assert written.size == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    for name in ("config.json", "generator.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "generator" / name).read_bytes()
    assert "load.py" not in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


class Changeable(nn.Module):
    """Gives points (N, 2), and other ones when exported."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return latents * self.weight + (1e-3 if torch.compiler.is_exporting() else 0.0)


class Undecided(Changeable):
    """Looks at values, as a graph cannot."""

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return latents * self.weight if latents.sum() > 0 else latents


def points_by(network: nn.Module) -> Generator:
    params = GENERATORS["mlp"].model_validate({"widths": (8,)})
    return of(Points((2,), mean=(0.0, 0.0), std=(1.0, 1.0)), params, 2, network)


@pytest.mark.parametrize("form", ["onnx", "torch-export"])
def test_what_does_not_do_the_same_is_not_written(form: Any, tmp_path: Path) -> None:
    out = tmp_path / {"onnx": "g.onnx", "torch-export": "g.pt2"}[form]
    out.write_text("what was there")
    with pytest.raises(DataError, match=rf"{out.name}: not written, since its values differ from the generator's by 0\.001"):
        export(points_by(Changeable()), form, out, "some")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(out.name, "what was there")]


def test_a_network_that_is_no_graph_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"points by the network mlp cannot be exported as a graph \(.*\); use --format folder"
    ) as refused:
        export(points_by(Undecided()), "torch-export", tmp_path / "g.pt2", "some")
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("form", "place", "said"),
    [
        ("onnx", "g.pt2", r"give it a name that ends with \.onnx"),
        ("torch-export", "g", r"give it a name that ends with \.pt2"),
        ("onnx", "taken.onnx", "is a folder; name a file"),
        ("folder", "taken.onnx", "is there already; name a new folder"),
        ("huggingface", "file", "is there already; name a new folder"),
        ("folder", "file/below", "cannot be written"),
    ],
)
def test_a_place_that_does_not_fit_is_refused(form: Any, place: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "taken.onnx").mkdir()
    (tmp_path / "taken.onnx" / "kept").touch()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=said):
        export(tiny_generator(), form, tmp_path / place, "some")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "kept", "taken.onnx"]


def test_of_two_at_once_one_has_the_folder(tmp_path: Path) -> None:
    generators = {seed: tiny_generator(seed) for seed in (1, 2)}  # not in the threads, which share torch's random state

    def once(seed: int) -> str:
        try:
            export(generators[seed], "folder", tmp_path / "out", f"seed-{seed}")
        except ConfigError as error:
            return str(error)
        return "written"

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(once, (1, 2)))
    assert said.count("written") == 1
    (winner,) = [seed for seed, words in zip((1, 2), said, strict=True) if words == "written"]
    assert f"# seed-{winner}" in (tmp_path / "out" / "README.md").read_text()
    np.testing.assert_array_equal(Generator.load(tmp_path / "out").sample(3).samples, generators[winner].sample(3).samples)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_command_exports_a_version_and_says_how_close_it_is(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.root / "params.yaml").write_text("generators: {}\n")
    tiny_generator().save(tmp_path / "generator")
    with tracking.run(workspace, "digits") as run:
        Registry.open(workspace).add("digits", run.id, tmp_path / "generator", {}, "")
    done = called(workspace, "export", "digits/1", "--format", "torch-export", "--out", "digits.pt2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first.startswith("digits, version 1 as torch-export in digits.pt2, ")
    said = re.fullmatch(r"read back and run on fresh inputs: its values differ from the generator's by (\S+) at most", second)
    assert said is not None
    assert float(said[1]) < 1e-6  # another library multiplies there
    extra = {METADATA: ""}
    torch.export.load(workspace.root / "digits.pt2", extra_files=extra)
    about = json.loads(extra[METADATA])
    assert (about["name"], about["version"]) == ("digits", 1)
    assert about["sha256"] == json.loads((tmp_path / "generator" / "config.json").read_text())["sha256"]


@pytest.mark.parametrize(("form", "place"), [("onnx", "g.onnx"), ("torch-export", "g.pt2"), ("folder", "out")])
def test_where_no_more_can_be_written_nothing_half_written_is_left(form: Any, place: str, tmp_path: Path) -> None:
    """A write fails in the middle of a file, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        with pytest.raises(ConfigError, match=rf"{place}: cannot be written"):
            export(tiny_generator(), form, tmp_path / place, "some")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())
