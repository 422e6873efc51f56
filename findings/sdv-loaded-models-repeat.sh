#!/usr/bin/env bash
# Guess: a fitted synthesizer that is saved and loaded draws other rows each time, unless it is given a seed; so do two that were fitted one after the other.
# Version: sdv 2.0.0, numpy 2.4.6, pandas 2.3.3.
# Behaviour: the first sample() of a synthesizer that was fitted or loaded begins from a fixed seed, whatever numpy's and Python's seeds are. Within one object the draws go on; no argument of sample() changes where they begin.
# Seen: 5 rows from a file loaded twice are equal, those of two fits too; the second 5 of one object are others.
# Meaning: two workers, or a service started anew each day, hand out the same "random" rows, and several samples are no measure of the spread.
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
from sdv.utils import load_synthesizer

table = pd.DataFrame({"size": np.random.default_rng(0).normal(0, 1, 300), "kind": ["a", "b", "c"] * 100})
metadata = Metadata.detect_from_dataframes({"things": table})


def fitted():
    model = GaussianCopulaSynthesizer(metadata)
    model.fit({"things": table})
    return model


def loaded(seed):
    np.random.seed(seed)
    return load_synthesizer("model.pkl")


def rows(model):
    return model.sample(5)["things"]


model = fitted()
model.save("model.pkl")
first, second = rows(model), rows(model)
again, once_more, other = rows(loaded(1)), rows(loaded(2)), rows(fitted())
print("loaded twice:", again["size"].tolist(), once_more["size"].tolist(), "fitted twice:", first["size"].tolist(), other["size"].tolist(), "next:", second["size"].tolist())
assert not first.equals(second)
assert again.equals(once_more) and first.equals(other), "changed: each begins elsewhere"
PYTHON
