"""How a run looks to the person who started it: stage by stage, live on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from tasks.workspace import PIN, STAGES

if TYPE_CHECKING:
    from tasks.stages import StageResult

_SIGNS = {"ran": ("✓", "green"), "cached": ("·", "cyan"), "failed": ("✗", "red"), "stopped": ("■", "yellow")}
_WIDTH = max(map(len, STAGES))


def seconds_in_words(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 5 s`, `2 h 7 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


class _Screen:
    """What is drawn anew while the `with` block lasts, where there is a terminal to draw on."""

    def __init__(self, console: Console, shown: _Present | None = None) -> None:
        self._console = console
        # Four times a second: drawing must not cost the training what it shows.
        self._live = Live(shown, console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()


class Terminal(_Screen):
    """Listens to a run (`tasks.stages.Listener`) and shows it; a context manager.

    On a terminal, finished stages stand and the present one turns with the last line it said. Elsewhere each line is printed.
    """

    def __init__(self, console: Console, name: str) -> None:
        self._name = name
        self._present = _Present()
        super().__init__(console, self._present)

    def waiting(self, what: str) -> None:
        """Say what happens before the first stage."""
        self._present.show("", what)

    def started(self, stage: str) -> None:
        self._present.show(stage, "")

    def line(self, stage: str, text: str) -> None:
        for said_by in (stage, PIN):
            text = text.removeprefix(f"{said_by} {self._name}: ")  # both are on the screen already
        if self._live is None or text.startswith("note: "):  # which stays
            self._console.print(f"{stage:<{_WIDTH}} | {text}", markup=False, highlight=False, soft_wrap=True)
        else:
            self._present.say(text)

    def ended(self, result: StageResult) -> None:
        self._present.show("", "")
        took = seconds_in_words(result.seconds)
        if self._live is None:
            line = f"{result.stage:<{_WIDTH}} {result.outcome} ({took}): {result.reason}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
            return
        sign, style = _SIGNS[result.outcome]
        row = Table.grid(padding=(0, 2), expand=True)
        for width in (1, _WIDTH, 7):
            row.add_column(width=width)
        row.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        row.add_column(justify="right", no_wrap=True)
        reason = result.reason.removeprefix("unchanged: ") if result.outcome == "cached" else result.reason
        row.add_row(Text(sign, style), result.stage, Text(result.outcome, style), Text(reason, "dim"), Text(took, "dim"))
        self._console.print(row)


class SideBySide(_Screen):
    """Listens to several runs (`flows.many.EntriesListener`) and shows them; a context manager.

    On a terminal, each run under way has a line that turns, with the last thing it said. Elsewhere every line is printed, named.
    """

    def __init__(self, console: Console, names: Iterable[str]) -> None:
        super().__init__(console)
        self._width = max(map(len, names), default=0)
        self._rows: dict[str, _Present] = {}

    def started(self, name: str) -> None:
        self._rows[name] = row = _Present(self._width)
        row.show(name, "starting")
        self._draw()

    def line(self, name: str, text: str) -> None:
        if self._live is None:
            self._console.print(f"{name:<{self._width}} | {text}", markup=False, highlight=False, soft_wrap=True)
        elif text.strip():
            self._rows[name].say(text)

    def ended(self, name: str) -> None:
        del self._rows[name]
        self._draw()

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(Group(*self._rows.values()))


class _Present:
    """The line that turns: what is going on, its last word, for how long."""

    def __init__(self, width: int = _WIDTH) -> None:
        self._width = width
        self._spinner = Spinner("dots", style="green")
        self.show("", "")

    def show(self, stage: str, text: str) -> None:
        self._stage, self._text, self._since = stage, text, time.monotonic()

    def say(self, text: str) -> None:
        # The stage's name stands in front already.
        self._text = text.strip()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not (self._stage or self._text):
            return
        row = Table.grid(padding=(0, 2), expand=True)
        row.add_column(width=1)
        if self._stage:
            row.add_column(width=self._width)
        row.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        row.add_column(justify="right", no_wrap=True)
        took = Text(seconds_in_words(time.monotonic() - self._since), "dim")
        row.add_row(self._spinner, *([self._stage] if self._stage else []), Text(self._text), took)
        yield row
