"""The thing that is shipped: a trained generator that can be loaded and asked for samples.

Its folder holds `config.json` (what it is, readable without torch) and `generator.safetensors` (its averaged weights). Loading
checks the weights against the digest in the config, and never unpickles anything.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from gan_core import latents
from gan_core.data.dataset import DatasetSpec
from gan_core.data.labels import Condition, Labels, Numbers, named_number
from gan_core.errors import ConfigError, DataError
from gan_core.kinds import KINDS
from gan_core.kinds.attributes import Attributed
from gan_core.kinds.captions import Captioned
from gan_core.kinds.pixels import Pixels
from gan_core.kinds.schema import Schema
from gan_core.kinds.table import Table
from gan_core.kinds.text import Vocabulary, check_prompts
from gan_core.networks import build_generator
from gan_core.networks.common import lay_out
from gan_core.networks.translator import RoundTrip
from gan_core.params.networks import NetworkParams, network_of
from gan_core.randomness import mix

FORMAT = 2
MAX_COUNT = 1_000_000
MAX_SEED = 2**63 - 1
_IDLE = 20
"""Times that repeated rows are drawn again without one less."""
_AGAIN = 4  # apart from other seeds


@dataclass(frozen=True)
class GeneratorConfig:
    """What a generator is, apart from its weights."""

    recipe: str
    data: DatasetSpec
    """What it was trained on, and so what it makes; without labels, where it is unconditional."""
    latent: int
    network: NetworkParams
    images: int
    """Real samples that its training showed to the discriminator."""
    seed: int
    dataset: str
    """Digest of the data set it was trained on."""
    sha256: str = ""
    """Of the weights file's bytes."""

    @property
    def kind(self) -> str:
        """Of data that it makes."""
        return self.data.kind

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample: (C, H, W) for images, (D,) for points and tables."""
        return self.data.shape

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes that it can be asked for; None for one that knows none."""
        return self.data.classes

    @property
    def inputs(self) -> tuple[int, ...] | None:
        """Of what it is given for one sample, (C, H, W): such a generator translates; None: it draws from latents."""
        return self.data.inputs

    @property
    def prompts(self) -> tuple[str, ...] | None:
        """Such a generator is asked with text, and this is what it draws where it is not told; None: it knows no text."""
        return self.data.examples if isinstance(self.data, Captioned) else None

    @property
    def condition(self) -> Condition | None:
        """What it can be asked for by a label; None for one that is told none."""
        return self.data.condition

    @property
    def targets(self) -> Condition | None:
        """Such a generator translates an image to one of these labels, which it is asked for; None for all others."""
        return self.data.condition if isinstance(self.data, Attributed) else None

    @property
    def schema(self) -> Schema | None:
        """The columns of a table."""
        return self.data.schema if isinstance(self.data, Table) else None


@dataclass(frozen=True)
class Samples:
    """Generated samples, and their labels (N,) where there are any.

    Images are uint8 (N, C, H, W), or uint16 or float32 where their data are kept so, points float32 (N, D), sounds int16 (N, 1, T), volumes
    uint8 (N, 1, X, Y, Z), clips uint8 (N, C, F, H, W), and rows of a table float64 (N, D): numbers as they are, categories as index.

    >>> import numpy as np
    >>> from gan_core import Samples, grid
    >>> drawn = Samples(np.zeros((9, 3, 32, 32), dtype=np.uint8), labels=None, kind="images")
    >>> grid(drawn.samples).shape
    (104, 104, 3)
    """

    samples: NDArray[Any]
    labels: Labels | None
    kind: str
    """Of data that they are."""
    schema: Schema | None = None
    """Tables: the columns."""
    prompts: tuple[str, ...] | None = None
    """What each was asked for, where that is text."""
    seed: int = 0
    """That they were drawn with; what is invented beside them follows it."""
    data: DatasetSpec | None = None
    """What their generator was trained on, which says how they are to be taken: a sound's rate."""
    again: int = 0
    """Tables: how many rows were drawn again since a rule wants them unique."""

    def label_names(self, classes: tuple[str, ...] | None) -> list[str] | list[float] | None:
        """The label of each sample as a person reads it, a number or one of these classes; None where it has none of the two."""
        if self.labels is not None and self.labels.dtype == Numbers.dtype:
            return [named_number(label) for label in self.labels]
        return None if self.labels is None or classes is None else [classes[index] for index in self.labels.tolist()]


