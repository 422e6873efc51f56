"""A table drawn by a synthesizer of SDV, and any drawn table scored by sdmetrics; run by the peer's own Python (benchmarks.mixed_table).

`sdv_table.py draw TABLE OUT SYNTHESIZER EPOCHS SEED` and `sdv_table.py score TABLE DRAWN`, which prints JSON as its last line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

_NOT_COUNTED = ("customer", "email")
_DATES = ("signup", "last_order")
_MONEY = ("price", "spent")
_NUMBERS = ("age", "orders", "rating", *_MONEY)


def draw(table: str, out: str, name: str, epochs: str, seed: str) -> None:
    """As its documentation begins, types as detected; but money is numbers, or CTGAN and TVAE take each amount for a category."""
    import torch
    from sdv.metadata import Metadata
    from sdv.single_table import CTGANSynthesizer, GaussianCopulaSynthesizer, TVAESynthesizer

    read = pd.read_csv(table)
    rows = {"customers": read.assign(**{column: _number(read[column]) for column in _MONEY})}
    metadata = Metadata.detect_from_dataframes(rows)
    torch.manual_seed(int(seed))
    np.random.seed(int(seed))  # what SDV draws from
    if name == "GaussianCopula":
        synthesizer = GaussianCopulaSynthesizer(metadata)
    else:
        synthesizer = {"CTGAN": CTGANSynthesizer, "TVAE": TVAESynthesizer}[name](metadata, epochs=int(epochs), enable_gpu=False)
    synthesizer.fit(rows)
    drawn = synthesizer.sample(len(rows["customers"]))
    (drawn["customers"] if isinstance(drawn, dict) else drawn).to_csv(out, index=False)


def _number(texts: pd.Series) -> pd.Series:
    return pd.to_numeric(texts.astype("string").str.replace("[$,]", "", regex=True), errors="coerce").astype(float)


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns as what they are; what cannot be read so is missing."""
    as_text = rows.astype("string")
    typed = {}
    for column in rows.columns.difference(_NOT_COUNTED):
        texts = as_text[column]
        if column in _DATES:
            typed[column] = pd.to_datetime(texts, errors="coerce", format="%Y-%m-%d")
        elif column in _NUMBERS:
            typed[column] = _number(texts)
        else:
            typed[column] = texts.str.lower().astype(object)
    return pd.DataFrame(typed)


def score(table: str, drawn: str) -> None:
    """Sdmetrics' quality, and what it is the mean of."""
    from sdmetrics.reports import QualityReport

    real, made = _typed(pd.read_csv(table)), _typed(pd.read_csv(drawn))
    kinds = {c: "datetime" if c in _DATES else "numerical" if c in _NUMBERS else "categorical" for c in real.columns}
    report = QualityReport()
    metadata = {"tables": {"customers": {"columns": {c: {"sdtype": kind} for c, kind in kinds.items()}}}}
    report.generate({"customers": real}, {"customers": made[real.columns]}, metadata, verbose=False)
    properties = report.get_properties().set_index("Property")["Score"]
    found = {"quality": report.get_score(), "shapes": properties["Column Shapes"], "trends": properties["Column Pair Trends"]}
    print(json.dumps(found))


if __name__ == "__main__":
    commands: Mapping[str, Callable[..., None]] = {"draw": draw, "score": score}
    commands[sys.argv[1]](*sys.argv[2:])
