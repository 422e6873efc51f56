#!/usr/bin/env bash
# Guess: a column of three words is a category for SDV's detection, whatever it is called, and its values and their relation to the other columns are learned.
# Version: sdv 2.0.0, numpy 2.4.6, pandas 2.3.3.
# Behaviour: names such as city, state, license, email or latitude decide before the values do: the column counts as personal data, and is filled with invented words that have nothing to do with the rest of the row.
# Seen: a column city with Oslo, Paris and Rome, on which the price depends, is synthesized as 299 others in 300 rows; called town, its three words come back, each with its price.
# Meaning: a synthetic table lacks its strongest relation since a column has the usual name; metadata.update_column(..., sdtype="categorical") before fitting helps.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 pandas==2.3.3 sdv==2.0.0

venv/bin/python -W ignore - <<'PYTHON'
import numpy as np
import pandas as pd
from sdv.metadata import Metadata
from sdv.single_table import GaussianCopulaSynthesizer

rng = np.random.default_rng(0)
place = rng.integers(0, 3, 600)
words, price = np.array(["Oslo", "Paris", "Rome"])[place], 100 * place + rng.normal(0, 1, 600)


def synthesized(name):
    table = pd.DataFrame({name: words, "price": price})
    metadata = Metadata.detect_from_dataframes({"offers": table})
    model = GaussianCopulaSynthesizer(metadata)
    model.fit({"offers": table})
    return metadata.to_dict()["tables"]["offers"]["columns"][name]["sdtype"], model.sample(300)["offers"][name]


for name in ("town", "city"):
    kind, values = synthesized(name)
    print(name, "is", kind, "with", values.nunique(), "different values, among them", sorted(values.unique())[:4])
    if name == "town":
        assert kind == "categorical" and set(values) == set(words)
assert kind == "city" and values.nunique() > 100, "changed: the values decide"
PYTHON