@dataclass(frozen=True)
class Order:
    """What a network is to draw, worked out and checked: all of a request but the network's part."""

    first: Tensor
    """Latents (N, latent), or images (N, C, H, W) to translate."""
    given: Tensor | None
    """Labels (N,) or tokens (N, T)."""
    labels: Labels | None
    prompts: tuple[str, ...] | None
    seed: int = 0
    anew: Callable[[int, int], Tensor] | None = None
    """Latents for so many rows that are to be drawn again, by how often that was done before; None: nothing has to be unique."""

    def __len__(self) -> int:
        """N."""
        return len(self.first)


class Generator:
    """A trained generator: `load` it from the folder that a training leaves, and `sample`, or `translate` images.

    >>> import numpy as np
    >>> from gan_core import GanParams, Generator, data_from_arrays, train
    >>> data = data_from_arrays(np.random.default_rng(0).normal(size=(100, 2)))
    >>> train(GanParams(images=1_000, batch=100), data, Path("points"))
    True
    >>> generator = Generator.load(Path("points/generator"))
    >>> generator.sample(16, seed=0).samples.shape
    (16, 2)
    """

    def __init__(self, config: GeneratorConfig, network: nn.Module) -> None:
        self.config = config
        self.network = network.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Read a generator's folder.

        Raises:
            DataError: a file is missing, damaged, or of another format; nothing of it was executed.
        """
        config = read_config(folder)
        weights = folder / "generator.safetensors"
        try:
            data = weights.read_bytes()
        except OSError as error:
            raise DataError(f"{weights}: cannot be read ({error.strerror})") from None
        if hashlib.sha256(data).hexdigest() != config.sha256:
            raise DataError(f"{weights}: its bytes are not the ones that config.json names; restore it, or train again")
        try:
            network = build_generator(config.network, config.data, config.latent)
            network.load_state_dict(load_tensors(data))
        except (SafetensorError, ConfigError, RuntimeError, LookupError, TypeError, ValueError) as error:
            raise DataError(f"{weights}: does not fit the network in config.json ({str(error).splitlines()[0]})") from None
        return cls(config, lay_out(network.to(device)))  # or each pass would turn them

    def save(self, folder: Path) -> Self:
        """Write the folder, which must not exist; returns the generator with its weights' digest filled in."""
        data = save_tensors({key: value.cpu().contiguous() for key, value in self.network.state_dict().items()})
        config = replace(self.config, sha256=hashlib.sha256(data).hexdigest())
        folder.mkdir(parents=True)
        (folder / "generator.safetensors").write_bytes(data)
        facts = {**asdict(config), "data": config.data.as_json(), "network": config.network.model_dump(mode="json")}
        text = json.dumps({"format": FORMAT, **facts}, indent=2, sort_keys=True)
        (folder / "config.json").write_text(text + "\n")
        return type(self)(config, self.network)

    def sample(
        self,
        n: int,
        seed: int = 0,
        label: float | str | None = None,
        labels: Labels | None = None,
        prompts: Sequence[str] | None = None,
        draft: bool = False,
        truncation: float | None = None,
        walk: bool = False,
        unique: bool = True,
    ) -> Samples:
        """Draw `n` samples; the same arguments give the same bytes on the same machine.

        Args:
            n: 1 to 1,000,000.
            seed: 0 to 2**63 - 1.
            label: one class for all, by name, or by index where no class is named by a number, or one number; only for a conditional
                generator. `20:60` is numbers from the first to the last in equal steps, of one latent that all samples share.
            labels: (n,) a class or a number each; without either, a conditional generator goes through its classes in turn, or from its
                least number to its greatest, and one of tables draws classes with the shares that they have in the training data.
            prompts: text for each sample, or one for all; without, a generator that knows text goes through captions that it was
                trained on. Words that it does not know (`unknown_words`) all mean the same to it.
            draft: the first stage's images, enlarged, of a generator with two stages.
            truncation: bound on each coordinate of the latents, above 0; smaller draws more typical samples and fewer kinds of them.
            unique: whether rows that have to be unique are drawn again until they are, where a table has such rules.
            walk: latents on one closed way instead of independent ones, of one label or prompt (the first, where none is given).

        Raises:
            ConfigError: an argument is out of range, an unknown label, a label or prompt that this generator cannot be given, no prompt, or
                too few rows are unique.
        """
        network = getattr(self.network, "draft", None) if draft else self.network
        if network is None:
            raise ConfigError("draft: this generator has one stage; leave it out")
        return self._in_passes(network, self.order(n, seed, label, labels, prompts, truncation, walk, unique))

    def order(
        self,
        n: int,
        seed: int = 0,
        label: float | str | None = None,
        labels: Labels | None = None,
        prompts: Sequence[str] | None = None,
        truncation: float | None = None,
        walk: bool = False,
        unique: bool = True,
    ) -> Order:
        """What `sample` has the network draw, for `draw`; arguments and errors are those of `sample`."""
        if self.config.inputs is not None:
            raise ConfigError(f"this generator draws nothing by itself: it translates images of shape {self.config.inputs}; give it some")
        if not 1 <= n <= MAX_COUNT:
            raise ConfigError(f"count: {n} is not in 1 to {MAX_COUNT:,}")
        if not 0 <= seed <= MAX_SEED:
            raise ConfigError(f"seed: {seed} is not in 0 to 2**63 - 1")
        if truncation is not None and not 0 < truncation < math.inf:
            raise ConfigError(f"truncation: {truncation} is not above 0")
        if walk and label is None and labels is None and self.config.condition is not None:
            label = self.config.condition.named(self.config.condition.usual)
        if walk and prompts is None and self.config.prompts:
            prompts = self.config.prompts[:1]
        asked = self._prompts(n, prompts)
        if asked is not None and (label is not None or labels is not None):
            condition_of(self.config)  # says how this generator is asked
        ends = self._ends(label) if labels is None else None
        if ends is not None:
            label, labels = None, np.linspace(*ends, n, dtype=Numbers.dtype)
        chosen = self._labels(n, seed, label, labels) if asked is None else torch.from_numpy(self._words.encode(asked))
        draw = latents.walk if walk else latents.independent
        first = (
            draw(n, self.config.latent, seed, truncation)
            if walk or ends is None
            else draw(1, self.config.latent, seed, truncation).repeat(n, 1)
        )
        labels_drawn = None if chosen is None or asked is not None else chosen.numpy()
        anew = None
        if unique and not walk and self.config.schema is not None and self.config.schema.unique_in_words:
            anew = partial(_latents_anew, self.config.latent, seed, truncation)
        return Order(first, chosen, labels_drawn, asked, seed, anew)

    def draw(self, orders: Sequence[Order]) -> list[Samples]:
        """The samples of each order, drawn together: at most `DatasetSpec.together` in a pass of the network.

        On a CPU, orders of images, points and rows of tables give the bytes that each gives alone; a network that looks at a whole batch,
        or a GPU, may round otherwise (`draws_alike`).

        Args:
            orders: of this generator; tokens, where there are any, of one length.
        """
        given = [order.given for order in orders if order.given is not None]
        together = Order(torch.cat([order.first for order in orders]), torch.cat(given) if given else None, None, None)
        made, starts = self._in_passes(self.network, together).samples, np.cumsum([0, *map(len, orders)])
        return [self._samples(made[start : start + len(order)], order) for start, order in zip(starts, orders, strict=False)]

    @torch.inference_mode()
    def draws_alike(self) -> bool:
        """Whether a sample is the same to the last bit whatever is drawn beside it, as far as batches of a few sizes show it."""
        sizes = (1, 2, 3, 5, 31, 64) if self.config.inputs is None else (1, 2, 3, 8)
        order = self.any_order(sizes[-1])
        made = [self._made(self.network, order.first[:size], None if order.given is None else order.given[:size]) for size in sizes]
        return all(torch.equal(some, made[-1][: len(some)]) for some in made)

    def any_order(self, n: int) -> Order:
        """An order for samples of which it does not matter what they show, of one prompt or of noise where the generator takes such."""
        if self.config.inputs is not None:
            noise = Pixels.of(self.config.data).noise((n, *self.config.inputs), seed=0)
            return self.order_of(noise, labels=None if self.config.targets is None else self.config.data.labels_drawn(n, 0).numpy())
        return self.order(n, prompts=None if self.config.prompts is None else (self.config.prompts or ("a",))[:1])

    @torch.inference_mode()
    def made(self, order: Order) -> Tensor:
        """What the network makes of an order, in one pass, before it becomes samples."""
        return self._made(self.network, order.first, order.given)

    def _in_passes(self, network: Callable[..., Tensor], order: Order) -> Samples:
        together = self.config.data.together
        chunks = range(0, len(order), together)
        given = [None if order.given is None else order.given[i : i + together] for i in chunks]
        with self._cores(len(chunks)) as passes:
            parts = list(passes(partial(self._pass, network), (order.first[i : i + together] for i in chunks), given))
        return self._samples(torch.cat(parts).numpy(), order)

    @contextmanager
    def _cores(self, passes: int) -> Iterator[Callable[..., Iterable[Tensor]]]:
        """What does so many passes, as `map` does: one after another, or as many at once as torch has threads."""
        threads = torch.get_num_threads()
        on_cpu = next(self.network.parameters()).device.type == "cpu"
        if not (self.config.data.draws_a_pass_a_core and on_cpu and min(threads, passes) > 1):
            yield map
            return
        try:
            with ThreadPoolExecutor(min(threads, passes), initializer=torch.set_num_threads, initargs=(1,)) as pool:
                yield pool.map
        finally:
            torch.set_num_threads(threads)  # of threads that begin later; this one has kept its own

    def _samples(self, made: NDArray[Any], order: Order) -> Samples:
        again = 0 if order.anew is None or self.config.schema is None else self._make_unique(made, order, order.anew, self.config.schema)
        return Samples(made, order.labels, self.config.kind, self.config.schema, order.prompts, order.seed, self.config.data, again)

    def _make_unique(self, rows: NDArray[np.float64], order: Order, anew: Callable[[int, int], Tensor], schema: Schema) -> int:
        """Draw rows (N, D) that a rule wants unique again, in place, until they are; returns how many were drawn for it."""
        repeated, again, idle, attempt = np.flatnonzero(schema.repeats(rows)), 0, 0, 0
        while len(repeated):
            if idle == _IDLE:
                raise ConfigError(
                    f"count: {len(rows):,} rows are asked for, and {len(rows) - len(repeated):,} were found of which no two are equal in "
                    f"{schema.unique_in_words} (data.rules); ask for fewer"
                )
            given = None if order.given is None else order.given[repeated]
            rows[repeated] = self._in_passes(self.network, Order(anew(len(repeated), attempt), given, None, None)).samples
            left = np.flatnonzero(schema.repeats(rows))
            again, attempt, idle = again + len(repeated), attempt + 1, 0 if len(left) < len(repeated) else idle + 1
            repeated = left
        return again

    def unknown_words(self, prompts: Sequence[str]) -> tuple[str, ...]:
        """Words of prompts that this generator was never shown; none for one that knows no text."""
        return () if self.config.prompts is None else self._words.unknown(prompts)

    @property
    def _words(self) -> Vocabulary:
        assert isinstance(self.config.data, Captioned)  # noqa: S101  asked after its prompts
        return self.config.data.words

    def _prompts(self, n: int, prompts: Sequence[str] | None) -> tuple[str, ...] | None:
        """The prompt of each of `n` samples; None for a generator that knows no text."""
        if self.config.prompts is None:
            if prompts is not None:
                raise ConfigError("prompt: this generator knows no text; leave the prompt out")
            return None
        given = prompts if prompts is not None else self.config.prompts
        if not given:
            raise ConfigError("prompt: this generator draws what it is asked for; give it a prompt")
        if prompts is not None and len(prompts) not in (1, n):
            raise ConfigError(f"prompts: {len(prompts)} given for {n} samples; give one for all, or one for each")
        check_prompts(given)
        return tuple(given[i % len(given)] for i in range(n))

    def order_of(self, inputs: NDArray[Any], label: float | str | None = None, labels: Labels | None = None) -> Order:
        """What `translate` has the network do, for `draw`; arguments and errors are those of `translate`."""
        self._check_inputs(inputs)
        asked = self.asked_of(len(inputs), label, labels)
        return Order(torch.from_numpy(np.array(inputs)), asked, None if asked is None else asked.numpy(), None)

    def translate(
        self, inputs: NDArray[Any], back: bool = False, label: float | str | None = None, labels: Labels | None = None
    ) -> Samples:
        """What the generator makes of images; the same images give the same bytes on the same machine.

        Args:
            inputs: (N, *config.inputs) with N of 1 to 1,000,000, of the data's type: uint8, uint16 or float32.
            back: take translations to where they came from; only for a generator that goes both ways.
            label: what all are to become, by name or index as of `sample`; for a generator that translates by label, which needs it.
            labels: (N,) what each is to become, instead.

        Raises:
            ConfigError: they are of another shape, or this generator draws from latents, or knows no way back; there is no label, none of
                that name, or one that this generator cannot be given.
        """
        if back and not self.goes_back:
            raise ConfigError("back: this generator translates one way; leave it out")
        order = self.order_of(inputs, label, labels)
        return self._in_passes(self.network.get_submodule("back") if back else self.network, order)

    def asked_of(self, n: int, label: float | str | None = None, labels: Labels | None = None) -> Tensor | None:
        """The labels (n,) that `n` images are to get; None for a generator that translates without. Arguments as of `translate`.

        Raises:
            ConfigError: there are none, or none of that name, or this generator cannot be given any.
        """
        targets = self.config.targets
        if targets is None and (label is not None or labels is not None):
            raise ConfigError("label: this generator translates in one way, whatever the label; leave it out")
        if targets is not None and label is None and labels is None:
            raise ConfigError(f"label: this generator makes of a picture what it is with a label; say which, of {targets.in_words}")
        return None if targets is None else self._labels(n, 0, label, labels)

    def _check_inputs(self, inputs: NDArray[Any]) -> None:
        expected = self.config.inputs
        if expected is None:
            raise ConfigError("inputs: this generator draws from latents and is given no images; ask for a count of samples instead")
        if inputs.dtype != self.config.data.dtype or inputs.shape[1:] != expected or not 1 <= len(inputs) <= MAX_COUNT:
            wanted = f"{np.dtype(self.config.data.dtype)} (N, {', '.join(map(str, expected))})"
            raise ConfigError(f"inputs: expected {wanted}, got {inputs.dtype} {inputs.shape}")

    @property
    def goes_back(self) -> bool:
        """Whether it can take translations to where they came from."""
        return isinstance(self.network, RoundTrip)

    def _labels(self, n: int, seed: int, label: float | str | None, labels: Labels | None) -> Tensor | None:
        if label is not None or labels is not None:
            condition_of(self.config)
        condition = self.config.condition
        if condition is None:
            return None
        if labels is not None:
            if label is not None or labels.shape != (n,) or not condition.fits(labels):
                raise ConfigError(f"labels: expected ({n},) of {condition.stored}, and no `label` beside them")
            return torch.from_numpy(np.array(labels, dtype=condition.dtype))
        if label is None:
            return self.config.data.labels_drawn(n, seed)
        return torch.from_numpy(np.full(n, condition.read(label), dtype=condition.dtype))

    def _ends(self, label: float | str | None) -> tuple[float, float] | None:
        """The first and the last number that `20:60` asks for; None where no range is asked for."""
        condition = self.config.condition
        return condition.read_range(str(label)) if isinstance(condition, Numbers) else None

    @torch.inference_mode()
    def _pass(self, network: Callable[..., Tensor], first: Tensor, given: Tensor | None) -> Tensor:
        """The samples of one pass: `first` and `given` as an `Order` has them."""
        return self.config.data.to_samples(self._made(network, first, given))

    def _made(self, network: Callable[..., Tensor], first: Tensor, given: Tensor | None) -> Tensor:
        device = next(self.network.parameters()).device
        if self.config.inputs is not None:
            images = self.config.data.to_networks(first.to(device))
            made: Tensor = network(images) if given is None else network(images, given.to(device))
            return made
        if len(first) == 1:  # oneDNN has routines for a single sample that round otherwise than those for several
            return self._made(network, first.expand(2, -1), None if given is None else given.expand(2, *given.shape[1:]))[:1]
        return network(first.to(device), None if given is None else given.to(device))


