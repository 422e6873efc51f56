"""The command line, `gantry`: each command a thin call. Heavy libraries are imported by the commands that need them."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from gan_core.errors import ConfigError, GantryError
from tasks.system.imports import nothing_to_collect, quick_imports
from tasks.system.processes import OWN_CODE

if TYPE_CHECKING:
    from rich.console import Console

    from flows.sweep import Sweep
    from gan_core.generator import Generator, Samples
    from tasks.credentials import Signer
    from tasks.provenance import Origin
    from tasks.records.registry import Moved


def _examples(*lines: str) -> str:
    """The end of a command's help; \\b keeps the lines apart."""
    return "\n".join(["\b", "Examples:" if len(lines) > 1 else "Example:", *(f"  {line}" for line in lines)])


def _entries(incomplete: str) -> list[str]:
    """What a shell completes to: the entries of the params.yaml here."""
    from contextlib import suppress

    with suppress(GantryError):
        from tasks.params import read
        from tasks.workspace import current

        return [name for name in read(current().root).entries if name.startswith(incomplete)]
    return []


def _references(incomplete: str) -> list[str]:
    """The entries, and below one that is named in full its versions."""
    name, slash, _ = incomplete.partition("/")
    return [one for one in (f"{name}/{number}" for number in _held(name)) if one.startswith(incomplete)] if slash else _entries(incomplete)


def _numbers(context: typer.Context, incomplete: str) -> list[str]:
    """The versions of the generator that stands before."""
    return [number for number in _held(context.params.get("name") or "") if number.startswith(incomplete)]


def _metrics(incomplete: str) -> list[str]:
    from tasks.metrics import CURVES, METRICS

    return [name for name in (*METRICS, *CURVES) if name.startswith(incomplete)]


def _held(name: str) -> list[str]:
    from contextlib import suppress

    with suppress(GantryError):
        from tasks.records import tracking
        from tasks.records.glance import glance
        from tasks.workspace import current

        database = tracking.own_database(current())
        if database is not None:  # a server may be slow, and a key was pressed
            found = glance(database, name)
            return [] if found is None else [str(number) for number in found.generators]
    return []


