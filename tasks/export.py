"""A generator in forms that need no Gantry: ONNX, torch.export, a folder, a folder for the Hugging Face Hub.

A network is exported with what stands around it: it takes pictures as bytes, and gives samples as `Generator.sample` gives them, beside
the values that they were made of; where the way from these to samples is no graph, the values alone. What was written is read back and
run on fresh inputs beside the generator before it takes its place.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
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
from gan_core.kinds.captions import Captioned
from gan_core.kinds.pixels import Pixels
from gan_core.kinds.sentences import Sentences
from gan_core.kinds.table import Table
from gan_core.kinds.text import MAX_WORDS, PADDING, UNKNOWN
from tasks import kinds
from tasks.export_loader import write_loader
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
_Run = Callable[[dict[str, Tensor]], Sequence[Tensor]]


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    size: int
    """Bytes, of all its files."""
    difference: float | None
    """Largest of the values from the generator's, on fresh inputs; None where no network was written beside its weights."""


class _WithSamples(nn.Module):
    """A generator's network between what a person gives and what a person gets: latents (N, L) and labels (N,) or tokens (N, T), or
    images uint8 (N, C, H, W) and labels -> `outputs`."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        # The way back of a pair of translators would double the file.
        self.network = generator.network.get_submodule("there") if generator.goes_back else generator.network
        self.data = generator.config.data
        self.outputs = ("values",) if kinds.of(self.data.kind).values_alone else ("samples", "values")
        """Samples as `Generator.sample` gives them, and float32 values: what the network made, or how probable each word was."""

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        if isinstance(self.data, Sentences):  # a word among all at each place would be large, and tell nothing that samples do not
            tokens, probabilities = self.network.drawn(*given)  # type: ignore[operator]
            return tokens.int(), probabilities
        values: Tensor = self.network(*given if self.data.inputs is None else (self.data.to_networks(given[0]), *given[1:]))
        return (self.data.to_samples(values), values) if "samples" in self.outputs else (values,)

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
    if form != "folder" and (reason := _no_graph(generator)):
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


def _no_graph(generator: Generator) -> str | None:
    """Why it cannot be exported as a graph, as far as that is known before one is traced."""
    config = generator.config
    if config.schema is not None and config.schema.children is not None:
        return "rows with children are two tables, and a graph makes one"
    if isinstance(config.data, Sentences) and not hasattr(generator.network, "drawn"):
        return f"the network {config.network.network} has no `drawn`, which is asked for words"
    return None


def described(generator: Generator, name: str, version: int | None) -> dict[str, Any]:
    """What an exported network takes and gives, for programs: JSON's types."""
    config, wrapped, kind = generator.config, _WithSamples(generator), kinds.of(generator.config.kind)
    multiple, inputs = wrapped.side_multiple, dict[str, Any]()
    if config.inputs is not None:
        *leading, height, width = config.inputs
        low, high = Pixels.of(config.data).bounds
        sides = (height, width) if multiple is None else ("height", "width")
        any_sides = "" if multiple is None else f"; sides are multiples of {multiple}, {height} and {width} in training"
        holds = f"{low:.10g} to {high:.10g}{any_sides}"
        inputs["images"] = {"type": np.dtype(config.data.dtype).name, "shape": ["batch", *leading, *sides], "holds": holds}
    else:
        inputs["latents"] = {"type": "float32", "shape": ["batch", config.latent], "holds": "independent standard normal deviates"}
    if _takes_labels(config):
        assert config.condition is not None  # noqa: S101
        holds = config.condition.in_words if config.classes is None else "index among `labels`"
        inputs["labels"] = {"type": np.dtype(config.condition.dtype).name, "shape": ["batch"], "holds": holds}
    if config.prompts is not None:
        holds = f"words in order as index among `words`; {PADDING} behind the last, {UNKNOWN} for a word that is not there"
        inputs["tokens"] = {"type": "int64", "shape": ["batch", MAX_WORDS], "holds": holds}
    outputs = {}
    with torch.inference_mode():
        made = wrapped(*_given(generator, 2).values())
    for output, tensor in zip(wrapped.outputs, made, strict=True):
        shape = list(tensor.shape[1:]) if multiple is None else [*tensor.shape[1:-2], "height", "width"]
        facts = {"type": str(tensor.dtype).removeprefix("torch."), "shape": ["batch", *shape]}
        outputs[output] = {**facts, "holds": kind.holds(config.data)[output]}
    about: dict[str, Any] = {
        "name": name,
        "version": version,
        "sha256": config.sha256,
        "recipe": config.recipe,
        "kind": config.kind,
        "gantry": metadata.version("gantry-gan"),
        "inputs": inputs,
        "outputs": outputs,
    }
    if config.classes is not None:
        about["labels"] = list(config.classes)
    return {**about, **kind.facts(config.data)}


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
        *leading, height, width = config.inputs
        shape = (count, *leading, height * side, width * (2 * side - 1))
        given = {"images": torch.from_numpy(Pixels.of(config.data).noise(shape, _SEED))}
    else:
        given = {"latents": latents.independent(count, config.latent, _SEED)}
    if _takes_labels(config):
        given["labels"] = config.data.labels_drawn(count, _SEED)
    if isinstance(config.data, Captioned):
        draw = np.random.default_rng(_SEED)
        tokens = draw.integers(UNKNOWN, len(config.data.words), (count, MAX_WORDS))
        tokens[np.arange(MAX_WORDS) >= draw.integers(1, MAX_WORDS + 1, (count, 1))] = PADDING
        given["tokens"] = torch.from_numpy(tokens)
    return given


