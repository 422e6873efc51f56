"""The check of a data set as a whole, by Great Expectations.

Three tables are checked, each with a suite of its own built from the entry's thresholds:

    source     every sample that was brought here, with the reason where it is in quarantine
    manifest   the samples that are left: what manifest.parquet holds
    classes    one row a class, with its number of samples; only where there are labels

The folder gets `results.json`, the results as Great Expectations words them, and its HTML pages (Data Docs). Their `index.html` finds
its way with scripts from other hosts; `Verdict.pages` names the pages that show the results, which are readable without.
"""

from __future__ import annotations

import gc
import html
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gan_core.errors import DataError
from tasks.kinds.kind import Expected
from tasks.params import ValidateParams
from tasks.system import cores
from tasks.system.imports import loaded_when_used, quick_imports, taken_as_missing
from tasks.validation.inspection import NUMBER

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation
    from pandas import DataFrame

# Results name every row that fails; beyond so many, Great Expectations slows down with the square of their number.
_MOST_NAMED = 10_000
_SHOWN = 5


@dataclass(frozen=True)
class CheckedTable:
    """Rows to check, and what is expected of them."""

    name: str
    frame: DataFrame
    key: str
    """The column that names a row."""
    suite: Sequence[Expectation]


@dataclass(frozen=True)
class Failure:
    """An expectation that is not met."""

    table: str
    expected: str
    """What was expected, in words, with the key of params.yaml."""
    found: str
    """What is there instead."""
    rows: tuple[str, ...]
    """The first few rows at fault, as `name: value`."""

    def __str__(self) -> str:
        return "\n".join([f"{self.expected}: {self.found}", *(f"    {row}" for row in self.rows)])


@dataclass(frozen=True)
class Verdict:
    """What Great Expectations says of a data set."""

    met: int
    """Number of expectations that are met."""
    failures: tuple[Failure, ...]
    pages: Mapping[str, Path]
    """Of each table the page with its results, relative to the folder."""

    @property
    def passed(self) -> bool:
        return not self.failures


def source_table(source: DataFrame, limits: ValidateParams) -> CheckedTable:
    """Expectations of everything that was fetched; columns path, sha256, reason (null for a good sample)."""
    gxe = _expectations()
    return CheckedTable(
        "source",
        source,
        "path",
        [
            gxe.ExpectColumnValuesToNotBeNull(column="path", description="every sample has a path"),
            gxe.ExpectColumnValuesToBeUnique(column="path", description="no path occurs twice"),
            gxe.ExpectColumnValuesToNotBeNull(column="sha256", description="every sample has a sha256"),
            gxe.ExpectColumnValuesToBeNull(
                column="reason",
                # Rounded, so that a share exactly at the limit is not refused for the last bit of 1 - x.
                mostly=round(1 - limits.max_quarantined, 12),
                description=f"at most {100 * limits.max_quarantined:g} % in quarantine (validate.max_quarantined)",
            ),
        ],
    )


_NUMBERS = (
    Expected(NUMBER, "every sample has a number (data.label_as)"),
    Expected(NUMBER, "numbers are finite", between=(-float(np.finfo(np.float32).max), float(np.finfo(np.float32).max))),
)


def manifest_table(
    manifest: DataFrame,
    classes: Sequence[str] | None,
    limits: ValidateParams,
    expected: Sequence[Expected] = (),
    splits: Sequence[str] = ("train", "holdout"),
) -> CheckedTable:
    """Expectations of the samples that are left; columns as in manifest.parquet. `expected`: what their kind of data adds."""
    from great_expectations.expectations.row_conditions import Column

    gxe = _expectations()
    suite = [
        gxe.ExpectTableRowCountToBeBetween(
            min_value=limits.min_samples, description=f"at least {_samples(limits.min_samples)} (validate.min_samples)"
        ),
        gxe.ExpectColumnValuesToBeUnique(column="path", description="no path occurs twice"),
        gxe.ExpectColumnValuesToNotBeNull(column="sha256", description="every sample has a sha256"),
        gxe.ExpectColumnValuesToNotBeNull(column="split", description="every sample has a split"),
        gxe.ExpectColumnValuesToBeInSet(column="split", value_set=list(splits), description=f"splits are {' and '.join(splits)}"),
        gxe.ExpectTableRowCountToBeBetween(
            min_value=1,
            row_condition=Column("split") == "train",
            description="at least 1 sample to train on (a smaller data.holdout leaves more)",
        ),
        gxe.ExpectTableRowCountToBeBetween(
            min_value=1,
            row_condition=Column("split") == "holdout",
            description="at least 1 sample held out (a larger data.holdout, or more samples, gives more)",
        ),
    ]
    suite += [_of_column(gxe, one) for one in (*expected, *(_NUMBERS if NUMBER in manifest else ()))]
    if classes is not None:
        suite += [
            gxe.ExpectColumnValuesToNotBeNull(column="label", description="every sample has a label"),
            gxe.ExpectColumnValuesToBeInSet(
                column="label", value_set=[html.escape(one) for one in classes], description="labels are names of classes"
            ),
        ]
    return CheckedTable("manifest", manifest, "path", suite)


def _of_column(gxe: Any, expected: Expected) -> Expectation:
    column, words = expected.column, expected.words
    if expected.between is not None:
        low, high = expected.between
        return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high, description=words)
    if expected.among is not None:
        return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(expected.among), description=words)
    return gxe.ExpectColumnValuesToNotBeNull(column=column, description=words)


