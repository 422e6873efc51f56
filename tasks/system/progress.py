"""How a training shows that it goes on: a live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from gan_core import training

_REFRESH = 0.2
"""Seconds between updates of the bar: drawing must not cost what it reports."""
_WIDE = 120
"""Columns of a terminal from which on the losses have room; cut short, the rest would say nothing either."""
_LINES = 20
"""Plain lines in a run."""


@contextmanager
def shown(name: str, unit: str = "images") -> Iterator[Callable[[training.Progress], None]]:
    """Yields what takes a training's progress; it shows losses, images (or what `unit` calls them) a second and the time left."""
    if sys.stdout.isatty():
        with _bar(name, unit) as update:
            yield update
    else:
        yield _lines(name, unit)


@contextmanager
def _bar(name: str, unit: str) -> Iterator[Callable[[training.Progress], None]]:
    console = Console(file=sys.stdout)
    is_wide = console.width >= _WIDE
    columns = (
        TextColumn("train {task.description}"),
        BarColumn(bar_width=40 if is_wide else 10),
        TextColumn(f"{{task.completed:,.0f}} / {{task.total:,.0f}} {unit}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        *([TextColumn("{task.fields[losses]}")] if is_wide else []),
    )
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as bar:  # what came of it is said in a line
        task = bar.add_task(name, total=1, rate="", losses="")
        speed = _Speed()
        drawn = 0.0

        def update(progress: training.Progress) -> None:
            nonlocal drawn
            now = time.monotonic()
            rate = speed.after(progress.images)
            if now - drawn >= _REFRESH or progress.images >= progress.budget:
                drawn = now
                shown_images = min(progress.images, progress.budget)
                bar.update(task, completed=shown_images, total=progress.budget, rate=f"{rate:,.0f} {unit}/s", losses=_losses(progress))
                bar.refresh()

        yield update


def _lines(name: str, unit: str) -> Callable[[training.Progress], None]:
    speed = _Speed()
    before: int | None = None

    def update(progress: training.Progress) -> None:
        nonlocal before
        rate = speed.after(progress.images)
        part = progress.images * _LINES // progress.budget
        if before is not None and part > before:
            left = max(progress.budget - progress.images, 0) / rate if rate else 0
            images = min(progress.images, progress.budget)
            speed_and_rest = f"{rate:,.0f} {unit}/s, {left:,.0f} s left  {_losses(progress)}"
            with suppress(BrokenPipeError):  # whoever watched is gone: no reason to end, or to end otherwise than was asked
                print(f"train {name}: {images:,} of {progress.budget:,} {unit}, {speed_and_rest}", flush=True)
        before = part

    return update


class _Speed:
    """Images a second since the first report: a resumed run does not count what it did not do."""

    def __init__(self) -> None:
        self._start: tuple[float, int] | None = None

    def after(self, images: int) -> float:
        now = time.monotonic()
        if self._start is None:
            self._start = (now, images)
        seconds, done = now - self._start[0], images - self._start[1]
        return done / seconds if seconds > 0 else 0.0


def _losses(progress: training.Progress) -> str:
    named = ((key.removesuffix("_loss"), value) for key, value in progress.numbers.items() if key.endswith("_loss"))
    return ", ".join(f"{player} loss {value:.3g}" for player, value in named)