def _traced(generator: Generator, wrapped: _WithSamples) -> tuple[ExportedProgram, dict[str, dict[int, str]]]:
    """The network as a graph, and the names of the axes that may be of any length."""
    given = _given(generator, _TRACED)
    axes = {name: {0: "batch"} for name in given}
    if wrapped.side_multiple:
        rank = given["images"].dim()
        axes["images"] |= {rank - 2: "height", rank - 1: "width"}
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
    path.write_bytes(_onnx(program, axes, wrapped.outputs, about).SerializeToString())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(given: dict[str, Tensor]) -> list[Tensor]:
        made = session.run(list(wrapped.outputs), {name: tensor.numpy() for name, tensor in given.items()})
        return [torch.from_numpy(one) for one in made]

    return _difference(generator, wrapped, run, path)


def _onnx(program: ExportedProgram, axes: dict[str, dict[int, str]], outputs: Sequence[str], about: dict[str, Any]) -> ModelProto:
    exported = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        input_names=list(axes),
        output_names=list(outputs),
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
    """The largest of the values that `run` gives from the generator's, of sentences where all words are the same.

    Raises:
        DataError: it is more than `TOLERANCE`, or the samples differ by more than rounding.
    """
    largest = apart = 0.0
    for count, side in ((1, 1), (_FRESH if generator.config.inputs is None else 4, 1), *([(1, 2)] if wrapped.side_multiple else [])):
        given = _given(generator, count, side)
        with torch.inference_mode():
            expected, made = wrapped(*given.values()), run(given)
        if [(one.shape, one.dtype) for one in expected] != [(one.shape, one.dtype) for one in made]:
            raise DataError(f"{path.name}: not written, since its outputs are of other shapes or types; use --format folder")
        alike = torch.ones(count, dtype=torch.bool)
        if isinstance(wrapped.data, Sentences):  # another word has another probability, and others follow it
            alike = (expected[0] == made[0]).all(dim=1)
            apart = max(apart, float((~alike).sum() / (expected[0] != PADDING).sum()))
        elif len(made) > 1:
            apart = max(apart, _apart(generator, expected[0], made[0]))
        difference = float((expected[-1] - made[-1])[alike].abs().amax()) if alike.any() else float("nan")
        largest = max(largest, difference) if difference == difference else difference
        if not largest <= TOLERANCE:
            raise DataError(f"{path.name}: not written, since its values differ from the generator's by {largest:.2g}; use --format folder")
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
    difference = usage = None
    if hub:
        difference = _write_onnx(generator, path / "model.onnx", about)
        usage = write_loader(generator.config, path)
    template = environment().get_template("export.md")
    card = template.render(about=about, generator=generator.config, shown=shown, difference=difference, usage=usage)
    (path / "README.md").write_text(card + "\n", encoding="utf-8")
    return difference