app = typer.Typer(
    help="Keep generative adversarial networks in production: retrained, checked, and put into use only when better.",
    epilog=_examples("gantry init my-workspace && cd my-workspace && gantry run digits"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

registry_app = typer.Typer(help="What concerns the registry as a whole.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(registry_app, name="registry")

_KEPT, _VETOED = 20, 21
"""What `run --exit-code` ends with; lower codes are errors, each kind with its own."""


def _no_dash(out: Path | None) -> Path | None:
    if out == Path("-"):
        raise ConfigError("--out -: what is written here is files, which no screen or pipe takes; name a file or a new folder")
    return out


Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
_NAMED_VERSION = typer.Argument(
    metavar="NAME[/VERSION]", autocompletion=_references, help="The champion of NAME, or one version of it.", show_default=False
)
Reference = Annotated[str, _NAMED_VERSION]
ReferenceOrSource = Annotated[str | None, _NAMED_VERSION]
"""Where `Source` may be given instead."""
Signed = Annotated[
    bool,
    typer.Option(
        "--sign",
        help="Sign files (C2PA) by the certificate and the key in GANTRY_C2PA_CERTIFICATE and GANTRY_C2PA_KEY.",
    ),
]
Source = Annotated[Path | None, typer.Option("--from", help="A generator's folder, instead of the registry.", show_default=False)]


def main() -> None:
    """Run the command line. Expected errors are shown without a traceback, and end with their own exit code."""
    os.environ.update(OWN_CODE)
    if sys.platform == "win32":
        sys.exit(
            "error: Gantry's stages need what POSIX systems have, such as locks of files and signals: run it in WSL 2; gan_core runs here"
        )
    try:
        app()
    except (GantryError, OSError) as error:
        from tasks.stage_main import report

        sys.exit(report(error))
    finally:
        nothing_to_collect()


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gantry {version('gantry-gan')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")] = False,
) -> None:
    pass


@app.command(
    epilog=_examples(
        "gantry init my-workspace",
        "gantry init my-workspace --from clients.csv --label churned --yes",
        "gantry init --from customers.csv --from orders.csv",
    )
)
def init(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR", help="A new folder, or one without params.yaml and dvc.yaml (with --from: the one here).", show_default=False
        ),
    ] = None,
    sources: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="A table, a text, arrays of images, or a folder or archive of pictures, sounds, volumes, clips, for an entry; twice, two "
            "tables with a key.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of that entry (default: as the file).", show_default=False)] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="The column of the table that rows are drawn by; more than once, several.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Make a workspace: a folder with params.yaml and dvc.yaml. Works with and without git.

    With --from also an entry for your data, with what was found in it; in a workspace that is there, only that.
    """
    from tasks.scaffold import init_workspace

    if sources:
        if len(sources) > 2:
            raise ConfigError("init: --from names one thing, or two tables with a key; more tables are not drawn together")
        asks = not (yes or as_json) and sys.stdin.isatty()
        _init_from(folder or Path(), sources[0], name, label or [], asks, as_json, *sources[1:])
        return
    if (name, label or [], yes) != (None, [], False):
        raise ConfigError("init: --name, --label and --yes are for --from; say which data the entry is about")
    if folder is None:
        raise ConfigError("init: name a folder, `gantry init DIR`")
    init_workspace(folder)
    if as_json:
        _print_json({"workspace": str(folder)})
        return
    typer.echo(f"{folder} is a workspace; next: cd {folder} && gantry run digits")


def _init_from(
    folder: Path, source: Path, name: str | None, labels: list[str], ask: bool, as_json: bool, second: Path | None = None
) -> None:
    from tasks import params
    from tasks.entry_from_data import draft
    from tasks.scaffold import add_text, init_workspace
    from tasks.workspace import Workspace

    workspace = Workspace(folder)
    is_new = not (folder / "params.yaml").exists()
    found = draft(workspace, source, name, labels, second)
    for note in found.said:
        typer.echo(f"note: {note}", err=as_json)
    if ask:
        if not labels and found.labels:
            typer.echo(f"rows can be drawn by one of: {', '.join(found.labels)}")
            named = typer.prompt("the column that rows are drawn by, or nothing", default="", show_default=False)
            labels = [named] if named else []
        if name is None:
            name = typer.prompt("name of the generator", default=found.name)
        found = draft(workspace, source, name, labels, second)
        typer.echo(found.text)
        typer.confirm(f"write it to {folder / 'params.yaml'}", default=True, abort=True)
    if not is_new and found.name in params.read(workspace.root).entries:
        raise ConfigError(f"{folder / 'params.yaml'}: has a generator {found.name!r} already; name the new one with --name")
    if is_new:
        init_workspace(folder)
    add_text(workspace, found.text, str(source), {found.name: found.entry})
    if as_json:
        entry = found.entry.model_dump(mode="json", by_alias=True, exclude_unset=True)
        _print_json({"workspace": str(folder), "name": found.name, "notes": found.said, "labels": found.labels, "entry": entry})
        return
    typer.echo(f"added {found.name} to {folder / 'params.yaml'}; next:")
    by_heart = found.entry.train.learns_by_heart
    run = f"gantry run {found.name}{'' if by_heart else ' --budget 20m'}"
    typer.echo(f"  {'' if folder == Path() else f'cd {shlex.quote(str(folder))} && '}{run}")
    so_long = "it trains for all that the entry's train.images says, and its first lines say how long that takes here"
    typer.echo(so_long if by_heart else f"without --budget {so_long}")
    if not labels and found.labels:
        typer.echo(f"note: rows can be drawn by a column, such as {found.labels[-1]}; `label: {found.labels[-1]}` below data says so")


@app.command(epilog=_examples("gantry add mnist clothing", "gantry add ../my-entry.yaml"))
def add(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="YAML files with `generators:`, or names of examples.")],
) -> None:
    """Check the entries of files and add them to params.yaml. Comments are kept; a file at a time."""
    from tasks.scaffold import add_entries
    from tasks.workspace import current

    workspace = current()
    for file in files:
        names = add_entries(workspace, file)
        typer.echo(f"added {', '.join(names)} to params.yaml; next: gantry run {names[0]}")


@app.command(epilog=_examples("gantry run digits", "gantry run --all", "gantry run --changed --jobs 2"))
def run(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", autocompletion=_entries, help="A generator of params.yaml, unless --all or --changed.", show_default=False
        ),
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Every generator of params.yaml, several side by side.")] = False,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only where a parameter or the source has changed; of all, where no NAME is given.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="How many side by side (default: as cores and memory allow).", show_default=False)
    ] = None,
    force: Annotated[list[str] | None, typer.Option("--force", metavar="STAGE", help="Run this stage although nothing changed.")] = None,
    timeout: Annotated[
        list[str] | None, typer.Option("--timeout", metavar="STAGE=SECONDS", help="End a stage that takes longer; what it saved is kept.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget", metavar="TIME", help="Train for about so long: 90s, 20m, 1.5h; as many images are pinned.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 0 where the version is the champion, 20 where it was kept out, 21 where vetoed.")
    ] = False,
) -> None:
    """Retrain a generator, or many, as far as needed. Fetch, validate, train, evaluate, register; goes on where it was stopped."""
    if (name is not None and everyone) or (name is None and not everyone and not changed):
        raise ConfigError("run: name a generator, `gantry run NAME`, or say --all or --changed")
    if everyone and changed:
        raise ConfigError("run: --all runs what has not changed too; leave one of --all and --changed out")
    if jobs is not None and name is not None:
        raise ConfigError("run: --jobs is for --all and --changed; one generator's stages run one after the other")
    if exit_code and name is None:
        raise ConfigError("run: --exit-code tells of one decision, so name one generator; --json tells of each")
    if budget is not None and name is None:
        raise ConfigError("run: --budget is about one training, so name one generator")
    limits, seconds = _timeouts(timeout or []), None if budget is None else _seconds(budget)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        if name is None:
            options = [*(["--changed"] if changed else []), *(f"--force={stage}" for stage in force or ())]
            _run_many([*options, *(f"--timeout={stage}={seconds}" for stage, seconds in limits.items())], jobs, as_json)
        else:
            _run_one(name, changed, force or [], limits, as_json, exit_code, seconds)
    except KeyboardInterrupt:
        typer.echo(f"stopped; what was done is kept, and `gantry run {name or '--all'}` goes on from there", err=True)
        raise typer.Exit(128 + signal.SIGINT) from None


def _run_one(
    name: str, changed: bool, force: list[str], limits: dict[str, float], as_json: bool, exit_code: bool, budget: float | None
) -> None:
    from tasks.preflight import preflight
    from tasks.workspace import current

    workspace = current()
    preflight(workspace, name)
    if changed:
        from tasks.news import news

        found = news(workspace, name, lambda line: typer.echo(line, err=as_json))
        typer.echo(f"{name}: nothing has changed" if found is None else f"has to run: {found}", err=as_json)
    if not changed or found is not None:
        from flows.single_run import run_once

        run_once(workspace, name, force, limits, to_stderr=as_json, budget=budget)
    from tasks.promotion.decision import LastDecision

    decision = LastDecision.read(workspace, name)
    if as_json:
        _print_json(None if decision is None else {"name": name, **vars(decision), "in_words": decision.in_words})
    if exit_code and decision is not None and not decision.promotes:
        raise typer.Exit(_VETOED if decision.outcome.startswith("vetoed") else _KEPT)


def _run_many(options: list[str], jobs: int | None, as_json: bool) -> None:
    """Ends with 1 where one failed, as after Ctrl-C where they were stopped."""
    from flows.many import run_many
    from flows.terminal import SideBySide, seconds_in_words
    from tasks import params
    from tasks.workspace import current

    workspace = current()
    entries = params.load(workspace.root)
    with SideBySide(_console(stderr=as_json), entries) as shown:
        outcomes = run_many(workspace, entries, options, jobs, shown)
    if as_json:
        _print_json([vars(one) for one in outcomes])
    else:
        rows: list[list[Any]] = [[one.name, one.ended, seconds_in_words(one.seconds), one.said] for one in outcomes]
        _table(("generator", "ended", "took", "what it said"), rows)
    if any(one.ended in ("stopped", "not started") for one in outcomes):
        raise typer.Exit(128 + signal.SIGINT)
    if any(one.ended == "failed" for one in outcomes):
        raise typer.Exit(1)


@app.command("list", epilog=_examples("gantry list --json"))
def list_(as_json: Json = False) -> None:
    """Show every generator. Each with its champion, its score, the last decision, its schedule and what it would do next."""
    from flows.overview import overview
    from tasks import params
    from tasks.workspace import current

    workspace = current()
    rows = overview(workspace)
    for line in params.read(workspace.root).problems:
        typer.echo(f"note: {line}", err=True)
    if as_json:
        _print_json(rows)
        return
    titles = ("generator", "champion", "score", "champions before", "last decision", "schedule", "state")
    keys = ("name", "champion", "score", "before", "decision", "schedule", "state")
    for row in rows:
        if row["schedule"] is not None:
            row["schedule"] = f"{row['schedule']} {row['timezone']}{' (paused)' if row['paused'] else ''}"
    _table(titles, [[row[key] for key in keys] for row in rows])
    for row in rows:
        if row["picture"] is not None:
            typer.echo(f"{row['name']} draws so far: {row['picture']}")


@app.command(
    epilog=_examples(
        "gantry sample digits --count 64 --seed 0 --out grid.png",
        "gantry sample digits/2 --label 7 --out sevens.npz",
        "gantry sample digits --walk --label 3 --out walk.gif",
        "gantry sample faces --label 20:60 --count 16 --out older.gif",
        'gantry sample emoji --prompt "red heart" --count 16',
        "gantry sample --from models/digits --out folder",
        "gantry sample spoken-digits --label 7 --count 8 --out sevens.wav",
        "gantry sample breast-cancer --count 500 --out rows.csv",
        "gantry sample coco-captions --count 10",
        'gantry sample clients --where plan=pro,country=NL --where "age>=65" --out rows.csv',
        "gantry sample facades --input label-map.png --out photo.png",
        "gantry sample denoise --input scans --tile 512 --out clean",
        "gantry sample --identify found.png",
        "gantry sample --identify clean.tif --input scan.tif",
    )
)
def sample(
    reference: ReferenceOrSource = None,
    source: Source = None,
    count: Annotated[int | None, typer.Option(help="How many (default 64).", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same samples (default 0).", show_default=False)] = None,
    label: Annotated[
        str | None,
        typer.Option(
            help="One class for all, by name, or by index where no name is a number; a number, or 20:60, where labels are numbers; of "
            "pictures given, what they are to become.",
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION", help="Rows of a table that are so: plan=pro,country=NL or age>=65; all hold.", show_default=False
        ),
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Option(help="What the pictures are to show; several are taken in turn.", show_default=False)
    ] = None,
    truncation: Annotated[
        float | None, typer.Option(help="Keep each latent coordinate within this: more typical samples, less variety.", show_default=False)
    ] = None,
    walk: Annotated[bool, typer.Option("--walk", help="From one sample to the next, step by step; with --out walk.gif a film.")] = False,
    given: Annotated[
        Path | None,
        typer.Option(
            "--input",
            help="A picture or clip, or a folder of some, for a generator that translates, restores or predicts.",
            show_default=False,
        ),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Keep the size and shape of pictures given: they are translated whole, in overlapping tiles of so many pixels.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A .png, .webp or .jpg (a picture), .gif (a film; of clips .webp, too), .wav or .flac (sounds), .ply, .stl, .obj or "
            ".binvox (volumes), .npz (arrays), .csv or .parquet (rows of a table), .csv (points), .txt, .csv or .jsonl (sentences), or a "
            "new folder. Where it is left out, sentences are printed (as by -), and all else becomes samples.png.",
            show_default=False,
        ),
    ] = None,
    provenance: Annotated[
        bool, typer.Option("--provenance/--no-provenance", help="Whether pictures and sounds say in their metadata what drew them.")
    ] = True,
    sign: Signed = False,
    identify: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw nothing new: say what drew this picture or sound, and whether that draws it again.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw samples, or have pictures translated or restored."""
    if identify is not None:
        if as_json:
            raise ConfigError("--json: tells what was drawn, and --identify draws nothing new; its exit code tells programs the answer")
        if (count, seed, label, where, prompt, truncation, walk) != (None, None, None, None, None, None, False):
            raise ConfigError("--identify: the file says how it was drawn; leave all but --from, --input and --tile out")
        _identify(identify, reference, source, given, tile)
        return
    if (reference is None) == (source is None):
        raise ConfigError("sample: name a generator, `gantry sample NAME`, or a folder, `gantry sample --from models/NAME`; one of the two")
    from gan_core.kinds.pixels import Pixels
    from tasks import kinds
    from tasks.inputs import read_inputs
    from tasks.provenance import Origin
    from tasks.sample_files import write_samples
    from tasks.samples import formulas
    from tasks.sources.raw import safe_path
    from tasks.system.memory import keep_what_is_freed
    from tasks.wording import counted

    keep_what_is_freed()
    signer = _signer(sign, out)
    name, version, generator = _named(reference, source)
    kind, to_screen = kinds.of(generator.config.kind), Path("-")
    if out == to_screen and not kind.is_printed:
        raise ConfigError(f"--out -: prints samples that are text, and this generator makes {kind.makes}; name a file or a new folder")
    is_printed = kind.is_printed and out in (None, to_screen)
    out = Path("samples.png") if out is None else out
    asked: dict[str, Any] | None = None
    if generator.config.inputs is None:
        for option, value in (("--input", given), ("--tile", tile)):
            if value is not None:
                message = f"this generator draws samples and is given no pictures; leave {option} out, and say --count instead"
                raise ConfigError(f"{option}: {message}")
        count, pictures = 64 if count is None else count, None
        prompts = None if not prompt else [prompt[i % len(prompt)] for i in range(count)]
        if where:
            samples = _rows_where(generator, count, seed or 0, label, where, truncation, walk)
        else:
            samples = generator.sample(count, seed or 0, label, prompts=prompts, truncation=truncation, walk=walk)
            told: dict[str, Any] = {"label": label, "truncation": truncation, "walk": walk or None}
            told["prompt"] = prompts if prompt and len(prompt) > 1 else next(iter(prompt or ()), None)
            asked = {"n": count, "seed": seed or 0, **{key: value for key, value in told.items() if value is not None}}
        if unknown := generator.unknown_words(prompt or ()):
            typer.echo(f"note: words that this generator was never shown, and that all mean the same to it: {', '.join(unknown)}", err=True)
    else:
        if given is None:
            raise ConfigError(f"this generator makes {kind.makes}; say from which with --input FILE, or --input FOLDER")
        by_label = generator.config.targets is not None
        if (count, seed, where, prompt, truncation, walk) != (None, None, None, None, None, False) or (label is not None and not by_label):
            kept = "--input, --label, --tile" if by_label else "--input, --tile"
            raise ConfigError(
                f"this generator makes a picture of each that it is given; of the options, leave all but {kept} and --out out"
            )
        if tile is not None or Pixels.of(generator.config.data).fit == "random-crop":
            origin = Origin(name, version, generator.config.sha256, None) if provenance else None
            count = _translate_whole(generator, given, out, tile, origin, label, signer)
            if as_json:
                _print_json({"name": name, "version": version, "count": count, "out": str(out)})
            else:
                typer.echo(f"{counted(count, 'whole pictures')} in {out}")
            return
        generator.asked_of(1, label)  # before anything is read
        from gan_core.tiling import can_tile

        on_note = lambda note: typer.echo(f"note: {note}", err=True)  # noqa: E731
        pictures = read_inputs(given, Pixels.of(generator.config.data), on_note, can_tile(generator))
        samples = generator.translate(pictures.images, label=label)
        asked = None if label is None else {"label": label}
    if samples.again:
        typer.echo(f"note: {samples.again:,} rows were drawn again, since they were equal to others where data.rules says unique", err=True)
    if is_printed:
        if signer is not None:
            raise ConfigError("--sign: text that is printed holds no signature; leave it out")
        if as_json:
            _print_json({"name": name, "version": version, "count": len(samples.samples), "out": None, "lines": list(kind.lines(samples))})
        else:
            typer.echo("\n".join(kind.lines(samples)))
        return
    _say_made(out)
    origin = Origin(name, version, generator.config.sha256, asked) if provenance else None
    write_samples(samples, out, generator.config.classes, pictures, origin)
    signed = 0 if signer is None else signer.sign_files(out, origin)
    if as_json:
        _print_json({"name": name, "version": version, "count": len(samples.samples), "out": str(out), "signed": signed})
    else:
        what = counted(len(samples.samples), "samples" if samples.schema is None else "rows")
        typer.echo(f"{what} in {out}{', signed' if signed else ''}")
    if signer is not None and not signed:
        raise ConfigError(f"--sign: nothing in {out} is of a form that holds a signature, so nothing is signed")
    if out.suffix in ("", ".csv") and (named := formulas(samples, generator.config.classes)):
        what = "begin with =, +, - or @, as in the data; a spreadsheet computes them, unless they are imported as text"
        typer.echo(f"note: texts in {safe_path(', '.join(named))} {what}", err=True)


