"""A generator in forms that need no Gantry: ONNX, torch.export, a folder, a folder for the Hugging Face Hub.

A network is exported with what stands around it: it takes pictures as bytes, and gives samples as `Generator.sample` gives them, beside
the values that they were made of. What was written is read back and run on fresh inputs beside the generator before it takes its place.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from gan_core import latents
from gan_core.errors import ConfigError, DataError
from gan_core.kinds.pixels import Pixels
from gan_core.kinds.table import Table
from tasks import kinds
from tasks.sample_files import write_samples

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch.export import ExportedProgram

    from gan_core.generator import Generator, GeneratorConfig

Format = Literal["onnx", "torch-export", "folder", "huggingface"]
TOLERANCE = 1e-4
"""Between values of the exported network and of the generator, float32."""
METADATA = "gantry.json"
"""The extra file of a torch.export archive that says what it takes and gives."""

SUFFIXES: dict[str, str] = {"onnx": ".onnx", "torch-export": ".pt2"}
_FRESH = 256  # inputs that an exported network is checked on
_SEED = 20_240_601  # of them; any other one does
_TRACED = 3  # a batch that is neither 0 nor 1, which torch.export takes for constants
_MOST_APART = 0.01  # share of a sample's values that a step of rounding, or another of two equal choices, may set apart
_STEP = 1 / 250  # of the range: a step of rounding of bytes
_Run = Callable[[dict[str, Tensor]], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    size: int
    """Bytes, of all its files."""
    difference: float | None
    """Largest of the values from the generator's, on fresh inputs; None where no network was written beside its weights."""


class _WithSamples(nn.Module):
    """A generator's network between what a person gives and what a person gets: latents (N, L) and labels (N,), or images uint8
    (N, C, H, W) -> samples as `Generator.sample` gives them, and the values float32 that the network made."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        # The way back of a pair of translators would double the file.
        self.network = generator.network.get_submodule("there") if generator.goes_back else generator.network
        self.data = generator.config.data

    def forward(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        values: Tensor = self.network(*given if self.data.inputs is None else (self.data.to_networks(given[0]), *given[1:]))
        return self.data.to_samples(values), values

    @property
    def side_multiple(self) -> int | None:
        """What the sides of images can be any multiple of, where the network is fully convolutional."""
        multiple: int | None = getattr(self.network, "side_multiple", None)
        return multiple


def export(generator: Generator, form: Format, out: Path, name: str, version: int | None = None) -> Exported:
    """Write a generator in another form; whole or not at all.

    Args:
        form: `onnx` and `torch-export` write a file, with metadata as `described` gives it; `folder` the weights, their config, a card
            and samples; `huggingface` the same with the network as ONNX and a program that draws from it.
        out: a file is replaced; a folder must be new or empty.
        name: of the generator, and its version where it is a registered one: what the metadata and the card say.

    Raises:
        ConfigError: a package is missing, the network cannot be exported, or `out` cannot be written.
        DataError: what was written does not do what the generator does.
    """
    check_place(form, out)
    if form != "folder" and generator.config.prompts is not None:
        raise ConfigError(f"{name}: --format {form} knows no way yet to export a network that reads text; use --format folder")
    reason = kinds.of(generator.config.kind).no_graph
    if generator.config.schema is not None and generator.config.schema.children is not None:
        reason = "rows with children are two tables, and a graph makes one"
    if form != "folder" and reason:
        raise ConfigError(f"{name}: --format {form} writes a network as a graph, and {reason}; use --format folder")
    about = described(generator, name, version)
    difference: float | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with _placed(out) as path, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporters', of their own insides
            if form == "onnx":
                difference = _write_onnx(generator, path, about)
            elif form == "torch-export":
                difference = _write_torch(generator, path, about)
            else:
                difference = _write_folder(generator, path, about, hub=form == "huggingface")
            size = sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else [path]))
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror or error})") from None
    return Exported(out, size, difference)


def described(generator: Generator, name: str, version: int | None) -> dict[str, Any]:
    """What an exported network takes and gives, for programs: JSON's types."""
    config, multiple = generator.config, _WithSamples(generator).side_multiple
    inputs: dict[str, Any] = {}
    sides: tuple[int | str, ...] = config.shape[1:] if multiple is None else ("height", "width")
    if config.inputs is not None:
        trained = " and ".join(map(str, config.inputs[1:]))
        low, high = Pixels.of(config.data).bounds
        holds = f"{low:.10g} to {high:.10g}" + ("" if multiple is None else f"; sides are multiples of {multiple}, {trained} in training")
        inputs["images"] = {"type": np.dtype(config.data.dtype).name, "shape": ["batch", config.inputs[0], *sides], "holds": holds}
    else:
        inputs["latents"] = {"type": "float32", "shape": ["batch", config.latent], "holds": "independent standard normal deviates"}
    if _takes_labels(config):
        assert config.condition is not None  # noqa: S101
        holds = config.condition.in_words if config.classes is None else "index among `labels`"
        inputs["labels"] = {"type": np.dtype(config.condition.dtype).name, "shape": ["batch"], "holds": holds}
    about: dict[str, Any] = {
        "name": name,
        "version": version,
        "sha256": config.sha256,
        "recipe": config.recipe,
        "kind": config.kind,
        "gantry": metadata.version("gantry-gan"),
        "inputs": inputs,
        "outputs": _outputs(generator, sides),
    }
    if config.classes is not None:
        about["labels"] = list(config.classes)
    if config.schema is not None:
        keys = ("name", "dtype", "categories", "format")
        about["columns"] = [{key: getattr(column, key) for key in keys} for column in config.schema.columns]
        about["label_column"] = {"name": config.schema.label, "dtype": config.schema.label_dtype}
        about["label_shares"] = config.schema.shares
        if config.schema.labels:
            about["label_columns"] = [{key: getattr(column, key) for key in keys} for column in config.schema.labels]
            about["label_combinations"] = config.schema.combinations
    return about


