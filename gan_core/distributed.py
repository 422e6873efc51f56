"""One training in several processes, each with its part of every batch (data parallelism; Goyal et al., 2017).

The processes do what one would: what a step draws for a batch is drawn for the whole of it in each process, which takes its part; batch
normalisation and whatever else looks at a batch as a whole sees the whole; gradients and numbers of the record are means over the
processes. So the losses are those of one process up to the order in which floats are added, and every process holds the same weights.

`accumulate` splits a process's batch further, into parts that are played one after another before the optimiser moves. There, what looks
at a batch as a whole sees a part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gan_core.data.scaling import channels_last
from gan_core.errors import PeerLostError, TrainingError


@dataclass(frozen=True)
class Group:
    """The processes of a training; one that trains alone needs no group, and calls nothing of torch's."""

    rank: int = 0
    size: int = 1
    first: int = 0
    """The rank of the one that writes record, pictures and checkpoints."""

    @property
    def is_first(self) -> bool:
        return self.rank == self.first

    def average(self, weights: Sequence[nn.Parameter], numbers: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Make the weights' gradients, and return the numbers (scalars), as means over the processes, in one exchange."""
        if self.size == 1:
            return numbers
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in (*gradients, *numbers.values())])
        with _exchange():
            torch.distributed.all_reduce(flat)
        means = torch.split(flat / self.size, [tensor.numel() for tensor in (*gradients, *numbers.values())])
        torch._foreach_copy_(gradients, [mean.view(gradient.shape) for mean, gradient in zip(means, gradients, strict=False)])
        return {name: mean.view(()) for name, mean in zip(numbers, means[len(gradients) :], strict=True)}

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set in one of the processes."""
        if self.size == 1:
            return flag
        found = torch.tensor(float(flag), device=device)
        with _exchange():
            torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
        return bool(found)

    def share(self, data: bytes, device: torch.device) -> bytes:
        """The first process's bytes, in every process."""
        if self.size == 1:
            return data
        length = torch.tensor(len(data), device=device)
        with _exchange():
            torch.distributed.broadcast(length, self.first)
            sent = torch.frombuffer(bytearray(data or b"\0"), dtype=torch.uint8).to(device) if self.is_first else None
            content = torch.zeros(max(int(length), 1), dtype=torch.uint8, device=device) if sent is None else sent
            torch.distributed.broadcast(content, self.first)
        return content.cpu().numpy().tobytes()[: int(length)]

    def gather(self, tensor: Tensor) -> Tensor:
        """(n, ...) of each process -> (size * n, ...), in the order of the ranks."""
        tensor = tensor.contiguous()
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        with _exchange():
            torch.distributed.all_gather(parts, tensor)
        return torch.cat(parts)

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over the processes."""
        summed = tensor.contiguous().clone()
        with _exchange():
            torch.distributed.all_reduce(summed)
        return summed


ALONE = Group()


@contextmanager
def join(rank: int, size: int, is_first: bool, device: torch.device, store: str | None = None) -> Iterator[Group]:
    """Yields the group of `size` processes, once all of them are there: NCCL between GPUs, gloo between processors.

    Args:
        rank: of this process, 0 to size - 1.
        is_first: whether it is the one that writes; one of them is.
        device: that it trains on; with CUDA the current one.
        store: a file that the processes meet by, which is not there yet; None: at the address that the environment names, as torchrun
            sets it.

    Raises:
        PeerLostError: the others did not come.
    """
    backend = "nccl" if device.type == "cuda" else "gloo"
    with _exchange():
        meeting = None if store is None else torch.distributed.FileStore(store, size)  # type: ignore[attr-defined]
        torch.distributed.init_process_group(backend, store=meeting, rank=rank, world_size=size)
    try:
        writers = Group(rank, size).gather(torch.tensor([int(is_first)], device=device))
        yield Group(rank, size, int(writers.argmax()))
    finally:
        torch.distributed.destroy_process_group()


@dataclass(frozen=True)
class Parts:
    """How a batch is split: into one part a process, times `accumulate`."""

    group: Group
    batch: int
    """Samples in the whole batch."""
    accumulate: int = 1

    @property
    def count(self) -> int:
        return self.group.size * self.accumulate

    @property
    def numbers(self) -> range:
        """Of this process's parts, in the order in which they are played. Those of all processes together follow the batch's order."""
        return range(self.group.rank, self.count, self.group.size)

    @contextmanager
    def playing(self, number: int, players: Mapping[str, nn.Module], device: torch.device) -> Iterator[None]:
        """While it lasts, what is drawn for a batch is this part's share of what is drawn for the whole.

        All parts but the last leave the random state and the power iterations of spectral normalisation as they found them, so that
        each begins where the whole batch would.
        """
        if self.count == 1:
            yield
            return
        again = number != self.numbers[-1]
        devices = [torch.cuda.current_device()] if device.type == "cuda" else []
        token = _present.set(self.group)
        try:
            with (
                torch.random.fork_rng(devices) if again else nullcontext(),
                _kept(players) if again else nullcontext(),
                _AsWhole(self.batch // self.count, number, self.count),
            ):
                yield
        finally:
            _present.reset(token)


def whole(tensor: Tensor) -> Tensor:
    """What all processes hold of a batch: (n, ...) -> (N, ...), differentiable; the tensor itself where there is one process.

    For a recipe or network that compares the samples of a batch with each other.
    """
    group = _present.get()
    return tensor if group.size == 1 else _Gather.apply(tensor, group)  # type: ignore[no-any-return,no-untyped-call]


def own_part(tensor: Tensor) -> Tensor:
    """This process's share of a tensor for all of them: (N, ...) -> (n, ...)."""
    group = _present.get()
    return tensor if group.size == 1 else tensor.chunk(group.size)[group.rank]