def _translate_whole(
    generator: Generator, given: Path, out: Path, tile: int | None, origin: Origin | None, label: str | None, signer: Signer | None
) -> int:
    """Pictures of any size to pictures of the same; shows how far it is, and returns how many."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from tasks.sources.raw import safe_path
    from tasks.whole import translate_files

    _say_made(out)
    console = _console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed} / {task.total} tiles"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def on_tile(name: str, done: int, total: int) -> None:
            if name not in tasks:
                for before in tasks.values():
                    bar.update(before, visible=False)
                tasks[name] = bar.add_task(safe_path(name), total=total)
            bar.update(tasks[name], completed=done)

        on_note = lambda note: typer.echo(f"note: {note}", err=True)  # noqa: E731
        return translate_files(generator, given, out, tile, origin, on_note, on_tile, label, signer)


def _say_made(out: Path) -> None:
    """Say which folder above what is about to be written is missing, and so is made."""
    if not out.parent.exists():
        typer.echo(f"note: {out.parent} is not there yet, and is made", err=True)


def _signer(sign: bool, out: Path | None) -> Signer | None:
    """What signs the files that are written; None where nothing does."""
    if not sign:
        return None
    from tasks.credentials import SIGNED, Signer

    if out is not None and out.suffix and out.suffix.lower() not in SIGNED and not out.is_dir():
        raise ConfigError(f"--sign: {out}: {out.suffix} holds no signature; use {', '.join(SIGNED)}, or a folder's name without a dot")
    return Signer.from_environment()


def _named(reference: str | None, source: Path | None) -> tuple[str, int | None, Generator]:
    """Name, version where it has one, and generator that a person names."""
    from tasks.records.registry import is_reference, load_generator, resolve
    from tasks.workspace import current

    if source is None and is_reference(str(reference)):
        registry, found = resolve(current(), str(reference))
        return found.name, found.number, registry.load(found)
    folder = Path(source if source is not None else str(reference))
    generator = load_generator(current(), folder)
    folder = folder.resolve()
    return folder.parent.name if folder.name == "generator" else folder.name, None, generator


def _identify(file: Path, reference: str | None, source: Path | None, given: Path | None, tile: int | None) -> None:
    """Ends with 1 where the generator that a file names does not draw it, or its signature does not hold."""
    from gan_core.kinds.pixels import Pixels
    from tasks.credentials import checked
    from tasks.inputs import read_inputs
    from tasks.provenance import claim, compare, tile_of
    from tasks.whole import compare_whole

    origin = claim(file)
    typer.echo(f"{file} says: {origin.in_words}")
    signature = checked(file)
    if signature is not None:
        typer.echo(signature.in_words)
    if reference is None and source is None:
        if origin.version is None:
            raise ConfigError(f"{origin.name} was not registered when it drew this; say where it is, with --from FOLDER")
        reference = f"{origin.name}/{origin.version}"
    generator = _named(reference, source)[2]
    if given is None and tile is not None:
        raise ConfigError("--tile: of a picture that was translated whole, give what it was made from too, as --input")
    if given is not None and generator.config.inputs is None:
        raise ConfigError("--input: this generator draws samples and is given no pictures; leave it out")
    if given is not None and (whole := tile_of(origin, tile)) is not None:
        found = compare_whole(file, origin, generator, given, whole)
    else:
        found = compare(file, origin, generator, None if given is None else read_inputs(given, Pixels.of(generator.config.data)))
    typer.echo(found.in_words)
    if not found.same or (signature is not None and not signature.same):
        raise typer.Exit(1)


def _rows_where(
    generator: Generator, count: int, seed: int, label: str | None, where: list[str], truncation: float | None, walk: bool
) -> Samples:
    """Rows that are so; says how many were drawn for them."""
    from gan_core.conditions import Where, sample_where
    from gan_core.generator import condition_of

    if walk:
        raise ConfigError("--where: rows on a walk are as they come; leave one of --where and --walk out")
    asked = Where.of(generator.config, where, None if label is None else int(condition_of(generator.config).read(label)))
    found = sample_where(generator, count, asked, seed, truncation)
    if asked.rest:
        said = f"{found.drawn:,} rows were drawn for {count:,} that are so ({found.acceptance:.2%})"
        typer.echo(f"note: {said}", err=True)
    return found.samples


@app.command(
    epilog=_examples(
        "gantry export digits --format onnx --out digits.onnx",
        "gantry export digits/2 --format torch-export --out digits.pt2",
        "gantry export --from models/digits --format huggingface --out digits-for-the-hub",
        "HF_TOKEN=... gantry export digits --format huggingface --out digits-for-the-hub --push me/digits",
    )
)
def export(
    out: Annotated[
        Path,
        typer.Option(
            help="A file for onnx (.onnx) and torch-export (.pt2), otherwise a new folder.", callback=_no_dash, show_default=False
        ),
    ],
    form: Annotated[
        Literal["onnx", "torch-export", "folder", "huggingface"],
        typer.Option(
            "--format", help="folder: weights, config, card, samples; huggingface: that with ONNX and a program.", show_default=False
        ),
    ],
    reference: ReferenceOrSource = None,
    source: Source = None,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME", help="Then send the folder to the Hugging Face Hub; the token is in HF_TOKEN.", show_default=False
        ),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="With --push: all may see a repository that is made for it.")] = False,
    as_json: Json = False,
) -> None:
    """Write a generator for programs that have no Gantry. What was written is checked beside it."""
    if (reference is None) == (source is None):
        raise ConfigError("export: name a generator, `gantry export NAME`, or a folder, `gantry export --from models/NAME`; one of the two")
    from tasks.export import check_place
    from tasks.export import export as write
    from tasks.fetch import size_in_words

    signal.signal(signal.SIGTERM, _terminated)
    check_place(form, out)
    if push is not None and form not in ("huggingface", "folder"):
        raise ConfigError(f"--push sends a folder; --format {form} writes a file. Use --format huggingface")
    if public and push is None:
        raise ConfigError("--public is said of what --push makes; give both, or leave it out")
    hub = None
    if push is not None:
        from tasks.hub import Hub

        hub = Hub(push)
    name, version, generator = _named(reference, source)
    written = write(generator, form, out, name, version)
    named = name if version is None else f"{name}, version {version}"
    address = None if hub is None else hub.push(out, named, public)
    if as_json:
        found = {"path": str(written.path), "bytes": written.size, "difference": written.difference, "name": name, "version": version}
        _print_json(found if address is None else {**found, "pushed": address})
        return
    typer.echo(f"{named} as {form} in {out}, {size_in_words(written.size)}")
    if written.difference is not None:
        typer.echo(f"read back and run on fresh inputs: its values differ from the generator's by {written.difference:.2g} at most")
    if address is not None:
        typer.echo(f"pushed: {address}")


@app.command(
    epilog=_examples(
        "gantry serve digits",
        "gantry serve digits --port 8000",
        'curl "http://127.0.0.1:8080/samples?n=16&seed=1&label=7" -H "Accept: image/png" -o sevens.png',
    )
)
def serve(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=_entries, help="A registered generator.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8080,
    host: Annotated[str, typer.Option(help="Any other address than loopback takes a token, in GANTRY_SERVE_TOKEN.")] = "127.0.0.1",
    waiting: Annotated[int, typer.Option(min=1, help="Requests that may wait; what comes then is answered with 429.")] = 128,
    challenger: Annotated[str, typer.Option(metavar="SHARE", help="Share of the requests that the challenger draws, such as 10%.")] = "0",
    shadow: Annotated[
        str, typer.Option(metavar="SHARE", help="Share that the challenger draws after the answer, to be compared in /metrics alone.")
    ] = "0",
    provenance: Annotated[
        bool, typer.Option("--provenance/--no-provenance", help="Whether pictures and sounds say in their metadata what drew them.")
    ] = True,
    sign: Signed = False,
) -> None:
    """Serve the champion over HTTP. A new champion takes its place while requests go on."""
    from tasks.workspace import current

    with quick_imports():
        from tasks.serving.run import limits_of, share_of
        from tasks.serving.run import serve as run

    shares = share_of(challenger, "--challenger"), share_of(shadow, "--shadow", of_all=True)
    run(current(), name, host, port, limits_of(host, waiting, provenance, sign=sign), typer.echo, *shares)


@app.command(
    epilog=_examples("gantry project digits --input seven.png --out beside.png", "gantry project digits/2 --input folder --out found.npz")
)
def project(
    given: Annotated[Path, typer.Option("--input", help="A picture, or a folder of them.", show_default=False)],
    reference: ReferenceOrSource = None,
    source: Source = None,
    out: Annotated[Path, typer.Option(help="A .png (each picture beside what was found), or a .npz (latents too).")] = Path(
        "projected.png"
    ),
    steps: Annotated[int, typer.Option(min=0, max=10_000, help="Of the optimisation; 0: the nearest of 256 samples.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of the samples that it begins with.")] = 0,
    label: Annotated[str | None, typer.Option(help="The class to look in (default: all).", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Look for the latents whose samples are nearest to pictures. Says how near they come."""
    if (reference is None) == (source is None):
        raise ConfigError(
            "project: name a generator, `gantry project NAME`, or a folder, `gantry project --from models/NAME`; one of the two"
        )
    from gan_core.kinds.pixels import Pixels
    from gan_core.projection import check_target
    from gan_core.projection import project as find
    from tasks.inputs import read_inputs
    from tasks.projection import check_place, features_of, write_projected
    from tasks.workspace import current

    check_place(out)
    name, _, generator = _named(reference, source)
    check_target(generator)
    pictures = read_inputs(given, Pixels.of(generator.config.data), lambda note: typer.echo(f"note: {note}", err=True))
    features = features_of(current(), name, generator)
    found = [find(generator, image, steps, seed, label, features) for image in pictures.images]
    write_projected(pictures.images, found, out, Pixels.of(generator.config.data))
    if as_json:
        _print_json([{"picture": one, "distance": it.distance, "drawn": it.drawn} for one, it in zip(pictures.names, found, strict=True)])
        return
    for one, it in zip(pictures.names, found, strict=True):
        typer.echo(f"{one}: {it.in_words}")
    typer.echo(
        f"{len(found)} beside what was found, in {out}; looked for by pixels{'' if features is None else ' and the features of the scores'}"
    )