def _outputs(generator: Generator, sides: tuple[int | str, ...]) -> dict[str, Any]:
    data = generator.config.data
    shape: tuple[int | str, ...] = data.shape
    of_values = shape
    samples, values = "in the data's own units", "what the samples are made of, as the network sees them"
    if isinstance(data, Pixels):
        shape = of_values = (data.shape[0], *sides)
        (low, high), rounded = data.bounds, "made of" if data.depth == "float" else "rounded from"
        half = f"{(high - low) / 2:.10g}" + (f" + {low:.10g}" if low else "")
        samples, values = f"{low:.10g} to {high:.10g}", f"-1 to 1, which the samples are {rounded}: (values + 1) * {half}"
    elif isinstance(data, Table):
        of_values = (data.encoding.width,)
        samples = "numbers as they are, days or seconds since 1970, NaN for a gap, the index of a category"
        values = "rows as the network encodes them"
    return {
        "samples": {"type": np.dtype(data.dtype).name, "shape": ["batch", *shape], "holds": samples},
        "values": {"type": "float32", "shape": ["batch", *of_values], "holds": values},
    }


def check_place(form: Format, out: Path) -> None:
    """Refuse what cannot be written, before anything is loaded or traced.

    Raises:
        ConfigError: another suffix than the form's, something there that is not replaced, or a package is missing.
    """
    suffix = SUFFIXES.get(form)
    if suffix is not None and out.suffix.lower() != suffix:
        raise ConfigError(f"{out}: --format {form} writes one file; give it a name that ends with {suffix}")
    if suffix is not None and out.is_dir():
        raise ConfigError(f"{out}: is a folder; name a file")
    if suffix is None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: is there already; name a new folder")
    if form in ("onnx", "huggingface"):
        missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]
        if missing:
            raise ConfigError(f"--format {form}: needs the packages {', '.join(missing)}; install gantry-gan[export]")