_present: ContextVar[Group] = ContextVar("_present", default=ALONE)


@contextmanager
def _exchange() -> Iterator[None]:
    """torch raises a RuntimeError, of one kind or another, where a process that it waits for is gone."""
    try:
        yield
    except RuntimeError as error:
        # gloo's message without the place in its source that it begins with, and the advice that it ends with.
        reason = re.sub(r"^\[\S*\] ", "", str(error)).splitlines()[0].split(". ")[0]
        raise PeerLostError(f"another process of this training is gone ({reason})") from error


class _Gather(torch.autograd.Function):
    """`Group.gather`, with its gradient to any order."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return group.gather(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return _OwnOfTotal.apply(gradient, ctx.group), None  # type: ignore[no-untyped-call]


class _OwnOfTotal(torch.autograd.Function):
    """This process's share of the sum over the processes: what `_Gather` is transposed."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: Group) -> Tensor:
        ctx.group = group
        return group.total(tensor).chunk(group.size)[group.rank]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return _Gather.apply(gradient, ctx.group), None  # type: ignore[no-untyped-call]


@contextmanager
def _kept(players: Mapping[str, nn.Module]) -> Iterator[None]:
    """Put the vectors of spectral normalisation back, which each pass of a batch improves by one iteration."""
    vectors = [buffer for player in players.values() for name, buffer in player.named_buffers() if name.rpartition(".")[2] in ("_u", "_v")]
    before = [vector.clone() for vector in vectors]
    yield
    if vectors:
        with torch.no_grad():
            torch._foreach_copy_(vectors, before)