@app.command(epilog=_examples("gantry watch digits", "gantry watch digits --json"))
def watch(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=_entries, help="A registered generator that was served here.")],
    as_json: Json = False,
) -> None:
    """Compare what is drawn in use with what was promoted. Ends with 1, and a Prefect event, where they differ."""
    from tasks.watching import watch as look
    from tasks.workspace import current

    workspace = current()
    found = look(workspace, name)
    if found.findings:
        from flows.watching import EVENT, tell

        heard = f"Prefect's event {EVENT} was sent" if tell(workspace, found) else "no event was sent, since PREFECT_API_URL is not set"
        typer.echo(f"note: {heard}", err=True)
    if as_json:
        _print_json(vars(found))
    else:
        typer.echo(found.in_words)
        typer.echo(f"samples: {found.distance:.3g} standard deviations from its own draws of the same labels (noise {found.noise:.3g})")
        if found.copies is not None:
            typer.echo(f"near-copies of training samples: {found.copies[0]:.1%}, by itself {found.copies[1]:.1%}")
        if found.seconds is not None:
            beside = "" if found.before is None else f"; version {found.before[0]} had a median of {1_000 * found.before[1]:.1f} ms"
            typer.echo(
                f"a request: {1_000 * found.seconds[0]:.1f} ms in the median, 99 of 100 within {1_000 * found.seconds[1]:.1f} ms{beside}"
            )
    if found.findings:
        raise typer.Exit(1)


