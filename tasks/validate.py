"""The validate stage: `python -P -m tasks.validate NAME`, from data/NAME/raw to data/NAME/ready and data/NAME/validation.

Every source file is opened once. What cannot be used goes to quarantine.csv with the reason in words; the rest becomes the
manifest (one row a sample), is split by content, checked as a whole by Great Expectations and, if that passes, packed into the
arrays that training maps into memory. The bytes of `ready` depend on the raw data, the entry's `data` and `validate` sections
and the versions of the libraries, and on nothing else: not on the number of processes, the clock or the run before.

Everything is made in a folder beside the two and moved there last. A refused data set leaves `ready` with quarantine.csv alone.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_core.data.dataset import Dataset, Split
from gan_core.data.labels import number_in
from gan_core.errors import ConfigError, DataError, RegistryError
from gan_core.params import TabularParams
from tasks import kinds
from tasks.kinds.kind import DataKind
from tasks.params import DataParams, Entry, ValidateParams
from tasks.sources.raw import RawReader
from tasks.stage_main import stage_main
from tasks.validation import drift, groups, twins
from tasks.validation.expectations import CheckedTable, Verdict, check, classes_table, import_beside, manifest_table, source_table
from tasks.validation.inspection import Row
from tasks.validation.packing import Good, splits_of
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from pandas import DataFrame

_REPORT_EVERY = 10.0
"""Seconds between lines that say how far it is."""


def validate(workspace: Workspace, name: str, entry: Entry) -> None:
    """Check what was fetched for `name` and pack it for training.

    Raises:
        DataError: raw is missing or damaged, or an expectation is not met; the message names each with the first rows at fault. Or the
            data has drifted from the champion's, and `validate.drift` is `block`.
        RegistryError: `validate.drift` is `block`, and the registry cannot be reached.
    """
    ready, validation, kind = workspace.ready(name), workspace.validation(name), kinds.of(entry.data.kind)
    with RawReader.open(workspace.raw(name)) as raw, _partial_folder(ready.with_name(".validate.partial")) as partial:
        new_ready, new_validation = partial / "ready", partial / "validation"
        new_ready.mkdir()
        new_validation.mkdir()
        import_beside()
        inspection = kind.inspect(raw, entry.data, entry.validation, partial / "spool", _report(name))
        if not inspection.rows:
            raise DataError(f"{name}: {workspace.raw(name)} holds no samples; look at data.source ({entry.data.source})")
        for note in inspection.notes:
            print(f"note: {note}", flush=True)
        rows = set_conflicts_aside(inspection.rows)
        pictures = twins.of_spool(inspection)
        packed = packed_order(rows, entry.data, kind, pictures if entry.validation.near_twins == "together" else None)
        good = [row for of in packed.values() for row in of]
        if entry.validation.near_twins == "warn" and pictures is not None and (met := twins.across(packed, pictures)):
            print(f"note: {met}", flush=True)
        if entry.data.group is not None:
            paths = [row.path for row in good]
            print(f"note: {groups.note(paths, groups.groups_of(paths, entry.data.group))}", flush=True)
        write_quarantine(new_ready / "quarantine.csv", rows)
        manifest = manifest_frame(packed)
        tables = _tables(rows, packed, manifest, inspection.classes, entry.validation, kind)
        verdict, refused = check(name, tables, new_validation), None
        if verdict.passed:
            try:
                manifest.to_parquet(new_ready / "manifest.parquet", index=False)
                kind.pack(new_ready, Good(packed, inspection), entry.data, raw)
                dataset = Dataset.open(new_ready)
                kinds.check(name, dataset, entry.evaluation)
                if isinstance(entry.train, TabularParams):
                    _check_training(name, dataset, entry.train)
                if entry.data.selection is not None:
                    _check_selection(name, dataset, entry)
                _check_drift(workspace, name, dataset, entry.validation, new_validation / "drift.json")
            except (ConfigError, DataError) as error:  # nothing must train on it
                refused = error
                for path in new_ready.iterdir():
                    if path.name != "quarantine.csv":
                        path.unlink()
        # Refused or not, what was found is there to be looked at.
        _replace_folder(new_validation, validation, partial / "former validation")
        _replace_folder(new_ready, ready, partial / "former ready")
    if not verdict.passed:
        raise DataError(_refusal(name, verdict, rows, ready, validation, entry, inspection.classes or ()))
    if refused is not None:
        raise refused
    print(summary(name, dataset.spec.unit, rows, {split: len(of) for split, of in packed.items()}, verdict, duplicates(good)), flush=True)


def set_conflicts_aside(rows: Sequence[Row]) -> list[Row]:
    """The rows again, with those that are equal in content and differ in label in quarantine: nobody knows which one is right."""
    labels: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.reason is None and row.label is not None:
            labels[row.sha256].add(row.label)
    conflicts = {sha256: " and ".join(sorted(names)) for sha256, names in labels.items() if len(names) > 1}
    return [
        replace(row, reason=f"conflicting labels: equal samples stand in {conflicts[row.sha256]}", number=None)
        if row.reason is None and row.sha256 in conflicts
        else row
        for row in rows
    ]


def packed_order(rows: Sequence[Row], data: DataParams, kind: DataKind, pictures: twins.Pictures | None = None) -> dict[str, list[Row]]:
    """The good rows of each split, in the order of the source; groups of `data.group` are on one side, and with
    `pictures` near-twins."""
    good = [row for row in rows if row.reason is None]
    # Rows that are equal by chance are drawn each for itself; copies stay together.
    keys = [hashlib.sha256(f"{row.sha256}#{row.repeat}".encode()).hexdigest() if row.repeat else row.sha256 for row in good]
    keys = keys if data.group is None else groups.keys_by_group(keys, groups.groups_of([row.path for row in good], data.group))
    keys = keys if pictures is None else twins.together(keys, pictures(good))
    labels = [row.label if data.label_as == "class" else None for row in good]  # numbers are as many as samples
    splits = splits_of(keys, labels, data.seed, data.holdout, kind.fewest, kind.fewest_of_each, data.selection)
    parts: Sequence[Split] = ("train", "holdout") if data.selection is None else ("train", "holdout", "selection")
    packed: dict[str, list[Row]] = {split: [] for split in parts}
    for row, split in zip(good, splits, strict=True):
        packed[split].append(row)
    return packed


def duplicates(good: Sequence[Row]) -> int:
    """How many samples are equal to one before them."""
    return len(good) - len({row.content for row in good})


def manifest_frame(packed: dict[str, list[Row]]) -> DataFrame:
    """The manifest: one row a good sample, in the order of the arrays, first `train`, then `holdout`, then `selection` if any."""
    import pandas as pd

    good = [(split, row) for split, of in packed.items() for row in of]
    columns: dict[str, Any] = {
        "path": pd.Series([row.path for _, row in good], dtype="string"),
        "sha256": pd.Series([row.sha256 for _, row in good], dtype="string"),
        "width": pd.Series([row.width for _, row in good], dtype="Int32"),
        "height": pd.Series([row.height for _, row in good], dtype="Int32"),
        "mode": pd.Series([row.mode for _, row in good], dtype="string"),
        "mean": pd.Series([row.mean for _, row in good], dtype="Float64"),
        "std": pd.Series([row.std for _, row in good], dtype="Float64"),
        **_facts([row for _, row in good]),
        "label": pd.Series([row.label for _, row in good], dtype="string"),
        "split": pd.Series([split for split, _ in good], dtype="string"),
    }
    return pd.DataFrame(columns)


def _facts(good: Sequence[Row]) -> dict[str, Any]:
    """The columns of the manifest that only some kinds of data have."""
    import pandas as pd

    types: dict[type, Any] = {int: "Int64", float: "Float64", str: "string"}
    of_first = good[0].facts if good else None
    return {
        key: pd.Series([None if row.facts is None else row.facts[key] for row in good], dtype=types[type(value)])
        for key, value in (of_first or {}).items()
    }


def write_quarantine(path: Path, rows: Sequence[Row]) -> None:
    """quarantine.csv: path and reason of each sample that cannot be used, once, in the order of the source."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "reason"])
        writer.writerows([row.path, row.reason] for row in rows if row.reason is not None)