@contextmanager
def _placed(out: Path) -> Iterator[Path]:
    """A place of one's own beside `out` to write to, of the same name; at the end of the block it takes `out`'s, unless that raises."""
    aside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield aside / out.name
        (aside / out.name).replace(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _takes_labels(config: GeneratorConfig) -> bool:
    """Whether its network is told a label: every one that knows any, but for those that translate in one way."""
    return config.condition is not None and (config.inputs is None or config.targets is not None)


def _given(generator: Generator, count: int, side: int = 1) -> dict[str, Tensor]:
    """Fresh inputs by name; `side` enlarges images, upright ones so that the two sides are told apart."""
    config = generator.config
    if config.inputs is not None:
        channels, height, width = config.inputs
        shape = (count, channels, height * side, width * (2 * side - 1))
        given = {"images": torch.from_numpy(Pixels.of(config.data).noise(shape, _SEED))}
    else:
        given = {"latents": latents.independent(count, config.latent, _SEED)}
    if _takes_labels(config):
        given["labels"] = config.data.labels_drawn(count, _SEED)
    return given


def _traced(generator: Generator, wrapped: _WithSamples) -> tuple[ExportedProgram, dict[str, dict[int, str]]]:
    """The network as a graph, and the names of the axes that may be of any length."""
    given = _given(generator, _TRACED)
    axes = {name: {0: "batch", **({2: "height", 3: "width"} if wrapped.side_multiple and name == "images" else {})} for name in given}
    free = tuple(dict.fromkeys(named, torch.export.Dim.DYNAMIC) for named in axes.values())
    try:
        program = torch.export.export(wrapped, tuple(given.values()), dynamic_shapes={"given": free})
    except Exception as error:  # whatever tracing meets in a network, ours or another package's
        what = f"{generator.config.kind} by the network {generator.config.network.network}"
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(f"{what} cannot be exported as a graph ({reason[:200]}); use --format folder") from error
    # Nobody who has the file can use them: paths of this machine, and the inputs that were traced.
    program.example_inputs = None
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
    return program, axes


def _write_torch(generator: Generator, path: Path, about: dict[str, Any]) -> float:
    wrapped = _WithSamples(generator).eval()
    program, _ = _traced(generator, wrapped)
    written = BytesIO()  # since torch tells of a full disk as a RuntimeError without its cause
    torch.export.save(program, written, extra_files={METADATA: json.dumps(about, ensure_ascii=False)})
    path.write_bytes(written.getbuffer())
    read = torch.export.load(path).module()
    return _difference(generator, wrapped, lambda given: read(*given.values()), path)


def _write_onnx(generator: Generator, path: Path, about: dict[str, Any]) -> float:
    import onnxruntime

    wrapped = _WithSamples(generator).eval()
    program, axes = _traced(generator, wrapped)
    path.write_bytes(_onnx(program, axes, about).SerializeToString())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        samples, values = session.run(["samples", "values"], {name: tensor.numpy() for name, tensor in given.items()})
        return torch.from_numpy(samples), torch.from_numpy(values)

    return _difference(generator, wrapped, run, path)


def _onnx(program: ExportedProgram, axes: dict[str, dict[int, str]], about: dict[str, Any]) -> ModelProto:
    exported = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        input_names=list(axes),
        output_names=["samples", "values"],
        dynamic_shapes={"given": tuple(axes.values())},
    )
    assert exported is not None  # noqa: S101  it is None where a file is named
    model: ModelProto = exported.model_proto
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer, *model.graph.value_info):
        del part.metadata_props[:]  # how each was traced
    for key, value in about.items():
        if value is not None:
            model.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    model.producer_name, model.producer_version = "gantry", about["gantry"]
    return model


def _difference(generator: Generator, wrapped: _WithSamples, run: _Run, path: Path) -> float:
    """The largest of the values that `run` gives from the generator's.

    Raises:
        DataError: it is more than `TOLERANCE`, or the samples differ by more than rounding.
    """
    largest = apart = 0.0
    for count, side in ((1, 1), (_FRESH if generator.config.inputs is None else 4, 1), *([(1, 2)] if wrapped.side_multiple else [])):
        given = _given(generator, count, side)
        with torch.inference_mode():
            (samples, values), (made, seen) = wrapped(*given.values()), run(given)
        if values.shape != seen.shape or samples.shape != made.shape or samples.dtype != made.dtype:
            raise DataError(f"{path.name}: not written, since its outputs are of other shapes or types; use --format folder")
        difference = float((values - seen).abs().max())
        largest = max(largest, difference) if difference == difference else difference
        if not largest <= TOLERANCE:
            raise DataError(f"{path.name}: not written, since its values differ from the generator's by {largest:.2g}; use --format folder")
        apart = max(apart, _apart(generator, samples, made))
    if apart > _MOST_APART:
        raise DataError(f"{path.name}: not written, since {100 * apart:.2g} % of its samples' values differ; use --format folder")
    return largest


def _apart(generator: Generator, samples: Tensor, made: Tensor) -> float:
    """The share of values that are further apart than a step."""
    one, other = (np.nan_to_num(generator.config.data.comparable(part.numpy()).astype(np.float64)) for part in (samples, made))
    data = generator.config.data
    extent = data.bounds[1] - data.bounds[0] if isinstance(data, Pixels) else max(float(np.abs(one).max()), 1e-12)
    if isinstance(data, Table):
        extent = 1.0  # columns are compared by their range, and a single row may lie at its beginning
    return float((np.abs(one - other) > _STEP * extent).mean())


def _write_folder(generator: Generator, path: Path, about: dict[str, Any], hub: bool) -> float | None:
    from tasks.report.templates import environment

    generator = generator.save(path)
    about = {**about, "sha256": generator.config.sha256}
    shown = None
    if generator.config.inputs is None:
        samples = generator.sample(64, seed=0)
        shown = f"samples{kinds.of(samples.kind).shown_as}"
        write_samples(samples, path / shown, generator.config.classes)
    difference = None
    if hub:
        difference = _write_onnx(generator, path / "model.onnx", about)
        (path / "load.py").write_text(_loader(generator), encoding="utf-8")
    card = environment().get_template("export.md").render(about=about, generator=generator.config, shown=shown, difference=difference)
    (path / "README.md").write_text(card + "\n", encoding="utf-8")
    return difference