@app.command(epilog=_examples("gantry studio", "gantry studio --open --port 8000"))
def studio(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8090,
    host: Annotated[str, typer.Option(help="Any other address than loopback takes a token, in GANTRY_STUDIO_TOKEN.")] = "127.0.0.1",
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser too.")] = False,
) -> None:
    """Look at generators in the browser, and play with them. Draw, walk, compare versions, promote."""
    from tasks.serving.run import limits_of
    from tasks.studio.run import TOKEN
    from tasks.studio.run import studio as run
    from tasks.workspace import current

    def say(address: str) -> None:
        typer.echo(f"the studio is on {address}; Ctrl+C ends it")
        if show:
            import webbrowser

            webbrowser.open(address)

    run(current(), host, port, limits_of(host, 1, variable=TOKEN), say)


@app.command(epilog=_examples("gantry promote digits 2"))
def promote(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=_entries, help="A registered generator.")],
    version: Annotated[
        int, typer.Argument(metavar="VERSION", min=1, autocompletion=_numbers, help="The version that becomes the champion.")
    ],
    as_json: Json = False,
) -> None:
    """Make a version the champion by hand."""
    from tasks.records import registry
    from tasks.workspace import current

    _say_moved(registry.promote(current(), name, version), as_json)


@app.command(epilog=_examples("gantry rollback digits"))
def rollback(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=_entries, help="A registered generator.")], as_json: Json = False
) -> None:
    """Give the champion's place back to the version before it."""
    from tasks.records import registry
    from tasks.workspace import current

    _say_moved(registry.rollback(current(), name), as_json)


def _say_moved(moved: Moved, as_json: bool) -> None:
    if as_json:
        _print_json(vars(moved))
    else:
        typer.echo(moved.in_words)