def summary(name: str, unit: str, rows: Sequence[Row], counts: dict[str, int], verdict: Verdict, equal: int) -> str:
    """The line that a successful run ends with; `unit` is what the samples are called."""
    samples = sum(counts.values())
    return (
        f"validate {name}: {samples:,} {unit} ({counts['train']:,} train, {counts['holdout']:,} held out"
        + (f", {counts['selection']:,} for selection" if "selection" in counts else "")
        + "), "
        f"{len(rows) - samples:,} quarantined, " + (f"{equal:,} equal to another, " if equal else "") + f"{verdict.met} expectations met"
    )


def _tables(
    rows: Sequence[Row],
    packed: dict[str, list[Row]],
    manifest: DataFrame,
    classes: tuple[str, ...] | None,
    limits: ValidateParams,
    kind: DataKind,
) -> list[CheckedTable]:
    import pandas as pd

    source = pd.DataFrame({key: pd.Series([getattr(row, key) for row in rows], dtype="string") for key in ("path", "sha256", "reason")})
    tables = [source_table(source, limits), manifest_table(manifest, classes, limits, kind.expected(limits), tuple(packed))]
    if classes is not None:
        counts = {split: Counter(row.label for row in of) for split, of in packed.items()}
        frame = pd.DataFrame({"label": pd.Series(classes, dtype="string")})
        for split, of in counts.items():
            frame[split] = [of[label] for label in classes]
        frame["samples"] = frame[list(counts)].sum(axis=1)
        frame["share"] = frame["samples"] / max(int(frame["samples"].sum()), 1)
        tables.append(classes_table(frame, limits, held_out=kind.holds_out_each_class))
    return tables