_LOADER = '''\
"""Runs model.onnx: {usage}. It needs {needs}, and nothing of Gantry."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
{imports}
session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"))
about = session.get_modelmeta().custom_metadata_map
{body}
'''
_DRAW = """\
count = int(sys.argv[1]) if len(sys.argv) > 1 else 16
given = {"latents": np.random.default_rng(0).standard_normal((count, LATENT), dtype=np.float32)}
"""
_LABELS = 'given["labels"] = np.arange(count) % len(json.loads(about["labels"]))\n'
_NUMBERS = 'given["labels"] = np.linspace({}, {}, count, dtype=np.float32)\n'
_TO_NUMBER = 'given["labels"] = np.array([float(sys.argv[2])], dtype=np.float32)\n'
_TO_LABEL = 'given["labels"] = np.array([json.loads(about["labels"]).index(sys.argv[2])])\n'
_SHARES = 'shares = json.loads(about["label_shares"])\ngiven["labels"] = np.random.default_rng(1).choice(len(shares), count, p=shares)\n'
_RUN = 'samples, values = session.run(["samples", "values"], given)\n'


def _loader(generator: Generator) -> str:
    """The program beside an exported network, for those who have no Gantry."""
    config = generator.config
    labels = "" if config.classes is None else _LABELS if config.schema is None or config.schema.shares is None else _SHARES
    labels, to_label = (labels, _TO_LABEL) if config.data.numbers is None else (_NUMBERS.format(*config.data.numbers), _TO_NUMBER)
    drawn = _DRAW.replace("LATENT", str(config.latent)) + labels + _RUN
    if isinstance(config.data, Pixels) and not config.data.is_plain:  # which no library for pictures has a type for
        if config.inputs is not None:
            body = f'given = {{"images": np.load(sys.argv[1])[None]}}  # {" x ".join(map(str, config.inputs))}\n{_RUN}'
            return _filled("python load.py ARRAY.npy writes samples.npy", f'{body}np.save("samples.npy", samples)')
        return _filled("python load.py [COUNT] draws samples.npy", f'{drawn}np.save("samples.npy", samples)')
    picture = 'Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save("samples.png")'
    if config.inputs is not None:
        channels, height, width = config.inputs
        body = (
            f'image = Image.open(sys.argv[1]).convert("{"L" if channels == 1 else "RGB"}").resize(({width}, {height}))\n'
            f'given = {{"images": np.asarray(image).reshape(1, {height}, {width}, {channels}).transpose(0, 3, 1, 2)}}\n'
            f"{to_label if config.targets is not None else ''}{_RUN}picture = samples[0].transpose(1, 2, 0)\n{picture}"
        )
        what = "PICTURE" if config.targets is None else "PICTURE LABEL"
        return _filled(f"python load.py {what} writes samples.png", body, pillow=True)
    if isinstance(config.data, Pixels):
        body = f"{drawn}picture = np.concatenate(samples, axis=2).transpose(1, 2, 0)  # side by side\n{picture}"
        return _filled("python load.py [COUNT] draws samples.png", body, pillow=True)
    if config.schema is None:
        return _filled("python load.py [COUNT] draws samples.csv", drawn + 'np.savetxt("samples.csv", samples, delimiter=",")')
    body = (
        f'{drawn}columns = json.loads(about["columns"])\n'
        'rows = [[column["name"] for column in columns]]\n'
        "for row in samples:\n"
        '    rows.append([c["categories"][int(v)] if c["categories"] else "" if np.isnan(v) else v for c, v in zip(columns, row)])\n'
    )
    if config.schema.labels:
        body += (
            'labels, combinations = json.loads(about["label_columns"]), json.loads(about["label_combinations"])\n'
            'rows[0] += [label["name"] for label in labels]\n'
            'for row, label in zip(rows[1:], given["labels"]):\n'
            '    row += [c["categories"][v] for c, v in zip(labels, combinations[label])]\n'
        )
    elif config.classes is not None:
        body += 'rows[0].append(json.loads(about["label_column"])["name"])\n'
        body += 'for row, label in zip(rows[1:], given["labels"]):\n    row.append(json.loads(about["labels"])[label])\n'
    body += 'with open("samples.csv", "w", newline="", encoding="utf-8") as file:\n    csv.writer(file).writerows(rows)'
    return _filled("python load.py [COUNT] draws samples.csv", body, csv=True)


def _filled(usage: str, body: str, pillow: bool = False, csv: bool = False) -> str:
    text = _LOADER.format(
        usage=usage,
        needs="numpy, onnxruntime and pillow" if pillow else "numpy and onnxruntime",
        imports="from PIL import Image\n" if pillow else "",
        body=body,
    )
    text = text.replace("import json\n", "import csv\nimport json\n") if csv else text
    return (
        text if "json." in body else text.replace("import json\n", "").replace("about = session.get_modelmeta().custom_metadata_map\n", "")
    )