@registry_app.command(
    "copy",
    epilog=_examples(
        "gantry registry copy --to http://127.0.0.1:5000", "gantry registry copy digits --from http://127.0.0.1:5000",
    ),
)  # fmt: skip
def copy_registry(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", autocompletion=_entries, help="A registered generator (default: all).", show_default=False),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="URI", help="The MLflow server to copy to.", show_default=False)] = None,
    source: Annotated[str | None, typer.Option("--from", metavar="URI", help="The MLflow server to copy from.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Copy generators between this workspace's registry and a server. With versions, files, decisions, history and the champion.

    A copy that was stopped goes on, and what is there already is left.
    """
    if (to is None) == (source is None):
        raise ConfigError("registry copy: say where to, `--to http://HOST:PORT`, or where from, `--from http://HOST:PORT`; one of the two")
    from tasks.records import copying, tracking
    from tasks.records.registry import Registry
    from tasks.workspace import current

    signal.signal(signal.SIGTERM, _terminated)
    workspace = current()
    if to is not None and not tracking.exists(workspace):
        raise ConfigError("registry copy: this workspace has no registry yet, so there is nothing to copy")
    there = copying.opened(workspace, to or source or "")
    here = Registry.open(workspace)
    registries = (here, there) if to is not None else (there, here)
    try:
        done = copying.copy(*registries, name, say=lambda line: typer.echo(line, err=as_json))
    except KeyboardInterrupt:
        typer.echo("stopped; what is there is whole, and the same command goes on from there", err=True)
        raise typer.Exit(128 + signal.SIGINT) from None
    if as_json:
        _print_json([vars(one) for one in done])
        return
    for one in done:
        typer.echo(one.in_words)
    if not done:
        typer.echo(f"{registries[0].shown} has no generators of Gantry; nothing to copy")
    elif to is not None:
        typer.echo(f"to use it from now on: export MLFLOW_TRACKING_URI={there.address}")


@app.command(epilog=_examples("gantry show digits", "gantry show digits --out networks.svg"))
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=_entries, help="An entry of params.yaml.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A drawing of the networks too, as .svg or .png.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Show an entry's networks layer by layer. As table and chart: what each gives for one sample, its parameters, its multiply-adds."""
    from flows.network_chart import ORDER, chart, drawing_to, heading
    from gan_core.data.dataset import Dataset
    from gan_core.layers import layers
    from tasks.params import load_entry
    from tasks.workspace import current

    draw = None if out is None else drawing_to(out)
    workspace = current()
    entry = load_entry(workspace.root, name)
    ready = workspace.ready(name)
    if not (ready / "dataset.json").exists():
        alone = f"`dvc repro validate@{name}` brings and checks the data alone, `gantry run {name}` trains too"
        raise ConfigError(f"{name}: its data is not ready, and the networks depend on its channels and labels; {alone}")
    players = layers(entry.train, Dataset.open(ready))
    if draw is not None:
        draw(players)
    if as_json:
        _print_json({player: [vars(layer) for layer in found] for player, found in players.items()})
    else:
        for number, (player, found) in enumerate(players.items()):
            typer.echo(f"{chr(10) if number else ''}{heading(player, found)}")
            _table(
                ("layer", "kind", "gives", "parameters", "multiply-adds"),
                [
                    [one.name, one.kind, "x".join(map(str, one.shape or ())), f"{one.parameters:,}", f"{one.multiply_adds:,}"]
                    for one in found
                ],
            )
            typer.echo("\n".join([f"{ORDER}:", *chart(found)]))
    if draw is not None:
        typer.echo(f"{len(players)} networks drawn in {out}", err=as_json)


@app.command(epilog=_examples("gantry report digits --open"))
def report(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=_entries, help="A generator of params.yaml.")],
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser too.")] = False,
    as_json: Json = False,
) -> None:
    """Say where the page about the last decision is. It has pictures side by side, scores, curves, data, lineage."""
    from tasks.report.place import CARD, page_of
    from tasks.workspace import current

    page = page_of(current(), name)
    if as_json:
        _print_json({"page": str(page), "card": str(page.with_name(CARD)), "decision": str(page.with_name("decision.json"))})
    else:
        typer.echo(page)
    if show:
        import webbrowser

        webbrowser.open(page.as_uri())


@app.command(epilog=_examples("gantry explain fid", "gantry explain train.loss", "gantry explain"))
def explain(
    metric: Annotated[
        str | None,
        typer.Argument(
            metavar="METRIC|KEY",
            autocompletion=_metrics,
            help="A score, a number of a training's record, or a key of params.yaml such as train.loss; none lists the scores.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a score is, or what a key of params.yaml does. A score's range, which way it gets better and its paper; what a key takes."""
    if metric is not None and ("." in metric or metric in ("schedule", "timezone")):
        _explain_key(metric, as_json)
        return
    from dataclasses import asdict

    from tasks.metrics import CURVES, METRICS, explained

    if metric is None:
        known = {**METRICS, **CURVES}
        if as_json:
            _print_json({name: asdict(one) for name, one in known.items()})
        else:
            _table(("name", "better", "what it is"), [[name, one.better, one.what] for name, one in known.items()])
        return
    found = explained(metric)
    if as_json:
        _print_json({"name": metric, **asdict(found)})
        return
    console = _console()
    console.print(f"{metric}: {found.what}", style="bold", highlight=False, markup=False)
    console.print(f"\n{found.meaning}\n", highlight=False, markup=False)
    for title, said in (("range", found.range), ("better", found.better or "neither way by itself"), ("paper", found.paper)):
        if said:
            console.print(f"{title + ':':8}{said}", highlight=False, markup=False, soft_wrap=True)


def _explain_key(path: str, as_json: bool) -> None:
    from flows.keys import explained

    found = explained(path)
    if as_json:
        facts = ("takes", "default", "example", "what")
        _print_json([{"key": path, "section": section.title, **{fact: getattr(key, fact) for fact in facts}} for section, key in found])
        return
    console = _console()
    for number, (section, key) in enumerate(found):
        name = path.rpartition(".")[2]
        console.print(f"{chr(10) if number else ''}{path} ({section.title})", style="bold", highlight=False, markup=False)
        console.print(f"\n{key.what}\n", highlight=False, markup=False)
        for title, said in (("takes", key.takes), ("default", key.default), ("example", f"{name}: {key.example}")):
            console.print(f"{title + ':':9}{said}", highlight=False, markup=False, soft_wrap=True)


@app.command(epilog=_examples("gantry quarantine photos", "gantry quarantine photos --out looked-at"))
def quarantine(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=_entries, help="An entry of params.yaml.")],
    out: Annotated[Path | None, typer.Option(help="A new folder for copies of the files that were set aside.", callback=_no_dash)] = None,
    as_json: Json = False,
) -> None:
    """Show what the last validation set aside, and why."""
    from tasks.params import load_entry
    from tasks.validation.quarantine import copy_out, set_aside
    from tasks.workspace import current

    workspace = current()
    load_entry(workspace.root, name)
    found = set_aside(workspace, name)
    if as_json:
        _print_json([vars(sample) for sample in found])
    elif found:
        _table(("path", "reason"), [[sample.path, sample.reason] for sample in found])
    if not as_json:
        typer.echo(f"{name}: {len(found):,} set aside")
    if out is not None:
        copied = copy_out(workspace, name, found, out)
        typer.echo(f"{copied:,} files copied to {out}", err=as_json)


@app.command(epilog=_examples("gantry lineage digits", "gantry lineage digits/2 --json"))
def lineage(
    reference: Reference,
    as_json: Json = False,
) -> None:
    """Show where a version came from. Its data, parameters, training, code and features."""
    from tasks.records.lineage import lineage as lineage_of
    from tasks.workspace import current

    found = lineage_of(current(), reference)
    if as_json:
        _print_json(found)
        return
    from rich.text import Text
    from rich.tree import Tree

    def grow(tree: Tree, facts: dict[str, Any]) -> Tree:
        for key, value in facts.items():
            if isinstance(value, dict) and value:
                grow(tree.add(Text(key, style="bold")), value)
            elif value not in (None, {}, []):
                tree.add(Text.assemble((f"{key}  ", "dim"), ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
        return tree

    title = f"{found.pop('name')}, version {found.pop('version')}"
    _console().print(grow(Tree(Text(title, style="bold")), found))


@app.command(epilog=_examples("gantry reproduce digits/2"))
def reproduce(
    reference: Reference,
    as_json: Json = False,
) -> None:
    """Train a version again, aside, and compare the weights. From its data and parameters; ends with 1 where they differ."""
    from tasks.trials.reproduce import reproduce as make_again
    from tasks.workspace import current

    signal.signal(signal.SIGTERM, _terminated)
    made = make_again(current(), reference, output=sys.stderr.fileno() if as_json else None)
    if as_json:
        _print_json(vars(made))
    else:
        for note in made.notes:
            typer.echo(f"note: {note}")
        typer.echo(made.in_words)
    if not made.equal:
        raise typer.Exit(1)


@app.command(epilog=_examples("gantry schedule --port 4201"))
def schedule(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Of the server that is started where PREFECT_API_URL is not set.")] = 4200,
) -> None:
    """Retrain every entry that has a `schedule` at its times. Until Ctrl-C; with Prefect's page to watch it."""
    from flows.schedule import serve
    from tasks.workspace import current

    signal.signal(signal.SIGTERM, _terminated)
    try:
        serve(current(), port, lambda line: typer.echo(line))
    except KeyboardInterrupt:
        raise typer.Exit(128 + signal.SIGINT) from None


@app.command(
    epilog=_examples(
        "gantry sweep digits train.loss=hinge,non-saturating train.optimizer.learning_rate=1e-4..1e-3 --trials 8",
        "gantry sweep digits train.batch=32,64,128 --apply",
    )
)
def sweep(
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=_entries, help="A generator of params.yaml, with its data ready.")],
    space: Annotated[
        list[str],
        typer.Argument(metavar="KEY=VALUES...", help="A,B,C: one of these; LOW..HIGH: between them; log:LOW..HIGH: by logarithm."),
    ],
    trials: Annotated[int, typer.Option(min=1, help="How many, those of the same sweep before included.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of what is proposed; trainings keep the entry's own.")] = 0,
    prune: Annotated[bool, typer.Option("--prune/--no-prune", help="End trials early that fall behind.")] = True,
    apply: Annotated[bool, typer.Option("--apply", help="Write the best to params.yaml, comments kept.")] = False,
    as_json: Json = False,
) -> None:
    """Look for better parameters of train by trying some. Goes on where it was stopped. Registers nothing: the gate decides, later."""
    from flows.sweep import sweep as find
    from tasks.workspace import current

    signal.signal(signal.SIGTERM, _terminated)
    workspace = current()
    try:
        found = find(
            workspace, name, space, trials, seed=seed, prune=prune,
            say=lambda line: typer.echo(line, err=as_json), output=sys.stderr.fileno() if as_json else None,
        )  # fmt: skip
    except KeyboardInterrupt:
        typer.echo("stopped; what was done is kept, and the same command goes on from there", err=True)
        raise typer.Exit(128 + signal.SIGINT) from None
    _print_sweep(found, as_json)
    best = found.best
    if best is None:
        typer.echo(f"{name}: no trial went to its end, so there is nothing to take", err=True)
        raise typer.Exit(1)
    if apply and best.values != found.present:
        from tasks.scaffold import set_values

        set_values(workspace, name, best.values)
        typer.echo(f"params.yaml has them now; `gantry run {name}` trains them as a challenger, and the gate decides", err=as_json)


def _print_sweep(found: Sweep, as_json: bool) -> None:
    from tasks.trials.search_space import in_words

    if as_json:
        _print_json({**vars(found), "trials": [vars(one) for one in found.trials], "best": found.best and vars(found.best)})
        return
    keys = list(found.trials[0].values) if found.trials else []
    order = {"done": 0, "ended early": 1, "lost": 2}
    rows = [
        [
            number + 1,
            one.ended,
            "" if one.value is None else f"{one.metric} {one.value:.4g}",
            *(in_words({"": one.values[key]})[1:] for key in keys),
        ]
        for number, one in sorted(enumerate(found.trials), key=lambda item: order[item[1].ended])
    ]
    _table(("trial", "ended", "score", *keys), rows)
    if found.best is not None:
        same = "; params.yaml has these already" if found.best.values == found.present else "; --apply writes it to params.yaml"
        typer.echo(f"best: {found.best.metric} {found.best.value:.4g} with {in_words(found.best.values)}{same}")


@app.command(epilog=_examples("gantry backfill photos", "gantry backfill photos --latest 4 --json"))
def backfill(
    name: Annotated[
        str, typer.Argument(metavar="NAME", autocompletion=_entries, help="A generator of params.yaml that was registered before.")
    ],
    latest: Annotated[
        int | None, typer.Option(min=1, help="Only so many of the last data versions (default: all).", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Train an entry on each data set that it had before. As it is now, and all are scored on the present one. Registers nothing."""
    from flows.backfill import backfill as fill
    from tasks.workspace import current

    signal.signal(signal.SIGTERM, _terminated)
    try:
        found = fill(
            current(), name, latest, say=lambda line: typer.echo(line, err=as_json), output=sys.stderr.fileno() if as_json else None
        )
    except KeyboardInterrupt:
        typer.echo("stopped; what was done is kept, and the same command goes on from there", err=True)
        raise typer.Exit(128 + signal.SIGINT) from None
    if as_json:
        _print_json([{**vars(data), "since": data.since.isoformat(), **vars(one)} for data, one in found.items()])
        return
    rows: list[list[Any]] = [
        [
            f"{data.since:%d %b %Y %H:%M}",
            ", ".join(map(str, data.versions)),
            None if one.samples is None else f"{one.samples:,}",
            one.ended,
            None if one.value is None else f"{one.metric} {one.value:.4g}",
        ]
        for data, one in found.items()
    ]
    _table(("data since", "versions", "samples", "ended", "score on the present data"), rows)


@app.command(epilog=_examples("gantry clean", "gantry clean --keep 10 --days 30 --yes"))
def clean(
    keep: Annotated[int, typer.Option(min=1, help="The latest versions, and the latest champions, that each generator keeps.")] = 5,
    days: Annotated[float, typer.Option(min=0, help="Younger versions, runs and training states stay, whatever they are.")] = 7,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; otherwise it is only shown.")] = False,
    as_json: Json = False,
) -> None:
    """Show what is no longer needed; with --yes, remove it. Old training states, versions, runs, and DVC's cache of them."""
    from tasks.clean import examined
    from tasks.fetch import size_in_words
    from tasks.workspace import current

    signal.signal(signal.SIGTERM, _terminated)
    with examined(current(), keep, days) as found:
        if found.items and not as_json:
            sizes = ["" if item.size is None else size_in_words(item.size) for item in found.items]
            rows = [[item.what, item.name, size, item.why] for item, size in zip(found.items, sizes, strict=True)]
            _table(("what", "name", "size", "why"), rows)
        if yes:
            for item in found.items:
                item.remove()
    if as_json:
        items = [{"what": item.what, "name": item.name, "why": item.why, "bytes": item.size} for item in found.items]
        _print_json({"removed": yes, "bytes": found.size, "items": items, "notes": list(found.notes)})
        return
    for note in found.notes:
        typer.echo(f"note: {note}")
    if not found.items:
        typer.echo("nothing to remove")
    elif yes:
        typer.echo(f"removed: {size_in_words(found.size)}")
    else:
        typer.echo(f"nothing was removed; `gantry clean --yes` with the same options frees {size_in_words(found.size)}")


@app.command(epilog=_examples("gantry upgrade"))
def upgrade() -> None:
    """Bring a workspace that an earlier Gantry made up to date. Its dvc.yaml and DVC's settings; nothing is run again for it."""
    from tasks.upgrade import upgrade as bring_up_to_date
    from tasks.workspace import current

    done = bring_up_to_date(current())
    for line in done:
        typer.echo(line)
    if not done:
        typer.echo("as this Gantry makes it; nothing to do")


@app.command(epilog=_examples("gantry doctor --json"))
def doctor(as_json: Json = False) -> None:
    """Look at packages, machine, workspace, registry and servers. Ends with 1 where something is broken."""
    from flows.doctor import examine
    from tasks.workspace import current

    checks = []
    console = _console()
    for check in examine(current()):
        checks.append(check)
        if not as_json:
            style = {"ok": "green", "note": "yellow", "broken": "red"}[check.state]
            console.print(f"[{style}]{check.state:<7}[/] {check.name:<10}", end=" ", highlight=False)
            console.print(check.text, markup=False, highlight=False, soft_wrap=True)
    if as_json:
        _print_json([vars(check) for check in checks])
    if any(check.state == "broken" for check in checks):
        raise typer.Exit(1)


@app.command(epilog=_examples("gantry up", "gantry up --prefect-port 4201 --mlflow-port 5001"))
def up(
    prefect_port: Annotated[int, typer.Option(min=1, max=65_535, help="Of Prefect's server.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65_535, help="Of MLflow's server.")] = 5000,
) -> None:
    """Start this workspace's own Prefect and MLflow servers. With their pages, on 127.0.0.1; `gantry down` ends them."""
    from flows.up import up as start
    from tasks.workspace import current

    variables = start(current(), {"prefect": prefect_port, "mlflow": mlflow_port}, typer.echo)
    typer.echo("to use them here: export " + " ".join(f"{key}={value}" for key, value in variables.items()))


@app.command(epilog=_examples("gantry down"))
def down() -> None:
    """End the servers that `gantry up` started."""
    from flows.up import down as end
    from tasks.workspace import current

    ended = end(current())
    typer.echo(f"ended: {', '.join(ended)}" if ended else "no servers of `gantry up` are running here")


@app.command(epilog=_examples("gantry deploy --pool trainers", "gantry deploy --pool trainers --gpus 4 --notify slack-webhook/ops"))
def deploy(
    pool: Annotated[str, typer.Option(help="The Prefect work pool whose workers run the entries; it is made where it is not there.")],
    kind: Annotated[Literal["process", "docker", "kubernetes"], typer.Option("--type", help="Of the pool.")] = "process",
    queue: Annotated[str | None, typer.Option(help="The pool's work queue.", show_default="the pool's default")] = None,
    image: Annotated[str | None, typer.Option(help="docker and kubernetes: the image of a run's container.", show_default=False)] = None,
    gpus: Annotated[int | None, typer.Option(min=1, help="How many trainings may use a GPU at once, on all machines.")] = None,
    notify: Annotated[
        list[str] | None, typer.Option(metavar="TYPE/NAME", help="A Prefect block that hears of failed, late and crashed runs.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make Prefect's deployments those of params.yaml. For workers: schedules, limits, triggers, and what watches over the runs."""
    from flows.server import connected
    from tasks.workspace import current

    if not os.environ.get("PREFECT_API_URL"):
        raise ConfigError("PREFECT_API_URL is not set: a deployment lives on a lasting server; start one with `gantry up`, or name yours")
    with connected(current()):
        from flows import deploy as deployments

        done = deployments.deploy(current(), deployments.Plan(pool, kind, queue, image, gpus, notify or ()))
    if as_json:
        due = {f"retrain/{name}": times and vars(times) for name, times in done.entries.items()}
        _print_json({"deployments": due, "removed": list(done.removed), "automations": list(done.automations)})
        return
    _table(("deployment", "schedule"), [[f"retrain/{name}", due or "on demand"] for name, due in done.entries.items()])
    if done.removed:
        typer.echo(f"removed: {', '.join(done.removed)}")
    typer.echo(f"next, where a workspace is: GANTRY_WORKSPACE=$PWD prefect worker start --pool {pool}")


def _seconds(text: str) -> float:
    """Of `90s`, `20m` or `1.5h`.

    Raises:
        ConfigError: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    seconds = float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
    if not 1 <= seconds <= 30 * 24 * 3600:
        raise ConfigError(f"--budget {text[:80]}: write seconds, minutes or hours, such as 90s, 20m or 1.5h; 30 days at most")
    return seconds


def _timeouts(given: list[str]) -> dict[str, float]:
    found = {}
    for item in given:
        stage, _, seconds = item.partition("=")
        try:
            found[stage] = float(seconds)
        except ValueError:
            raise ConfigError(f"--timeout {item}: write it as STAGE=SECONDS, such as train=3600") from None
        if not found[stage] > 0:
            raise ConfigError(f"--timeout {item}: seconds must be above 0")
    return found


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    # A pipe has no width; rich would wrap what a program reads at 80 columns.
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(emoji=False, stderr=stderr) if is_terminal else Console(emoji=False, stderr=stderr, width=200)


def _table(titles: tuple[str, ...], rows: list[list[Any]]) -> None:
    """Print rows in columns; on a terminal that is too narrow for them, each as a block of lines."""
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    texts = [[Text("" if cell is None else str(cell)) for cell in row] for row in rows]
    table = Table(*titles, box=None, padding=(0, 2, 0, 0), header_style="bold")
    for row in texts:
        table.add_row(*row)
    console = _console()
    if not console.is_terminal or Measurement.get(console, console.options.update(max_width=1_000), table).maximum <= console.width + 2:
        console.print(table)
        return
    for first, *others in texts:
        first.stylize("bold")
        console.print(first)
        block = Table.grid(padding=(0, 2, 0, 0))
        for title, cell in zip(titles[1:], others, strict=True):
            if cell.plain:
                block.add_row(Text(f"  {title}", "dim"), cell)
        console.print(block)


def _print_json(value: Any) -> None:
    import json

    typer.echo(json.dumps(value, indent=2))


if __name__ == "__main__":
    main()