def _refusal(name: str, verdict: Verdict, rows: Sequence[Row], ready: Path, validation: Path, entry: Entry, classes: Sequence[str]) -> str:
    data, total = entry.data, verdict.met + len(verdict.failures)
    lines = [f"{name}: the data set is refused, {len(verdict.failures)} of {total} expectations are not met"]
    lines += [str(failure) for failure in verdict.failures]
    of_classes = any(failure.table == "classes" for failure in verdict.failures)
    if of_classes and "label_as" in kinds.of(data.kind).keys and all(number_in(label) is not None for label in classes):
        lines.append("the labels are all numbers; if they are ages, angles or the like, set data.label_as: number, or data.bins")
    elif of_classes and data.folders_are_classes:
        lines.append("the folders of the images are taken as their classes; if they are something else, set data.labels: none")
    if quarantined := sum(row.reason is not None for row in rows):
        if (share := quarantined / len(rows)) > entry.validation.max_quarantined:
            enough = math.ceil(100 * share) / 100
            lines.append(f"to go on without them: `validate: {{max_quarantined: {enough:g}}}` in its entry of params.yaml")
        lines.append(f"every sample in quarantine, with its reason: {ready / 'quarantine.csv'}")
    pages = dict.fromkeys(verdict.pages[failure.table] for failure in verdict.failures)
    lines += [f"results of the check: {validation / page}" for page in pages]
    lines.append("repair or remove the samples at the source and fetch again, or change the limits in params.yaml")
    return "\n".join(lines)


def _check_training(name: str, dataset: Dataset, params: TabularParams) -> None:
    """See that rows can be learned from as asked, which only the data tells.

    Raises:
        ConfigError: no noise keeps them as private as asked, or Opacus is missing.
        DataError: rows have no classes that some could be rare of.
    """
    if params.balance and dataset.spec.classes is None:
        raise DataError(f"{name}: train.balance: shows rows of rare classes more often, and data.label is of numbers; leave it out")
    if params.privacy is not None:
        from gan_core.privacy import promised  # torch, and Opacus

        rows = dataset.spec.counts["train"]
        promised(params.privacy, rows, params.batch, params.settled(rows, False).budget)


def _check_selection(name: str, dataset: Dataset, entry: Entry) -> None:
    """See that snapshots can be scored on what is kept for selection.

    Raises:
        DataError: there is too little of it, or nothing can be told from it.
    """
    asked, there = entry.data.selection or 0, dataset.spec.counts["selection"]
    if asked > there:
        raise DataError(
            f"data.selection: asks for {asked:,.0f} samples, and at most half of what is not held out is kept, {there:,}; lower it"
        )
    try:
        kinds.check(name, dataset.selecting, entry.evaluation)
    except DataError as error:
        said = str(error).replace("data.holdout", "data.selection").replace("held-out", "selection")
        raise DataError(f"data.selection: {said}") from None


def _check_drift(workspace: Workspace, name: str, dataset: Dataset, limits: ValidateParams, out: Path) -> None:
    """Say how the data differs from the champion's, and write it down.

    It stands apart from `ready`, since it depends on who the champion is, and training must not.

    Raises:
        DataError: the data differs, and drift blocks.
    """
    try:
        found = drift.from_champion(workspace, name, dataset, limits)
    except RegistryError as error:
        if limits.drift == "block":
            raise
        print(f"note: drift was not looked at: {error}", flush=True)
        return
    if found is None:
        return
    out.write_text(json.dumps(found.as_record(), indent=2) + "\n", encoding="utf-8")
    for finding in found.findings:
        print(f"note: drift from the data of version {found.champion}: {finding}", flush=True)
    if not found.findings or limits.drift != "block":
        return
    lines = [f"{name}: the data set is refused, it has drifted from the data of the champion, version {found.champion}", *found.findings]
    lines.append("if that is as it should be, set validate.drift: warn, or raise drift_shift or drift_share, in params.yaml")
    raise DataError("\n".join(lines))


def _report(name: str) -> Callable[[int, int], None]:
    """Says every few seconds how many samples are done."""
    last = time.monotonic()

    def on_row(done: int, total: int) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _REPORT_EVERY:
            last = now
            print(f"validate {name}: {done:,} of {total:,} samples", flush=True)

    return on_row


@contextmanager
def _partial_folder(path: Path) -> Iterator[Path]:
    """A fresh folder that is gone afterwards; what a killed run left in it goes first."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _replace_folder(new: Path, place: Path, aside: Path) -> None:
    if place.exists():
        place.replace(aside)
    new.replace(place)


if __name__ == "__main__":
    stage_main(validate)