class _AsWhole(TorchFunctionMode):
    """Lets torch's functions that draw for a batch, or normalise by it, do so for the whole batch.

    A draw is for a batch if its first size is that of a part, a multiple of it, as where real and generated samples are judged in one
    pass, or divides it, as where rows are judged in packs. Every process makes all of it, from the same random state, and takes its share;
    any other draw, such as a scalar, is the same in all processes.
    """

    def __init__(self, samples: int, number: int, count: int) -> None:
        super().__init__()
        self.samples = samples
        self.number = number
        self.count = count
        self._instead: Mapping[Any, Callable[..., Any]] = {
            **{draw: self._sized(draw) for draw in (torch.rand, torch.randn, torch.randint)},
            **{draw: self._alike(draw) for draw in (torch.rand_like, torch.randn_like, torch.randint_like)},
            F.dropout: self._dropout,
            F.batch_norm: _batch_norm,
        }

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if (kwargs or {}).get("generator") is not None:
            return function(*args, **kwargs)  # from a random state of its own
        if function in _UNKNOWN:
            raise TrainingError(
                f"torch's {function.__name__} draws in a way that cannot be split among processes or parts of a batch; draw by torch.rand, "
                "randn, randint or dropout, or set train.processes and train.accumulate to 1"
            )
        return self._instead.get(function, function)(*args, **(kwargs or {}))

    def _is_for_batch(self, size: Sequence[int]) -> bool:
        return len(size) > 0 and size[0] > 0 and 0 in (size[0] % self.samples, self.samples % size[0])

    def _share(self, drawn: Tensor, rows: int) -> Tensor:
        """Of a draw for the whole batch (several times over), this part's (rows, ...)."""
        times = max(rows // self.samples, 1)
        return drawn.view(times, self.count, rows // times, *drawn.shape[1:])[:, self.number].flatten(0, 1)

    def _sized(self, draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def drawn(*args: Any, **options: Any) -> Tensor:
            *bounds, size = (*args, options.pop("size")) if "size" in options else args if isinstance(args[-1], Sequence) else (args,)
            if not self._is_for_batch(size):
                return draw(*bounds, size, **options)
            return self._share(draw(*bounds, (size[0] * self.count, *size[1:]), **options), size[0])

        return drawn

    def _alike(self, draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def drawn(like: Tensor, *args: Any, **options: Any) -> Tensor:
            if not self._is_for_batch(like.shape):
                return draw(like, *args, **options)
            return self._share(draw(_wide(like, self.count), *args, **options), len(like))

        return drawn

    def _dropout(self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or not self._is_for_batch(input.shape):
            return F.dropout(input, p, training, inplace)
        return input * self._share(F.dropout(_wide(input, self.count).fill_(1.0), p), len(input))


def _wide(like: Tensor, count: int) -> Tensor:
    """An uninitialised tensor `count` times as long as `like`, that lies in memory in the same order."""
    layout = channels_last(like.dim())
    memory_format = layout if like.is_contiguous(memory_format=layout) else torch.contiguous_format
    return torch.empty((len(like) * count, *like.shape[1:]), dtype=like.dtype, device=like.device, memory_format=memory_format)


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`F.batch_norm` by the statistics of what all processes hold, on any device; differentiable to any order, as penalties need it."""
    size = _present.get().size
    if not training or size == 1:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    with torch.autocast(input.device.type, enabled=False):
        values = input.float()
        axes = [0, *range(2, values.dim())]
        variances, means = whole(torch.stack(torch.var_mean(values, axes, correction=0))[None]).unbind(1)
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        if running_mean is not None and running_var is not None:
            count = size * values.numel() / len(mean)
            running_mean.lerp_(mean.detach(), momentum)
            running_var.lerp_(variance.detach() * (count / (count - 1)), momentum)
        scale = (variance + eps).rsqrt()
        scale = scale if weight is None else scale * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        shape = (1, -1, *[1] * (values.dim() - 2))
        return torch.addcmul(shift.view(shape), values, scale.view(shape)).to(input.dtype)


_IN_PLACE = ("bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_", "uniform_")
_UNKNOWN = {
    torch.bernoulli,
    torch.multinomial,
    torch.normal,
    torch.poisson,
    torch.randperm,
    torch.Tensor.bernoulli,
    torch.Tensor.multinomial,
    F.alpha_dropout,
    F.dropout1d,
    F.dropout2d,
    F.dropout3d,
    F.feature_alpha_dropout,
    F.gumbel_softmax,
    *(getattr(torch.Tensor, name) for name in _IN_PLACE),
}
"""Functions of torch that draw, and that `_AsWhole` does not know how to split."""