def classes_table(classes: DataFrame, limits: ValidateParams, held_out: bool = False) -> CheckedTable:
    """Expectations of the classes; columns label, samples, those of the splits, share. `held_out`: of each class some have to be."""
    gxe = _expectations()
    between = gxe.ExpectColumnValuesToBeBetween
    some_held_out = between(column="holdout", min_value=1, description="at least 1 sample of each class held out (a larger data.holdout)")
    return CheckedTable(
        "classes",
        classes,
        "label",
        [
            gxe.ExpectTableRowCountToBeBetween(min_value=2, description="at least 2 classes, where there are labels"),
            between(
                column="samples",
                min_value=limits.min_per_class,
                description=f"at least {_samples(limits.min_per_class)} of each class (validate.min_per_class)",
            ),
            between(column="train", min_value=1, description="at least 1 sample of each class to train on"),
            *([some_held_out] if held_out else []),
        ],
    )


def check(name: str, tables: Sequence[CheckedTable], folder: Path) -> Verdict:
    """Validate the tables of entry `name` with Great Expectations; leaves results.json and the Data Docs in `folder`."""
    gx = great_expectations()
    from great_expectations.render.view import view

    from tasks.validation.page_templates import compiled_once

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    context.add_data_docs_site(
        "docs",
        {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.absolute())},
        },
    )
    source = context.data_sources.add_pandas("data")
    run = gx.RunIdentifier(run_name=name)
    results, failures, met = {}, [], 0
    for table in tables:
        batch = source.add_dataframe_asset(table.name).add_batch_definition_whole_dataframe("whole")
        suite: ExpectationSuite = context.suites.add(gx.ExpectationSuite(table.name, expectations=list(table.suite)))
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=table.name, data=batch, suite=suite))
        result = definition.run(
            batch_parameters={"dataframe": _escaped(table.frame)},
            result_format={"result_format": _detail(table.frame), "unexpected_index_column_names": [table.key]},
            run_id=run,
        )
        results[table.name] = _on_texts(html.unescape, result.to_json_dict())
        for one in results[table.name]["results"]:
            if one["success"]:
                met += 1
            else:
                failures.append(_failure(one, table))
    with _refusing_to_go_on(logging.getLogger("great_expectations.render.renderer.site_builder")), compiled_once(view):
        context.build_data_docs(site_names=["docs"])
    (folder / "results.json").write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    pages = {table.name: next(folder.glob(f"validations/{table.name}/**/*.html")).relative_to(folder) for table in tables}
    return Verdict(met, tuple(failures), pages)


@contextmanager
def _refusing_to_go_on(logger: logging.Logger) -> Iterator[None]:
    """What a library would only log as an error, with a traceback, ends the work.

    Raises:
        DataError: in the words of the first such message.
    """
    said: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
    if said:
        raise DataError(f"Great Expectations cannot draw its pages: {' '.join(said[0].split())[:500]}")


def _samples(count: int) -> str:
    return f"{count:,} sample{'s' if count != 1 else ''}"


def _failure(result: Mapping[str, Any], table: CheckedTable) -> Failure:
    key = table.key
    expected = result["expectation_config"]["description"]
    details = result["result"]
    if result["exception_info"].get("raised_exception"):
        return Failure(table.name, expected, f"could not be checked ({result['exception_info'].get('exception_message')})", ())
    if "unexpected_count" not in details:
        return Failure(table.name, expected, f"found {details['observed_value']:,}", ())
    column, count, total = result["expectation_config"]["kwargs"]["column"], details["unexpected_count"], details["element_count"]
    share = f"{count:,} of {total:,} ({count / total:.1%})"
    found = f"{share} are in quarantine" if column == "reason" else f"not so for {share}"
    rows = []
    for row in details["partial_unexpected_index_list"][:_SHOWN]:
        bare = column == key or row[column] is None
        rows.append(str(row[key]) if bare else f"{row[key]}: {row[column]}")
    more = count - len(rows)
    return Failure(table.name, expected, found, (*rows, *([f"and {more:,} more"] if more else [])))


def _detail(frame: DataFrame) -> str:
    quarantined = int(frame["reason"].notna().sum()) if "reason" in frame else 0
    return "COMPLETE" if quarantined <= _MOST_NAMED else "SUMMARY"


def _escaped(frame: DataFrame) -> DataFrame:
    """Texts as they may stand in a web page: the Data Docs print names of files and classes as they come."""
    texts = [column for column in ("path", "label", "reason") if column in frame]
    return frame.assign(**{column: frame[column].map(html.escape, na_action="ignore") for column in texts})


def _on_texts(change: Callable[[str], str], value: Any) -> Any:
    """Apply `change` to every text in a JSON value."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_on_texts(change, one) for one in value]
    if isinstance(value, dict):
        return {key: _on_texts(change, one) for key, one in value.items()}
    return value


def import_beside() -> None:
    """Begin to import Great Expectations beside what is done first, where there is a core to spare for it; `check` then waits less.

    pandas, which both sides import, is imported before: two threads that meet in a circle of modules may see half of one.
    """
    if cores.usable() > 1:
        import pandas  # noqa: F401

        threading.Thread(target=_expectations, name="import of Great Expectations").start()


def great_expectations() -> Any:
    """Great Expectations, imported when it is needed (2 to 3 s) and told to keep to itself first."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    is_new = "great_expectations" not in sys.modules
    # Half of its time is for what tables in memory do not need: charts, distributions, and databases and clouds, which may be missing.
    optional = taken_as_missing("sqlalchemy", "boto3", "botocore", "google", "psycopg2")
    # From Python 3.13 on, who asks for a name of scipy.stats after it was to be loaded later may not be given it.
    later = ("altair",) if sys.version_info >= (3, 13) else ("altair", "scipy.stats")
    with quick_imports(), loaded_when_used(*later), optional:
        import great_expectations
        import great_expectations.expectations

    if is_new:
        gc.freeze()  # it stays, so no search for garbage need go through it
    return great_expectations


def _expectations() -> Any:
    return great_expectations().expectations