def _latents_anew(length: int, seed: int, truncation: float | None, count: int, attempt: int) -> Tensor:
    return latents.independent(count, length, mix(seed, _AGAIN, attempt), truncation)


def condition_of(config: GeneratorConfig) -> Condition:
    """What a label can name.

    Raises:
        ConfigError: there are none; says how this generator is asked instead.
    """
    if config.prompts is not None:
        raise ConfigError("label: this generator draws what a text says; give it a prompt instead")
    if config.condition is None:
        raise ConfigError("label: this generator is unconditional; leave the label out")
    return config.condition


def read_config(folder: Path) -> GeneratorConfig:
    """The config of a generator's folder, without its weights.

    Raises:
        DataError: it is missing, damaged or of another format.
    """
    path = folder / "config.json"
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
        if (written := facts.pop("format", None)) not in (1, FORMAT):
            raise DataError(f"{path}: has format {written}, and this version of Gantry reads {FORMAT}")
        data = _data_of_format_1(facts) if written == 1 else facts.pop("data")
        kind: type[DatasetSpec] = KINDS.named(data.pop("kind"))
        return GeneratorConfig(**{**facts, "data": kind.from_json(data), "network": network_of(facts["network"], former=written == 1)})
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("network", *first["loc"]))
        raise DataError(f"{path}: damaged, or of a version of Gantry between two releases ({where}: {first['msg']})") from None
    except (ValueError, TypeError, KeyError, AttributeError, ConfigError) as error:
        raise DataError(f"{path}: damaged ({error})") from None


def _data_of_format_1(facts: dict[str, Any]) -> dict[str, Any]:
    """What a config of the first format says of the data, taken out of it: it stood among the rest, and examples were `prompts`."""
    data = {key: facts.pop(key, None) for key in ("kind", "shape", "classes", "inputs", "mean", "std", "schema", "vocabulary")}
    prompts = facts.pop("prompts", None)
    return {key: value for key, value in {**data, "examples": prompts}.items() if value is not None}
